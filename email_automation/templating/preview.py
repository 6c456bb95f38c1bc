"""What a mail of a template would look like, made of sample values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.sites.models import Site
from django.template.loader import get_template
from django.utils import translation
from edx_ace.renderers import RenderedEmail

from courses import sites

from ..channels.mail import direction_of, document
from ..models import EmailTemplate
from ..pipeline.message import MessageType
from . import stored
from .checking import samples
from .edited import Edited, Sources

DARK: str = "(prefers-color-scheme:dark)"


@dataclass(frozen=True)
class Preview:
    """One mail: what its reader sees, and how many bytes its HTML has."""

    subject: str
    from_name: str
    html: str
    text: str
    size: int


def preview(kind: type[MessageType], source: EmailTemplate | Sources, language: str, *, dark: bool = False) -> Preview:
    """Return a mail of a row, stored or not, or of some sources, in the brand of the default site.

    With `dark` its HTML shows what mail programs make of it that are set to dark. Raises TemplateError for a source
    that does not compile or exceeds its budget.
    """
    edited = Edited(source if isinstance(source, Sources) else stored.sources_of(source))
    values = _values(kind, language)
    folder = f"{kind.owner()}/edx_ace/{kind.NAME}/email"
    with stored.forced(kind.NAME, edited), translation.override(language):
        parts = {
            part: get_template(f"{folder}/{part}").render(dict(values))
            for part in ("subject.txt", "from_name.txt", "head.html", "body.html", "body.txt")
        }
    rendered = RenderedEmail(
        from_name=parts["from_name.txt"].strip(),
        subject=parts["subject.txt"],
        head_html=parts["head.html"],
        body_html=parts["body.html"],
        body=parts["body.txt"],
    )
    html = document(rendered, language)
    return Preview(
        subject=rendered.subject,
        from_name=rendered.from_name,
        html=html.replace(DARK, "all") if dark else html,
        text=rendered.body,
        size=len(html.encode()),
    )


def _values(kind: type[MessageType], language: str) -> dict[str, Any]:
    site = Site.objects.filter(pk=settings.SITE_ID).first() or Site(domain="example.com", name="Example")
    brand = sites.brand(site)
    return {
        **samples(kind),
        "brand": brand,
        "site_name": brand["name"],
        "site_url": brand["url"],
        "language": language,
        "direction": direction_of(language),
    }
