"""The nudges: a mail on day 3 and on day 10 of a learner's own schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from courses.switches import current_config
from email_automation.pipeline.message import Beat, MessageType, Stage, register
from email_automation.pipeline.run import Run

from ..models import ScheduleConfig, ScheduleExperience
from ..resolver import SHARED_CONDITIONS, LearnerResolver, experience, in_window
from . import VARIABLES


class _NudgeResolver(LearnerResolver):
    date_field = "start_date"


class Day3Resolver(_NudgeResolver):
    """Learners whose schedule began three days before the run day."""

    message_name = "recurringnudge_day3"
    days = -3
    window = in_window("start_date", days)
    conditions = (window, experience(ScheduleExperience.NUDGES), *SHARED_CONDITIONS)


class Day10Resolver(_NudgeResolver):
    """Learners whose schedule began ten days before the run day."""

    message_name = "recurringnudge_day10"
    days = -10
    window = in_window("start_date", days)
    conditions = (window, experience(ScheduleExperience.NUDGES), *SHARED_CONDITIONS)


class _RecurringNudge(MessageType):
    category = "reminder"
    max_lateness = 2
    beat: ClassVar[Beat | None] = Beat("0 6 * * *")
    variables: ClassVar[Mapping[str, Any]] = VARIABLES

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return the site's switch for this stage."""
        config = current_config(ScheduleConfig, site_id=run.site_id)
        return bool(config and getattr(config, f"{stage}_recurring_nudge"))


@register
class RecurringNudgeDay3(_RecurringNudge):
    """Recalls the enrolment and invites to start."""

    NAME = "recurringnudge_day3"
    title = "Recurring nudge, day 3"
    resolver = Day3Resolver


@register
class RecurringNudgeDay10(_RecurringNudge):
    """Says what fellow learners do and invites to go on."""

    NAME = "recurringnudge_day10"
    title = "Recurring nudge, day 10"
    resolver = Day10Resolver
