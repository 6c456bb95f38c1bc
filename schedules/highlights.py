"""The highlights of a section: what an author may write, and how it is saved."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from django.db import transaction
from django.utils.translation import gettext as _

from courses.bulk import locked, retry_on_deadlock
from courses.models import Course, Section
from courses.services import record_course, record_section
from courses.validators import HIGHLIGHT_LENGTH

MOST_TEXTS = 10
EXCERPT = 30


@dataclass(frozen=True)
class Fault:
    """What is wrong with one text, or with their number: then `number` is None and `length` counts the texts."""

    code: str
    message: str
    length: int
    number: int | None = None


class ChangedMeanwhile(Exception):
    """Somebody else has saved other texts than those the author has been shown."""

    def __init__(self, stored: list[str]) -> None:
        super().__init__("the section's highlights have changed")
        self.stored = stored


def one_line(text: str) -> str:
    """Return a text as it is stored and counted: trimmed, and on one line, as it becomes an item of a mail's list."""
    return " ".join(line.strip() for line in text.replace("\t", " ").splitlines() if line.strip())


def written(posted: Sequence[str]) -> list[str]:
    """Return the texts of a form as they are stored, without the blank ones."""
    return [text for text in map(one_line, posted) if text]


def faults(posted: Sequence[str]) -> list[Fault]:
    """Return what keeps the texts of a form from being saved; texts are numbered from 1, the blank ones included."""
    found = []
    for number, text in enumerate(map(one_line, posted), start=1):
        if len(text) > HIGHLIGHT_LENGTH:
            found.append(Fault("too_long", _too_long(number, text), len(text), number))
        if character := next(filter(_cannot_be_kept, text), ""):
            found.append(Fault("bad_character", _bad_character(number, text, character), len(text), number))
    count = len(written(posted))
    if count > MOST_TEXTS:
        message = _("There are %(count)s highlights. A section can have at most %(limit)s.")
        found.append(Fault("too_many", message % {"count": count, "limit": MOST_TEXTS}, count))
    return found


def _cannot_be_kept(character: str) -> bool:
    """Tell whether a database or a mail would refuse a character: controls, NUL among them, and half characters."""
    return unicodedata.category(character) in ("Cc", "Cs")


def _too_long(number: int, text: str) -> str:
    message = _("Highlight %(number)s, “%(start)s…”, has %(length)s characters. At most %(limit)s are allowed.")
    values = {"number": number, "start": _excerpt(text), "length": len(text), "limit": HIGHLIGHT_LENGTH}
    return message % values


def _bad_character(number: int, text: str, character: str) -> str:
    message = _("Highlight %(number)s, “%(start)s…”, holds the control character %(code)s. Please take it out.")
    return message % {"number": number, "start": _excerpt(text), "code": f"U+{ord(character):04X}"}


def _excerpt(text: str) -> str:
    return "".join("\N{REPLACEMENT CHARACTER}" if _cannot_be_kept(character) else character for character in text)[
        :EXCERPT
    ]


def fingerprint(texts: Sequence[str]) -> str:
    """Return what a form carries to say which texts it has shown."""
    return sha256(json.dumps(list(texts)).encode()).hexdigest()


@retry_on_deadlock
def save(course: Course, section_id: int, texts: list[str], *, shown: str) -> Section:
    """Store texts without faults as the highlights of a section of the course.

    Raises Section.DoesNotExist, and ChangedMeanwhile when the stored texts are neither these nor those whose
    fingerprint is `shown`.
    """
    with transaction.atomic():
        section = locked(Section.objects.filter(course=course)).get(pk=section_id)
        if section.highlights != texts and fingerprint(section.highlights) != shown:
            raise ChangedMeanwhile(section.highlights)
        section, _word = record_section(course, section.index, highlights=texts)
        return section


@retry_on_deadlock
def switch_messaging(course: Course, on: bool) -> Course:
    """Turn the mailing of a course's highlights on or off. Raises Course.DoesNotExist."""
    with transaction.atomic():
        # Recording alone would bring back a course that has been deleted since.
        course = locked(Course.objects.all()).get(pk=course.pk)
        course, _word = record_course(course.key, highlights_enabled_for_messaging=on)
        return course
