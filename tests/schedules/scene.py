"""The baseline of the acceptance cases, and short ways to say what they say. Dates without a year are of 2017."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any
from unittest import mock

from django.contrib.sites.models import Site
from django.core.management import call_command
from django.test.utils import override_settings

from courses.models import Course, Enrollment
from email_automation import words
from email_automation.models import EmailLog
from email_automation.pipeline import dispatch, message, wake
from email_automation.pipeline.desk import Desk
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run
from schedules.models import Schedule, ScheduleConfig, ScheduleExperience
from tests import factories

DAY = date(2017, 8, 1)
NOW = datetime(2017, 8, 1, tzinfo=UTC)
DAY3, DAY10 = "recurringnudge_day3", "recurringnudge_day10"
REMINDER, UPDATE = "upgradereminder", "courseupdate"
STARTED_FOR = {DAY3: "07-29", DAY10: "07-22"}
SWITCHES = (
    "create_schedules",
    "enqueue_recurring_nudge",
    "deliver_recurring_nudge",
    "enqueue_upgrade_reminder",
    "deliver_upgrade_reminder",
    "enqueue_course_update",
    "deliver_course_update",
)
SUMMARY = re.compile(
    r"(DRY RUN )?[\w. ]+ \S+ days=(?P<days>\S+) audience=(?P<audience>\d+) sent=(?P<sent>\d+) "
    r"skipped=(?P<skipped>\d+)( \((?P<reasons>[^)]+)\))? failed=(?P<failed>\d+) retry=(?P<retry>\d+) seconds=\d+\.\d\n"
)
_KEEP: Any = object()


def at(text: str) -> datetime:
    """`08-01`, `08-01 09:30` or `08-01 09:30:15.5` as an instant of 2017."""
    return datetime.fromisoformat(f"2017-{text}").replace(tzinfo=UTC)


def configure(site: Site, **changes: Any) -> ScheduleConfig:
    """Add a configuration row with every switch on and nobody held back, except for `changes`."""
    return ScheduleConfig.objects.create(site=site, **{**dict.fromkeys(SWITCHES, True), **changes})


def offered(number: str, **fields: Any) -> Course:
    """A course like C of the baseline: with an audit mode, and a verified one until 08-31."""
    course = factories.CourseFactory(number=number, **fields)
    factories.CourseModeFactory(course=course, slug="audit", price=0)
    factories.CourseModeFactory(course=course, slug="verified", expires_at=at("08-31"))
    return course


def enroll(course: Course, when: str = "08-01 09:30", **fields: Any) -> Enrollment:
    """Enrol a learner the way a host does, so that the schedule is made by the code under test."""
    enrollment: Enrollment = factories.EnrollmentFactory(course=course, created_at=at(when), **fields)
    return enrollment


def started(
    course: Course,
    when: str,
    *,
    experience: int | None = _KEEP,
    deadline: str | None = _KEEP,
    **fields: Any,
) -> Schedule:
    """A learner whose schedule began at `when`; experience None leaves the row out."""
    enrollment = enroll(course, when, **fields)
    schedule, _ = Schedule.objects.update_or_create(enrollment=enrollment, defaults={"start_date": at(when)})
    if deadline is not _KEEP:
        Schedule.objects.filter(pk=schedule.pk).update(upgrade_deadline=at(deadline) if deadline else None)
    if experience is None:
        ScheduleExperience.objects.filter(schedule=schedule).delete()
    elif experience is not _KEEP:
        ScheduleExperience.objects.update_or_create(schedule=schedule, defaults={"experience_type": experience})
    return Schedule.objects.select_related("enrollment__user").get(pk=schedule.pk)


def crowd(courses: Sequence[Course], number: int, when: str, *, deadline: str, experience: int = 0) -> list[Schedule]:
    """Schedules of `number` new learners in each of the courses, learner by learner, written in a few statements."""
    people = factories.UserFactory.create_batch(number)
    places = Enrollment.objects.bulk_create(
        Enrollment(user=user, course=course, created_at=at(when)) for user in people for course in courses
    )
    schedules = Schedule.objects.bulk_create(
        Schedule(enrollment=place, start_date=at(when), upgrade_deadline=at(deadline)) for place in places
    )
    ScheduleExperience.objects.bulk_create(
        ScheduleExperience(schedule=schedule, experience_type=experience) for schedule in schedules
    )
    return schedules


def run_of(name: str, site: Site, *, day: date = DAY, now: datetime | None = None) -> Run:
    """A run as `--date` starts it; with `now`, as the clock does."""
    return Run.starting(message.get(name).label(), site.pk, now=now, day=day)


def due(name: str, site: Site, **when: Any) -> list[int]:
    """The ids of the users to whom a message is due."""
    pages = message.get(name).resolver().audience(run_of(name, site, **when))
    return [row.user_id for page in pages for row in page]


def drafts(name: str, site: Site, users: list[Any], **when: Any) -> list[Draft]:
    """The drafts of a message for some users, in their order."""
    ids = [user.pk for user in users]
    found = {draft.user_id: draft for draft in message.get(name).resolver().drafts(run_of(name, site, **when), ids)}
    return [found[pk] for pk in ids if pk in found]


@dataclass(frozen=True)
class Report:
    """What a command said and how it ended."""

    out: str
    err: str
    status: int

    @property
    def figures(self) -> dict[str, int]:
        """The numbers of the summary line, the reasons of skips among them."""
        match = SUMMARY.fullmatch(self.out)
        assert match, self.out
        numbers = {name: int(match[name]) for name in ("audience", "sent", "skipped", "failed", "retry")}
        reasons = dict(pair.split("=") for pair in (match["reasons"] or "").split())
        return numbers | {name: int(number) for name, number in reasons.items()}

    @property
    def days(self) -> str:
        """The days that were run."""
        match = SUMMARY.fullmatch(self.out)
        assert match, self.out
        return match["days"]


def command(*words: str) -> Report:
    """Run a management command in this process."""
    out, err, status = StringIO(), StringIO(), 0
    try:
        call_command(*words, stdout=out, stderr=err)
    except SystemExit as end:
        status = int(end.code or 0)
    return Report(out.getvalue(), err.getvalue(), status)


def send(name: str, *words: str, site: str = "example.com", date: str | None = "2017-08-01") -> Report:
    """Run a mailing command; without a date it runs the clock's day and what was missed before it."""
    return command(name, site, *(["--date", date] if date else []), *words)


def nudge(*words: str, **options: Any) -> Report:
    """Run `send_recurring_nudge`, of 08-01 unless `date` says otherwise."""
    return send("send_recurring_nudge", *words, **options)


def remind(*words: str, **options: Any) -> Report:
    """Run `send_upgrade_reminder`, of 08-01 unless `date` says otherwise."""
    return send("send_upgrade_reminder", *words, **options)


def update(*words: str, **options: Any) -> Report:
    """Run `send_course_update`, of 08-01 unless `date` says otherwise."""
    return send("send_course_update", *words, **options)


def planned(name: str, site: Site) -> list[int]:
    """Plan the run of 08-01 beside a broker without workers, and return the ids of the rows that wait."""
    with override_settings(CELERY_BROKER_URL="memory://"), mock.patch.object(wake, "current_app"):
        dispatch.run_daily(message.get(name), site.pk, day=DAY)
    waiting = EmailLog.objects.filter(status=words.PENDING, email_type=name)
    return list(waiting.order_by("pk").values_list("pk", flat=True))


@contextmanager
def killed_after(number: int) -> Iterator[None]:
    """Break off as a killed process does, when so many mails are out and the next one is not begun."""
    real = Desk.prepare
    turns = itertools.count()

    def prepare(desk: Desk, *args: Any) -> Any:
        if next(turns) == number:
            raise KeyboardInterrupt
        return real(desk, *args)

    with mock.patch.object(Desk, "prepare", prepare):
        yield
