"""Who is due by their schedule, and what they read. Only reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from django.contrib.sites.models import Site
from django.db.models import Case, FilteredRelation, Q, QuerySet, When, Window
from django.db.models.functions import Rank, TruncDate

from courses import sites
from courses.models import Course
from courses.statements import ByIds
from email_automation import values, words
from email_automation.language import WISH, chosen_language, long_date
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.policy import course_opted_out
from email_automation.pipeline.resolver import Draft, Resolver, site_of
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


#: The id of a run of which only what it asks counts.
_ANY_RUN: Final = UUID(int=0)


class Facts(NamedTuple):
    """What the mails of one batch may say of a course.

    `sku` is that of the verified mode, None where nobody can choose that mode (any more). `weekly` are the highlights
    week by week, where the message is about them.
    """

    key: str
    title: str
    org: str
    language: str
    price: Decimal | None
    currency: str
    sku: str | None
    weekly: Sequence[Sequence[str]] = ()


class Due(NamedTuple):
    """What of one schedule a mail may depend on.

    `day` is the UTC day of the resolver's date field; `until` that of the upgrade deadline, None where the learner's
    mode cannot upgrade or the deadline has passed.
    """

    course_id: int
    day: date
    until: date | None


class _Row(NamedTuple):
    """A schedule as it is read for a draft. `turn` orders by the date field: to read the instant takes longer."""

    pk: int
    user_id: int
    turn: int
    wish: str | None
    opted_out: bool
    course_id: int
    day: date
    until: date | None


class _Content(NamedTuple):
    """What the drafts of one cohort share."""

    shared: dict[str, Any] | None
    about: dict[str, Any]
    course_keys: tuple[str, ...]


class ScheduleResolver(Resolver):
    """Mails about schedules: one per target, which is whatever `target_of` says of a schedule.

    Subclasses name the message, the date field that orders the courses of one mail, and the window.
    """

    message_name: ClassVar[str]
    date_field: ClassVar[str]
    window: ClassVar[Condition]
    user_path = "enrollment__user_id"
    content_path = "enrollment__course_id"
    asks_course_opt_outs = True
    #: The reason of a skip when `shared` finds nothing to say.
    nothing_to_say: ClassVar[str] = ""

    def rows(self) -> QuerySet[Schedule]:
        """Return every schedule, with what `subject_of` reads of it."""
        return Schedule.objects.select_related("enrollment__course")

    def candidates(self, run: Run) -> QuerySet[Schedule]:
        """Return the schedules in the run's window, which has an index."""
        return self.rows().filter(self.window.for_run(run))

    def subject_of(self, row: Schedule) -> str:
        """Return the course's key and the row's dates."""
        deadline = f", upgrade by {row.upgrade_deadline:%Y-%m-%d %H:%M}Z" if row.upgrade_deadline else ""
        return f"{row.enrollment.course.key} (schedule {row.pk}, start {row.start_date:%Y-%m-%d %H:%M}Z{deadline})"

    def target_of(self, pk: int, user_id: int) -> int:
        """Return the id of the target a schedule belongs to."""
        raise NotImplementedError

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return one draft per target that still has an eligible schedule, in a constant number of queries.

        Drafts about the same courses in the same language share their values.
        """
        # mypy takes a class's `__hash__` for that of its instances.
        schedules, courses = _statements(type(self), replace(run, id=_ANY_RUN, memory={}))  # type: ignore[arg-type]
        found = [_Row(*read) for read in schedules.rows(target_ids)]
        facts = self.facts(courses, {row.course_id for row in found})
        by_target: dict[int, list[_Row]] = defaultdict(list)
        for row in found:
            # A course that has been deleted since has taken its schedules with it.
            if row.course_id in facts:
                by_target[self.target_of(row.pk, row.user_id)].append(row)
        site = site_of(run)
        platform_language = getattr(getattr(site, "configuration", None), "language", "")
        chosen = cache(chosen_language)
        contents: dict[tuple[str, tuple[Due, ...]], _Content] = {}
        drafts = []
        for target_id, rows in by_target.items():
            user_id = rows[0].user_id
            wanted = [row for row in rows if not row.opted_out]
            if not wanted:
                drafts.append(Draft(target_id=target_id, user_id=user_id, skip=words.OPTED_OUT_COURSE))
                continue
            if len(wanted) > 1:
                # The database's collation must not decide which course comes first.
                wanted.sort(key=lambda row: (row.turn, facts[row.course_id].key))
            first = wanted[0]
            language = chosen(first.wish or "", facts[first.course_id].language, platform_language)
            dues = tuple(Due(row.course_id, row.day, row.until) for row in wanted)
            content = contents.get((language, dues))
            if content is None:
                content = contents[language, dues] = self._content(run, dues, facts, site, language)
            drafts.append(
                Draft(
                    target_id=target_id,
                    user_id=user_id,
                    language=language,
                    shared=content.shared or {},
                    course_id=first.course_id,
                    course_keys=content.course_keys,
                    about=content.about,
                    occasion=self.occasion(run, target_id, first.day),
                    skip="" if content.shared is not None else self.nothing_to_say,
                )
            )
        return drafts

    def facts(self, courses: ByIds, course_ids: Collection[int]) -> dict[int, Facts]:
        """Return what the mails of a batch may say of some of the courses, by their ids."""
        return {pk: Facts(*read) for pk, *read in courses.rows(course_ids)}

    def _content(
        self, run: Run, dues: tuple[Due, ...], facts: Mapping[int, Facts], site: Site, language: str
    ) -> _Content:
        course = facts[dues[0].course_id]
        links = CampaignLinks(site, campaign=self.message_name, first_course=course.key)
        return _Content(
            self.shared(run, dues, facts=facts, links=links, language=language),
            {"course": values.course(course, url=links.course_home(course.key))},
            tuple(facts[due.course_id].key for due in dues),
        )

    def shared(
        self, run: Run, dues: Sequence[Due], *, facts: Mapping[int, Facts], links: CampaignLinks, language: str
    ) -> dict[str, Any] | None:
        """Return the values of one mail, made from its own schedules only, the first course's first; None: no mail.

        Whatever else differs between learners does not belong here: the values are those of everybody with these dues.
        """
        first = dues[0]
        course = facts[first.course_id]
        course_url, dashboard_url = links.course_home(course.key), links.dashboard()
        shared: dict[str, Any] = {
            "course_name": course.title,
            "course_url": course_url,
            "course_ids": [facts[due.course_id].key for due in dues],
            "course_count": len(dues),
            "dashboard_url": dashboard_url,
            "cta_url": course_url if len(dues) == 1 else dashboard_url,
            "show_upsell": False,
        }
        if first.until is not None and course.sku is not None:
            shared |= {
                "show_upsell": True,
                "upsell_link": links.upgrade(course.sku),
                "user_schedule_upgrade_deadline_time": long_date(first.until, language),
            }
        return shared


class LearnerResolver(ScheduleResolver):
    """One mail per learner about all courses whose schedule reaches the same point on the same day.

    `days` says how many days after the run day that day lies.
    """

    days: ClassVar[int]
    target_path = "enrollment__user_id"

    def target_of(self, pk: int, user_id: int) -> int:
        """Return the learner."""
        return user_id

    def target_day(self, run: Run) -> date:
        """Return the day the mail is about."""
        return run.day + timedelta(days=self.days)

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `<message>:<learner>:<target day>`; no site, so two sites never mail one learner twice."""
        return f"{self.message_name}:{target_id}:{self.target_day(run)}"


@lru_cache(maxsize=32)
def _statements(resolver: type[ScheduleResolver], run: Run) -> tuple[ByIds, ByIds]:
    """Return what reads the drafts of a run: `_Row`s by their targets, and ids of courses with their `Facts`.

    The conditions of schedules read nothing but the run's own fields, so what they come to is kept.
    """
    can_upgrade = Q(enrollment__mode__in=dates.MODES_THAT_CAN_UPGRADE, upgrade_deadline__gt=run.now)
    schedules: QuerySet[Any] = (
        resolver()
        .eligible(run)
        .annotate(
            turn=Window(Rank(), order_by=resolver.date_field),
            opted_out=course_opted_out(user="enrollment__user_id", course="enrollment__course_id"),
            day=TruncDate(resolver.date_field, tzinfo=UTC),
            until=Case(When(can_upgrade, then=TruncDate("upgrade_deadline", tzinfo=UTC))),
        )
    )
    live = Q(modes__expires_at=None) | Q(modes__expires_at__gt=run.now)
    courses = Course.objects.annotate(verified=FilteredRelation("modes", condition=Q(modes__slug="verified") & live))
    schedules = schedules.values_list(
        *("pk", "enrollment__user_id", "turn", f"enrollment__user__{WISH}", "opted_out", "enrollment__course_id"),
        *("day", "until"),
    )
    facts = courses.order_by().values_list(
        "pk", "key", "title", "org", "language", "price", "currency", "verified__sku"
    )
    return ByIds(schedules, resolver.target_path), ByIds(facts, "pk")
