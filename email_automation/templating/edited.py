"""What people have written for one message, compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import looks, markup
from .errors import TemplateError
from .plain import plain_text, tidy
from .sandbox import Template
from .subject import one_line


class Sources(NamedTuple):
    """The three texts of a message that people edit; an empty `text` is made from the HTML."""

    subject: str
    html: str
    text: str


class Edited:
    """The compiled sources of one message, ready for any number of mails in any number of threads.

    Raises TemplateError, which names the field, when a source does not compile or would break the frame of a mail.
    """

    def __init__(self, sources: Sources) -> None:
        self._subject = _compiled("subject", sources.subject)
        self._html = _dressed(_compiled("html_content", sources.html))
        self._text = _compiled("text_content", sources.text) if sources.text.strip() else None

    @property
    def makes_text(self) -> bool:
        """Whether the text is made from the HTML."""
        return self._text is None

    def compiled(self) -> Iterator[tuple[Template, bool]]:
        """Yield the templates, each with whether it escapes what it writes: of the subject, the HTML and the text."""
        yield self._subject, False
        yield self._html, True
        if self._text is not None:
            yield self._text, False

    def subject(self, values: Mapping[str, Any]) -> str:
        """Return the subject of one mail, on one line."""
        return one_line(self._subject.render_values(values, autoescape=False))

    def html(self, values: Mapping[str, Any]) -> str:
        """Return the HTML of one mail, as it stands inside the frame."""
        return self._html.render_values(values, autoescape=True)

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the text of one mail, as it stands inside the frame."""
        if self._text is None:
            return plain_text(self.html(values))
        return tidy(self._text.render_values(values, autoescape=False))


def html_template(template: Template, scanned: markup.Markup) -> Template:
    """Return the template of which an edited mail's HTML is made: the author's, dressed."""
    return Template(looks.dressed(template.source, scanned), ours=True)


def _compiled(field: str, source: str) -> Template:
    try:
        return Template(source)
    except TemplateError as error:
        raise _in(field, error) from error


def _dressed(template: Template) -> Template:
    scanned = markup.scan(template)
    if scanned.faults:
        raise _in("html_content", scanned.faults[0])
    return html_template(template, scanned)


def _in(field: str, error: TemplateError) -> TemplateError:
    return TemplateError(f"{field}: {error.message}", error.line)
