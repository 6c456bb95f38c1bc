"""The template backend of edited mails. It stands first in TEMPLATES and answers for nothing else."""

from __future__ import annotations

import re
from typing import Any, Final

from django.http import HttpRequest
from django.template import TemplateDoesNotExist, base
from django.template.backends.base import BaseEngine
from django.utils import translation
from django.utils.safestring import SafeString

from ..pipeline import message as messages
from . import frame, stored
from .edited import Edited

#: The sender's name is the site's, so `from_name.txt` always stays the file's.
NAME: Final = re.compile(
    r"(?P<label>\w+)/edx_ace/(?P<message>[\w.-]+)/email/(?P<part>subject\.txt|head\.html|body\.html|body\.txt)"
)


class EditedTemplates(BaseEngine):
    """Answers for the parts of a registered message's mail while people have a template for it in this language."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__({name: value for name, value in params.items() if name != "OPTIONS"})

    def get_template(self, template_name: str) -> EditedPart:
        """Return a part of a mail. Raises TemplateDoesNotExist for all others, so that the file answers."""
        match = NAME.fullmatch(template_name)
        if match and _registered(f"{match['label']}.{match['message']}"):
            edited = stored.current(match["message"], translation.get_language() or "")
            if edited is not None:
                return EditedPart(template_name, match["part"], edited)
        raise TemplateDoesNotExist(template_name, backend=self)


class EditedPart:
    """One part of the mails of a message, as Django's loaders hand templates out."""

    def __init__(self, name: str, part: str, edited: Edited) -> None:
        self.name = name
        self.part = part
        self.edited = edited

    @property
    def around(self) -> base.Template | None:
        """The file template that the part is put into; a subject is in none. Raises TemplateDoesNotExist."""
        return None if self.part == "subject.txt" else frame.around(self.name)

    def render(self, context: dict[str, Any] | None = None, request: HttpRequest | None = None) -> str:
        """Return the part for the values of one mail. Raises TemplateError when they exceed the template's budget."""
        values = dict(context or {})
        if self.part == "subject.txt":
            return self.edited.subject(values)
        if self.part == "head.html":
            content = self.edited.subject(values)
        elif self.part == "body.html":
            content = SafeString(self.edited.html(values))
        else:
            content = SafeString(f"{self.edited.text(values)}\n\n")
        return frame.framed(self.name, self.part, content, values)


def _registered(label: str) -> bool:
    try:
        messages.get(label)
    except ValueError:
        return False
    return True
