"""The conditions of the reminder, what they compare of each goal, and the numbers behind their answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import (
    BooleanField,
    Case,
    CharField,
    Count,
    DateField,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Concat

from courses.models import Certificate, CourseMode, Enrollment, UserActivity
from courses.switches import learner_flag_q
from email_automation.models import EmailLog, MessageRun
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.run import Run

from . import week
from .access import FLAG
from .conf import access_limits
from .models import MOST_DAYS, CourseGoal
from .readings import Readings, Zones
from .week import Clock

NAME: Final = "goal_reminder"
LABEL: Final = f"course_goals.{NAME}"
SLOT: Final = "%Y-%m-%dT%H:%MZ"
#: No morning began longer before an instant of its afternoon.
SINCE_MORNING: Final = timedelta(hours=12)

_THEIR_COURSE: Final = {"user_id": OuterRef("user_id"), "course_id": OuterRef("course_id")}


def is_of_a_day(run: Run) -> bool:
    """Return whether a run is of a given day, on which every clock reads nine, and not of its instant."""
    return run.day != run.now.astimezone(UTC).date()


def clock_of(run: Run, zone: ZoneInfo) -> Clock:
    """Return how a zone's clock reads on a run."""
    return Clock.on(run.day, zone) if is_of_a_day(run) else Clock.at(run.now, zone)


def _access_outlasts(run: Run) -> Q:
    """Return the rule that access does not end before the week does.

    It ends before when both enrolment and start lie before `oldest`, the week's end less the time the course takes.
    """
    limits = access_limits()
    if not limits.enabled:
        return Q()
    ending = Enrollment.objects.filter(**_THEIR_COURSE, mode="audit", created_at__lt=OuterRef("oldest"))
    if limits.enabled_as_of is not None:
        ending = ending.filter(created_at__gte=limits.enabled_as_of)
    verified = CourseMode.objects.filter(course_id=OuterRef("course_id"), slug="verified")
    return Q(course__start__gte=F("oldest")) | ~(Exists(ending) & Exists(verified))


CONDITIONS: Final = (
    Condition("goal_set", Q(days_per_week__gte=1, days_per_week__lte=MOST_DAYS), "A weekly goal is set."),
    Condition("reminders_on", Q(subscribed_to_reminders=True), "The learner wants reminders for this goal."),
    Condition("local_morning", Q(is_open=True), "It is morning where the learner is."),
    Condition(
        "days_left_match",
        Q(days_per_week__gte=F("left"), days_per_week=F("left") + F("done"), studied_today=False),
        "From today on, every remaining day of the week is needed.",
    ),
    Condition(
        "goals_enabled",
        learner_flag_q(FLAG, course_field="course", user_field="user"),
        "Weekly goals are switched on for this course and learner.",
    ),
    Condition(
        "enrolled_before_this_week",
        Q(Exists(Enrollment.objects.filter(**_THEIR_COURSE, is_active=True, created_at__lt=OuterRef("week_start")))),
        "The learner is enrolled, and was before this week.",
    ),
    Condition(
        "course_running",
        (Q(course__start=None) | Q(course__start__lte=F("clock_now")))
        & (Q(course__end=None) | Q(course__end__gte=F("week_end"))),
        "The course has begun and does not end this week.",
    ),
    Condition("access_outlasts_week", _access_outlasts, "Access does not run out this week."),
    Condition(
        "not_completed",
        ~Q(Exists(Certificate.objects.filter(**_THEIR_COURSE, status="downloadable"))),
        "The learner has not completed the course.",
    ),
    Condition(
        "not_reminded_this_week",
        ~Q(Exists(EmailLog.objects.filter(dedupe_key=OuterRef("key")))),
        "No reminder has gone out for this goal this week.",
    ),
)
#: Whoever passes these is counted as due, whatever comes of it.
DUE: Final = CONDITIONS[:4]


def slot(instant: datetime) -> str:
    """Return the name of a run of an instant: its minute in UTC."""
    return instant.astimezone(UTC).strftime(SLOT)


def readings(run: Run, zones: Zones) -> Readings:
    """Return what the clocks read on a run, in one statement: which runs of the last hours count."""
    since, until = slot(run.now - SINCE_MORNING), slot(run.now)
    counting = MessageRun.objects.filter(
        message=LABEL, site_id=run.site_id, slot__gte=since, slot__lte=until,
        status__in=(MessageRun.PLANNED, MessageRun.DONE),
    )  # fmt: skip
    instants = [datetime.strptime(name, SLOT).replace(tzinfo=UTC) for name in counting.values_list("slot", flat=True)]
    return Readings(zones, lambda zone: clock_of(run, zone), instants)


def compared(goals: QuerySet[CourseGoal], run: Run, found: Readings) -> QuerySet[CourseGoal]:
    """Return goals with what the conditions compare.

    `zone`, `clock_now`, `is_open`, `day`, `monday`, `left`, `week_start`, `week_end`: what the learner's clock reads.
    `closes`: when the day's mail must not go out any more, on the run's own clock. `key`: the week's dedupe key.
    `oldest`: what begins earlier and takes the course's time ends within the week. `done`, `studied_today`: the week so
    far.
    """

    def read(value: Any, output_field: Any) -> Case:
        return found.column(
            lambda zone: value(found.clocks[zone]), output_field, profile="user__learner_profile", org="course__org"
        )

    theirs = UserActivity.objects.filter(**_THEIR_COURSE)
    days = theirs.filter(date__gte=OuterRef("monday"), date__lte=OuterRef("day")).order_by().values("user_id")
    return goals.annotate(
        zone=found.column(lambda zone: zone.key, CharField(), profile="user__learner_profile", org="course__org"),
        is_open=found.column(found.is_open, BooleanField(), profile="user__learner_profile", org="course__org"),
        clock_now=read(lambda clock: clock.now, DateTimeField()),
        day=read(lambda clock: clock.day, DateField()),
        monday=read(lambda clock: clock.monday, DateField()),
        left=read(lambda clock: clock.days_left, IntegerField()),
        week_start=read(lambda clock: clock.week_start, DateTimeField()),
        week_end=read(lambda clock: clock.week_end, DateTimeField()),
        closes=read(lambda clock: run.now + (clock.closes - clock.now), DateTimeField()),
        key=Concat(
            Value(f"{NAME}:"), Cast("pk", CharField()), read(lambda clock: run.key(f":{clock.monday}"), CharField())
        ),
        oldest=ExpressionWrapper(F("week_end") - _time_of_course(), DateTimeField()),
        done=Coalesce(Subquery(days.annotate(number=Count("pk")).values("number")), 0),
        studied_today=Exists(theirs.filter(date=OuterRef("day"))),
    )


def _time_of_course() -> Case:
    """Return how long access lasts: the weeks a course takes, within the limits."""
    limits = access_limits()
    longer = range(limits.max_weeks, limits.min_weeks, -1)
    return Case(
        *[When(course__weeks_to_complete__gte=weeks, then=Value(timedelta(weeks=weeks))) for weeks in longer],
        default=Value(timedelta(weeks=min(limits.min_weeks, limits.max_weeks))),
        output_field=DurationField(),
    )


def numbers(goal: Any) -> dict[str, str]:
    """Return for each condition what it was answered from, in words; `goal` is a row of `compared`."""
    local = goal.clock_now.astimezone(ZoneInfo(goal.zone))
    needed, free = week.needed(goal.days_per_week, goal.done), week.free_days(goal.left, goal.studied_today)
    outcome = week.outcome(goal.days_per_week, done=goal.done, left=goal.left, studied_today=goal.studied_today)
    course, ends = goal.course, f"the week ends {goal.week_end:%Y-%m-%d %H:%M}Z"
    return {
        "goal_set": f"days a week: {goal.days_per_week}",
        "reminders_on": "on" if goal.subscribed_to_reminders else "off",
        "local_morning": f"{local:%A %Y-%m-%d %H:%M} in {goal.zone}, {week.part_of_day(local.time())}",
        "days_left_match": f"{outcome}: {goal.days_per_week} days a week, {goal.done} done, {needed} needed, "
        f"{free} of the {goal.left} left can still count" + (", studied today" if goal.studied_today else ""),
        "goals_enabled": FLAG,
        "enrolled_before_this_week": f"the week began {goal.week_start:%Y-%m-%d %H:%M}Z",
        "course_running": f"start {_day(course.start)}, end {_day(course.end)}, {ends}",
        "access_outlasts_week": f"weeks of the course: {course.weeks_to_complete or 'unknown'}, {ends}",
        "not_completed": "by its certificate",
        "not_reminded_this_week": goal.key,
    }


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else "none"
