"""Who is due by their schedule, and what they read. Only reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, ClassVar

from django.contrib.sites.models import Site
from django.db.models import Q, QuerySet

from courses import sites
from courses.models import CourseMode
from email_automation import values, words
from email_automation.language import chosen_language, long_date, wishes_of
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.policy import course_opt_outs
from email_automation.pipeline.resolver import Draft, Resolver
from email_automation.pipeline.run import Run

from . import dates
from .links import CampaignLinks
from .models import Schedule, ScheduleExperience


def in_day(date_field: str, day: date) -> Q:
    """Return the rule that a date field lies in a UTC day."""
    first, after = dates.day_window(day)
    return Q(**{f"{date_field}__gte": first, f"{date_field}__lt": after})


def in_window(date_field: str, days: int) -> Condition:
    """Return the rule that a date field lies in the UTC day `days` after (or before) the run day."""
    distance = f"{abs(days)} days {'before' if days < 0 else 'after'} the run day"
    return Condition(
        "in_window",
        lambda run: in_day(date_field, run.day + timedelta(days=days)),
        f"{date_field} lies in the UTC day {distance}",
    )


def experience(wanted: int) -> Condition:
    """Return the rule that a schedule receives this family of mails; a missing row reads as nudges."""
    q, missing = Q(experience__experience_type=wanted), ""
    if wanted == ScheduleExperience.NUDGES:
        q |= Q(experience__isnull=True)
        missing = " or there is no row"
    return Condition("experience", q, f"The schedule's experience is {wanted}{missing}")


#: The rules all of schedules' messages share, after the window and the experience.
SHARED_CONDITIONS = (
    Condition("active_enrollment", Q(enrollment__is_active=True), "The enrolment is active"),
    Condition("active_user", Q(enrollment__user__is_active=True), "The account is active"),
    Condition(
        "usable_password",
        ~Q(enrollment__user__password__startswith="!"),
        "The account has a usable password",
    ),
    Condition("self_paced", Q(enrollment__course__self_paced=True), "The course is self-paced"),
    Condition(
        "course_started",
        lambda run: Q(enrollment__course__start=None) | Q(enrollment__course__start__lte=run.now),
        "The course has started",
    ),
    Condition(
        "course_not_ended",
        lambda run: Q(enrollment__course__end=None) | Q(enrollment__course__end__gte=run.now),
        "The course has not ended",
    ),
    Condition(
        "org_of_site",
        lambda run: sites.org_q(run.site_id, "enrollment__course__org"),
        "The course belongs to the run's site",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the mails of one batch need to know of their courses, by course id.

    `highlights` are the texts of the sections a learner sees and that have any, in the order of the course.
    """

    verified: Mapping[int, CourseMode]
    highlights: Mapping[int, Sequence[Sequence[str]]] = field(default_factory=dict)


#: What a mail is made of; the other columns of three tables would take as long to read.
_READ = (
    *("start_date", "upgrade_deadline", "enrollment__user_id", "enrollment__mode", "enrollment__is_active"),
    *(f"enrollment__course__{name}" for name in ("key", "title", "org", "self_paced", "language", "price", "currency")),
)


class ScheduleResolver(Resolver):
    """Mails about schedules: one per target, which is whatever `target_of` says of a schedule.

    Subclasses name the message, the date field that orders the courses of one mail, and the window.
    """

    message_name: ClassVar[str]
    date_field: ClassVar[str]
    window: ClassVar[Condition]
    user_path = "enrollment__user_id"
    asks_course_opt_outs = True
    #: The reason of a skip when `shared` finds nothing to say.
    nothing_to_say: ClassVar[str] = ""

    def rows(self) -> QuerySet[Schedule]:
        """Return every schedule, with what `subject_of` and `drafts` read of it."""
        return Schedule.objects.select_related("enrollment__course")

    def candidates(self, run: Run) -> QuerySet[Schedule]:
        """Return the schedules in the run's window, which has an index."""
        return self.rows().filter(self.window.for_run(run))

    def subject_of(self, row: Schedule) -> str:
        """Return the course's key and the row's dates."""
        deadline = f", upgrade by {row.upgrade_deadline:%Y-%m-%d %H:%M}Z" if row.upgrade_deadline else ""
        return f"{row.enrollment.course.key} (schedule {row.pk}, start {row.start_date:%Y-%m-%d %H:%M}Z{deadline})"

    def target_of(self, schedule: Schedule) -> int:
        """Return the id of the target a schedule belongs to."""
        raise NotImplementedError

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return one draft per target that still has an eligible schedule, in a constant number of queries."""
        schedules = list(self.eligible(run, target_ids=target_ids).only(*_READ))
        by_target: dict[int, list[Schedule]] = defaultdict(list)
        for schedule in schedules:
            by_target[self.target_of(schedule)].append(schedule)
        learners = {schedule.enrollment.user_id for schedule in schedules}
        out = course_opt_outs(learners)
        profiles = wishes_of(learners)
        site = Site.objects.select_related("configuration").get(pk=run.site_id)
        platform_language = getattr(getattr(site, "configuration", None), "language", "")
        facts = self.facts({schedule.enrollment.course_id for schedule in schedules})
        chosen = cache(chosen_language)
        drafts = []
        for target_id, rows in by_target.items():
            user_id = rows[0].enrollment.user_id
            wanted = [row for row in rows if (user_id, row.enrollment.course_id) not in out]
            if not wanted:
                drafts.append(Draft(target_id=target_id, user_id=user_id, skip=words.OPTED_OUT_COURSE))
                continue
            # The database's collation must not decide which course comes first.
            wanted.sort(key=lambda row: (getattr(row, self.date_field), row.enrollment.course.key))
            first = wanted[0].enrollment
            language = chosen(profiles.get(user_id, ""), first.course.language, platform_language)
            links = CampaignLinks(site, campaign=self.message_name, first_course=first.course.key)
            shared = self.shared(run, wanted, facts=facts, links=links, language=language)
            drafts.append(
                Draft(
                    target_id=target_id,
                    user_id=user_id,
                    language=language,
                    shared=shared or {},
                    course_id=first.course_id,
                    course_keys=tuple(row.enrollment.course.key for row in wanted),
                    about={"course": values.course(first.course, url=links.course_home(first.course.key))},
                    occasion=self.occasion(run, target_id, *(getattr(wanted[0], path) for path in self.occasion_paths)),
                    skip="" if shared is not None else self.nothing_to_say,
                )
            )
        return drafts

    def facts(self, course_ids: Collection[int]) -> Facts:
        """Return what the mails of a batch need to know of their courses."""
        modes = CourseMode.objects.filter(course_id__in=course_ids, slug="verified").only(
            "course_id", "sku", "expires_at"
        )
        return Facts(verified={mode.course_id: mode for mode in modes})

    def shared(
        self, run: Run, schedules: Sequence[Schedule], *, facts: Facts, links: CampaignLinks, language: str
    ) -> dict[str, Any] | None:
        """Return the values of one mail, made from its own schedules only, the first course's first; None: no mail."""
        first = schedules[0]
        course = first.enrollment.course
        course_url, dashboard_url = links.course_home(course.key), links.dashboard()
        shared: dict[str, Any] = {
            "course_name": course.title,
            "course_url": course_url,
            "course_ids": [row.enrollment.course.key for row in schedules],
            "course_count": len(schedules),
            "dashboard_url": dashboard_url,
            "cta_url": course_url if len(schedules) == 1 else dashboard_url,
            "show_upsell": False,
        }
        mode = facts.verified.get(course.pk)
        if first.upgrade_deadline is not None and can_upgrade(first, mode, run.now):
            shared |= {
                "show_upsell": True,
                "upsell_link": links.upgrade(mode),
                "user_schedule_upgrade_deadline_time": long_date(first.upgrade_deadline, language),
            }
        return shared


class LearnerResolver(ScheduleResolver):
    """One mail per learner about all courses whose schedule reaches the same point on the same day.

    `days` says how many days after the run day that day lies.
    """

    days: ClassVar[int]
    target_path = "enrollment__user_id"

    def target_of(self, schedule: Schedule) -> int:
        """Return the learner."""
        return schedule.enrollment.user_id

    def target_day(self, run: Run) -> date:
        """Return the day the mail is about."""
        return run.day + timedelta(days=self.days)

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `<message>:<learner>:<target day>`; no site, so two sites never mail one learner twice."""
        return f"{self.message_name}:{target_id}:{self.target_day(run)}"


def can_upgrade(schedule: Schedule, verified_mode: CourseMode | None, now: datetime) -> bool:
    """Return whether a mail may offer the verified track for this schedule at this instant."""
    enrollment = schedule.enrollment
    return (
        schedule.upgrade_deadline is not None
        and schedule.upgrade_deadline > now
        and enrollment.mode in dates.MODES_THAT_CAN_UPGRADE
        and enrollment.is_active
        and enrollment.course.self_paced
        and verified_mode is not None
        and (verified_mode.expires_at is None or verified_mode.expires_at > now)
    )
