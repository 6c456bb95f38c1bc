"""The reminder of a weekly goal: on the morning from which every remaining day of the week is needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse

from email_automation.channels import takes_mail
from email_automation.events import SwitchedMessage
from email_automation.pipeline.message import Beat, Stage, register
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run
from email_automation.values import EXAMPLES

from .. import week
from ..checks import NO_CHANNEL
from ..conditions import LABEL, NAME, is_of_a_day, slot
from ..conf import setting
from ..resolver import GoalReminderResolver

COURSE_HOME: Final = f"https://example.com/courses/{EXAMPLES['course']['key']}/home/"


@register
class GoalReminder(SwitchedMessage):
    """Says that the goal can still be reached, by studying on each of the remaining days."""

    NAME = NAME
    title = "Weekly goal reminder"
    category = "goal"
    resolver = GoalReminderResolver
    # A few minutes past, so that no clock that is a little slow takes eight for a minute before.
    beat: ClassVar[Beat | None] = Beat("5 * * * *")
    variables: ClassVar[Mapping[str, Any]] = {
        "course_name": EXAMPLES["course"]["title"],
        "course_url": COURSE_HOME,
        "cta_url": COURSE_HOME,
        "goal_url": f"{COURSE_HOME}#weekly-goal",
        "days_per_week": 3,
        "days_done": 1,
        "days_left": 2,
    }

    @classmethod
    def starting(cls, site_id: int, *, day: date | None = None) -> Run:
        """Return a run of now, or of a given day, on which every learner's clock reads nine.

        Such a day has no instant of its own; the one that the run gets lies before it in every zone, by which it is
        known (`is_of_a_day`).
        """
        if day is None:
            return super().starting(site_id)
        before = datetime.combine(day, time(), tzinfo=UTC) - timedelta(days=1)
        return Run.starting(LABEL, site_id, now=before, day=day)

    @classmethod
    def slot(cls, run: Run) -> str:
        """Return the run's minute in UTC; a run of a given day counts for no morning and is not remembered."""
        return "" if is_of_a_day(run) else slot(run.now)

    @classmethod
    def expiry(cls, run: Run) -> datetime:
        """Return when a mail ends that has no learner's clock to go by: as late in the day as one planned at nine."""
        nine, closes = (datetime.combine(run.day, at) for at in (week.ON_A_GIVEN_DAY, week.CLOSES))
        return run.now + (closes - nine)

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return whether the switches let the message through. Raises ImproperlyConfigured without a channel."""
        if stage == "enqueue" and not run.dry_run and not takes_mail():
            raise ImproperlyConfigured(NO_CHANNEL)
        return super().gate(run, stage)

    @classmethod
    def disabled(cls, account: AbstractBaseUser) -> bool:
        """Return whether the account is off; one that has no password to log in with may count as such."""
        without_password = setting("COURSE_GOALS_SKIP_UNUSABLE_PASSWORD") and not account.has_usable_password()
        return without_password or super().disabled(account)

    @classmethod
    def headers(cls, draft: Draft) -> dict[str, str]:
        """Return the one-click header of the goal's own token."""
        page, _, token = draft.personal["unsubscribe_url"].rpartition("/")
        site = page.removesuffix(reverse("course_goals:unsubscribe-page", args=["x"]).removesuffix("/x"))
        return {
            "List-Unsubscribe": f"<{site}{reverse('course_goals:unsubscribe', args=[token])}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
