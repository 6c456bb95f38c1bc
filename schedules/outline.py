"""The outline of a course as its author sees it: what the weekly mail lists, section by section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from courses.models import Course, Section

from .messages.course_update import LAST_WEEK


@dataclass(frozen=True)
class Line:
    """One section: its texts that are not blank, and the week whose mail lists them (None: no mail does)."""

    section: Section
    texts: list[str]
    week: int | None

    @property
    def hidden(self) -> bool:
        """Whether learners do not see the section."""
        return self.section.visible_to_staff_only or self.section.hide_from_toc

    @property
    def too_late(self) -> bool:
        """Whether the week is one in which no mail goes out any more."""
        return self.week is not None and self.week > LAST_WEEK

    @property
    def days(self) -> int:
        """How long after a learner's start the mail goes out."""
        return 7 * (self.week or 0)


def outline_of(course: Course) -> list[Line]:
    """Return the sections of a course in their order, in one query."""
    return numbered(Section.objects.filter(course=course).order_by("index"))


def numbered(sections: Iterable[Section]) -> list[Line]:
    """Number the sections that learners see and that have highlights, as the course update does."""
    weeks = count(1)
    lines = []
    for section in sections:
        texts = [text for text in section.highlights if text.strip()]
        line = Line(section, texts, week=None)
        lines.append(Line(section, texts, next(weeks)) if texts and not line.hidden else line)
    return lines
