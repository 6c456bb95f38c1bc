"""The check before saving: everything that could be wrong with an edited template, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.template import base
from django.utils import translation

from .. import values
from ..pipeline.message import MessageType
from . import attributes, markup, walk
from .budget import TRIAL_STEPS, Budget
from .edited import html_template
from .errors import TemplateError
from .frame import takes_content
from .sandbox import Template
from .subject import LONGEST_SUBJECT, one_line

MOST_PROBLEMS: Final = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: with which field of EmailTemplate, in which line (0: in none), and what."""

    field: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


def samples(kind: type[MessageType]) -> dict[str, Any]:
    """Return an example of every value a template of the message may use."""
    return values.EXAMPLES | dict(kind.variables)


def problems(kind: type[MessageType], *, subject: str, html: str, text: str, languages: Sequence[str]) -> list[Problem]:
    """Return what keeps these sources from being sent as this message, in the order of fields and lines.

    Every branch is checked, also those that no example takes; then all of it is rendered in each language, and with
    each optional value missing.
    """
    known = samples(kind)
    found: list[Problem] = []
    if not takes_content(kind):
        found.append(Problem("html_content", 0, "the message's own body.html has no block for it, named content"))
    sources = (("subject", subject), ("html_content", html), ("text_content", text))
    for field, source in sources:
        if not source.strip():
            if field != "text_content":
                found.append(Problem(field, 0, "it is empty"))
            continue
        faults = sorted(_faults(field, source, known, languages), key=lambda fault: fault.line)
        told = dict.fromkeys((fault.line, fault.message) for fault in faults)
        found += [Problem(field, line, message) for line, message in list(told)[:MOST_PROBLEMS]]
    return found


def _faults(field: str, source: str, known: Mapping[str, Any], languages: Sequence[str]) -> list[TemplateError]:
    is_html = field == "html_content"
    try:
        template = Template(source)
    except TemplateError as error:
        return [error]
    faults = walk.faults(template, known, autoescape=is_html)
    scanned = markup.scan(template) if is_html else None
    if scanned is not None:
        faults += [*scanned.faults, *_code(template)]
    if field == "subject" and len(source.splitlines()) > 1:
        faults.append(TemplateError("a subject has one line", 2))
    if faults:
        return faults
    # Rendered is what will be sent.
    sent = html_template(template, scanned) if scanned is not None else template
    return list(_failures(field, sent, known, languages))


def _code(template: Template) -> Iterator[TemplateError]:
    """Yield the texts in tags that would make an address run code, wherever the address is."""
    for token in template.tokens:
        if token.token_type in (base.TokenType.VAR, base.TokenType.BLOCK) and attributes.mentions_code(token.contents):
            yield TemplateError("an address that runs code is not possible in a mail", token.lineno or 1)


def _failures(
    field: str, template: Template, known: Mapping[str, Any], languages: Sequence[str]
) -> Iterator[TemplateError]:
    """Yield what goes wrong only when the template is rendered."""
    for language, absent in _occasions(template, languages):
        where = f"in {language}" + (f" without {' and '.join(absent)}" if absent else "")
        with translation.override(language):
            try:
                rendered = template.render_values(
                    {**known, **dict.fromkeys(absent)}, autoescape=field == "html_content", budget=Budget(TRIAL_STEPS)
                )
            except TemplateError as error:
                yield error
                return
        if field == "subject" and not absent and not one_line(rendered):
            yield TemplateError(f"it is empty {where}")
        if field == "subject" and len(one_line(rendered)) > LONGEST_SUBJECT:
            yield TemplateError(f"it has more than {LONGEST_SUBJECT} characters {where}")
        if field == "html_content" and attributes.runs_code(rendered):
            yield TemplateError(f"it makes an address that runs code {where}")


def _occasions(template: Template, languages: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every language with all values there, then one with each optional value absent, and with all of them."""
    used = [name for name in values.ABOUT if name in template.source]
    yield from ((language, ()) for language in languages)
    yield from ((languages[0], (name,)) for name in used)
    if len(used) > 1:
        yield languages[0], tuple(used)
