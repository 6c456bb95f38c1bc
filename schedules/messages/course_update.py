"""The weekly course update: what the coming week of a course holds, as its author has put it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.db.models import Exists, Q, Subquery

from courses.statements import ByIds
from courses.switches import FlagState, courses_with_flag, current_config, flag_q
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.message import Beat, MessageType, Stage, register
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run

from ..facts import weekly_highlights
from ..links import CampaignLinks
from ..models import ScheduleConfig, ScheduleExperience
from ..resolver import SHARED_CONDITIONS, Due, Facts, ScheduleResolver, experience, in_day
from . import VARIABLES

FLAG = "schedules.send_updates_for_course"
LAST_WEEK = 11


def _in_a_weekly_window(run: Run) -> Q:
    weeks = range(1, LAST_WEEK + 1)
    return reduce(or_, (in_day("start_date", run.day - timedelta(weeks=week)) for week in weeks))


def _updates_allowed(run: Run) -> Q:
    newest = ScheduleConfig.objects.filter(site_id=run.site_id).order_by("-change_date", "-id").values("pk")[:1]
    site_allows = Exists(ScheduleConfig.objects.filter(pk=Subquery(newest), enqueue_course_update=True))
    return Q(site_allows) | flag_q(FLAG, "enrollment__course")


def week_of(run: Run, start: datetime | date) -> int:
    """Return which week of a schedule that starts then, or on that UTC day, ends on the run day; 0 when none does."""
    day = start.astimezone(UTC).date() if isinstance(start, datetime) else start
    weeks, rest = divmod((run.day - day).days, 7)
    return weeks if rest == 0 and 1 <= weeks <= LAST_WEEK else 0


class CourseUpdateResolver(ScheduleResolver):
    """Schedules that began a whole number of weeks before the run day, up to eleven."""

    message_name = "courseupdate"
    date_field = "start_date"
    target_path = "pk"
    occasion_paths = ("start_date",)
    nothing_to_say = "no_highlights"
    window = Condition(
        "in_window",
        _in_a_weekly_window,
        f"start_date lies in the UTC day 7, 14, … or {7 * LAST_WEEK} days before the run day",
    )
    conditions = (
        window,
        experience(ScheduleExperience.COURSE_UPDATES),
        *SHARED_CONDITIONS,
        Condition(
            "updates_allowed",
            _updates_allowed,
            f"Course updates are on for the site, or flag {FLAG} is on for the course",
        ),
    )

    def target_of(self, pk: int, user_id: int) -> int:
        """Return the schedule itself."""
        return pk

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `courseupdate:<schedule>:<week>`."""
        return f"{self.message_name}:{target_id}:{week_of(run, values[0])}"

    def facts(self, courses: ByIds, course_ids: Collection[int]) -> dict[int, Facts]:
        """Return also the courses' highlights, where an author has switched messaging on."""
        weekly = weekly_highlights(course_ids)
        found = super().facts(courses, course_ids)
        return {pk: course._replace(weekly=weekly.get(pk, ())) for pk, course in found.items()}

    def shared(
        self, run: Run, dues: Sequence[Due], *, facts: Mapping[int, Facts], links: CampaignLinks, language: str
    ) -> dict[str, Any] | None:
        """Return a nudge's values, and the highlights of the week; None when the course has none for it."""
        week = week_of(run, dues[0].day)
        weeks = facts[dues[0].course_id].weekly
        shared = super().shared(run, dues, facts=facts, links=links, language=language)
        if shared is None or week > len(weeks):
            return None
        return shared | {"week_num": week, "week_highlights": list(weeks[week - 1])}


@register
class CourseUpdate(MessageType):
    """Lists what the coming week holds and leads back into the course."""

    NAME = "courseupdate"
    title = "Weekly course update"
    category = "reminder"
    max_lateness = 3
    resolver = CourseUpdateResolver
    beat: ClassVar[Beat | None] = Beat("0 6 * * *")
    variables: ClassVar[Mapping[str, Any]] = {
        **VARIABLES,
        "week_num": 3,
        "week_highlights": ["Read a tide table", "Plot a course across a current", "Check yourself with a quiz"],
    }

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return whether the site's switch, or at least one course's flag, lets updates through at this stage."""
        return _switched_on(run, stage) or _allows_some(courses_with_flag(FLAG))

    @classmethod
    def stopped(cls, run: Run, drafts: Sequence[Draft]) -> set[int]:
        """Return the targets whose course has no flag, while the site's switch is off."""
        if not drafts or _switched_on(run, "deliver"):
            return set()
        flag = courses_with_flag(FLAG)
        return {draft.target_id for draft in drafts if draft.course_id is None or not flag.is_on(draft.course_id)}


def _switched_on(run: Run, stage: Stage) -> bool:
    config = current_config(ScheduleConfig, site_id=run.site_id)
    return bool(config and getattr(config, f"{stage}_course_update"))


def _allows_some(flag: FlagState) -> bool:
    return flag.everyone is True or (flag.everyone is None and bool(flag.on_ids))
