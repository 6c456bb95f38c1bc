"""The Django settings of weekly goals and what they are when a project leaves them out. `docs/settings.md` has all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from .week import AccessLimits

DEFAULTS: Final[dict[str, Any]] = {
    # Missing keys are those of week.AccessLimits.
    "AUDIT_ACCESS_LIMITS": {},
    "COURSE_GOALS_AUTHENTICATION_CLASSES": [],
    "COURSE_GOALS_CHOICES": [(1, _("Casual")), (3, _("Regular")), (5, _("Intense"))],
    "COURSE_GOALS_DAYS_RANGE": (1, 7),
    # Requests a minute: of one learner, of one learner or client address, and with one token.
    "COURSE_GOALS_SAVES_PER_MINUTE": 30,
    "COURSE_GOALS_OUTLINES_PER_MINUTE": 120,
    "COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE": 20,
    "COURSE_GOALS_SKIP_UNUSABLE_PASSWORD": True,
}


class Choice(NamedTuple):
    """One goal to choose, in the language that is active."""

    days: int
    name: str


def setting(name: str) -> Any:
    """Return a setting of weekly goals, or its default. Raises KeyError for a name that is none of theirs."""
    return getattr(settings, name, DEFAULTS[name])


def choices() -> list[Choice]:
    """Return the goals that are offered, in their order."""
    return [Choice(days, str(name)) for days, name in setting("COURSE_GOALS_CHOICES")]


def days_range() -> tuple[int, int]:
    """Return the fewest and the most days a week that can be chosen."""
    fewest, most = setting("COURSE_GOALS_DAYS_RANGE")
    return fewest, most


def can_be_chosen(days: int | None) -> bool:
    """Return whether a learner may choose so many days; 0 clears the goal, None leaves it as it is."""
    fewest, most = days_range()
    return not days or fewest <= days <= most


def access_limits() -> AccessLimits:
    """Return until when audit learners may come; `enabled_as_of` may be written as text, a day is its first instant.

    Raises TypeError or ValueError for what cannot be read, which a system check tells at start-up.
    """
    values = dict(setting("AUDIT_ACCESS_LIMITS"))
    as_of = values.get("enabled_as_of")
    if isinstance(as_of, str):
        as_of = datetime.fromisoformat(as_of)
        values["enabled_as_of"] = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    return AccessLimits(**values)
