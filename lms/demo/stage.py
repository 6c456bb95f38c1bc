"""Setting the stage: writes the demo's sites, courses and learners, by the ways a real platform's facts come in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.contrib.sites.models import Site
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from waffle.models import Switch

from courses import services
from courses.models import Course, CourseFlag, CourseMode, Flag, SelfPacedConfiguration, SiteConfiguration
from email_automation import consent, setup
from email_automation.models import EmailPreference
from schedules import views
from schedules.dates import day_start
from schedules.messages.course_update import FLAG
from schedules.models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    ScheduleConfig,
    ScheduleExperience,
)

from . import catalogue, goals, learning, licences, requests
from .cast import LEARNERS, Learner, Twist
from .catalogue import COURSES, SITES, WITHOUT_UPDATES, DemoCourse

SWITCHES = (
    "create_schedules",
    "enqueue_recurring_nudge",
    "deliver_recurring_nudge",
    "enqueue_upgrade_reminder",
    "deliver_upgrade_reminder",
    "enqueue_course_update",
    "deliver_course_update",
)


def set_up(today: date) -> list[Site]:
    """Fill an empty database and return the sites, the first one first. `today` is a UTC day.

    In two transactions: what follows the facts of the first is done when it is committed, and sees nothing of what
    changes afterwards.
    """
    with transaction.atomic():
        sites = [_site(index, dict(values)) for index, values in enumerate(SITES)]
        SelfPacedConfiguration.objects.create(enabled=True)
        DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=21)
        courses = {number: _course(number, course, today) for number, course in COURSES.items()}
        _flag_for_updates([courses[number] for number, course in COURSES.items() if course.updates_by_flag])
        users = _users()
        _enroll([one for one in LEARNERS if one.twist is not Twist.HELD_BACK], users, courses, today)
        _switch_on(sites[0], hold_back_ratio=1)
        _enroll([one for one in LEARNERS if one.twist is Twist.HELD_BACK], users, courses, today)
        _switch_on(sites[0], hold_back_ratio=0)
        learning.fill(users, courses, today)
    with transaction.atomic():
        for number, course in COURSES.items():
            _change_later(courses[number], course.later, today)
        for learner in LEARNERS:
            _twist(learner, users[learner.username], [courses[number] for number, _ in learner.enrolled])
        goals.set_up(users, courses, today)
        licences.set_up(timezone.now())
        requests.set_up(users)
        setup.create_beat_entries()
        Switch(name=views.SWITCH, active=True).save()
    return sites


def create_staff(username: str, password: str) -> AbstractUser:
    """Make an account that may see everything in the admin, and return it."""
    manager = get_user_model()._default_manager
    user: AbstractUser = manager.create_superuser(username, f"{username}@example.com", password)
    return user


def outline_address() -> str:
    """Return the address of the page on which an author writes what the weekly updates list."""
    key = Course.objects.filter(highlights_enabled_for_messaging=True).order_by("pk").values_list("key", flat=True)[0]
    return reverse("schedules:outline", args=[key])


def _site(index: int, values: dict[str, object]) -> Site:
    domain = str(values.pop("domain"))
    names = {"domain": domain, "name": str(values["platform_name"])}
    if index == 0:
        site, _ = Site.objects.update_or_create(pk=settings.SITE_ID, defaults=names)
    else:
        site = Site.objects.create(**names)
    configuration = SiteConfiguration(site=site, **values)
    configuration.full_clean()
    configuration.save()
    _switch_on(site, hold_back_ratio=0)
    return site


def _switch_on(site: Site, *, hold_back_ratio: float) -> None:
    switches = dict.fromkeys(SWITCHES, True)
    if site.domain in WITHOUT_UPDATES:
        switches |= {"enqueue_course_update": False, "deliver_course_update": False}
    ScheduleConfig.objects.create(site=site, hold_back_ratio=hold_back_ratio, **switches)


def _course(number: str, values: DemoCourse, today: date) -> Course:
    course, _ = services.record_course(
        f"course-v1:{values.org}+{number}+{today.year}",
        title=values.title,
        language=values.language,
        start=day_start(today + timedelta(days=values.starts)),
        self_paced=True,
        highlights_enabled_for_messaging=bool(values.highlights),
    )
    services.record_mode(course, "audit")
    if values.verified:
        services.record_mode(course, "verified", price=49, currency="eur", sku=f"{number}-V")
    if values.deadline_days is not None:
        CourseDynamicUpgradeDeadlineConfiguration.objects.create(
            enabled=True, course_id=course.key, deadline_days=values.deadline_days
        )
    for index, texts in enumerate(values.highlights, start=1):
        services.record_section(course, index, title=f"Section {index}", highlights=list(texts))
    return course


def _flag_for_updates(courses: Iterable[Course]) -> None:
    flag = Flag(name=FLAG)
    flag.save()
    CourseFlag.objects.bulk_create(CourseFlag(flag=flag, course=course, on=True) for course in courses)


def _users() -> dict[str, AbstractUser]:
    facts = [
        services.LearnerFact(
            username=learner.username,
            email="" if learner.twist is Twist.NO_ADDRESS else f"{learner.username}@example.net",
            first_name=learner.name.partition(" ")[0],
            last_name=learner.name.partition(" ")[2],
            is_active=learner.twist is not Twist.DEACTIVATED,
            has_usable_password=learner.twist is not Twist.NO_PASSWORD,
            lms_user_id=5000 + index,
            language=learner.language,
            time_zone=learner.zone,
        )
        for index, learner in enumerate(LEARNERS)
    ]
    results = services.record_learners(facts)
    return {learner.username: user for learner, (user, _) in zip(LEARNERS, results, strict=True)}


def _enroll(
    learners: Iterable[Learner], users: dict[str, AbstractUser], courses: dict[str, Course], today: date
) -> None:
    """Enrol in the past; schedules follow by the signal that every enrolment sends."""
    facts = [
        services.EnrollmentFact(
            user_id=users[learner.username].pk,
            course=courses[number],
            mode="verified" if _has_upgraded(learner, number) else "audit",
            created_at=datetime.combine(today - timedelta(days=days), time(7 + index % 12, index % 60), tzinfo=UTC),
        )
        for index, learner in enumerate(learners)
        for number, days in learner.enrolled
    ]
    services.record_enrollments(facts, announce=False)


def _has_upgraded(learner: Learner, number: str) -> bool:
    first, _ = learner.enrolled[0]
    return learner.twist is Twist.VERIFIED or (learner.twist is Twist.FIRST_COURSE_VERIFIED and number == first)


def _change_later(course: Course, change: str, today: date) -> None:
    """Change a course after people have enrolled: their schedules exist, and a condition fails.

    What would move the schedules is written past the services, which would report it: then that condition fails alone.
    """
    match change:
        case catalogue.INSTRUCTOR_PACED:
            services.record_course(course.key, self_paced=False)
        case catalogue.ENDED:
            services.record_course(course.key, end=day_start(today - timedelta(days=1)))
        case catalogue.NOT_STARTED:
            Course.objects.filter(pk=course.pk).update(start=day_start(today + timedelta(days=14)))
        case catalogue.OFFER_OVER:
            verified = CourseMode.objects.filter(course=course, slug="verified")
            verified.update(expires_at=day_start(today - timedelta(days=1)))


def _twist(learner: Learner, user: AbstractUser, courses: list[Course]) -> None:
    """Give a learner what is special about that one and comes after the enrolment."""
    match learner.twist:
        case Twist.NO_EXPERIENCE:
            ScheduleExperience.objects.filter(schedule__enrollment__user_id=user.pk).delete()
        case Twist.LEFT:
            services.end_enrollment(user, courses[0])
        case Twist.CATEGORY_OFF:
            consent.opt_out(user.pk, "reminder", source="one-click")
        case Twist.UNSUBSCRIBED:
            consent.set_preferences(user.pk, {"is_subscribed": False}, source="preference page")
        case Twist.FIRST_COURSE_OFF:
            consent.set_course_opt_out(user.pk, courses[0], True)
        case Twist.ALL_COURSES_OFF:
            for course in courses:
                consent.set_course_opt_out(user.pk, course, True)
        case Twist.REPORTS_OFF:
            consent.opt_out(user.pk, "progress", source="preference page")
        case Twist.COMPLETED:
            services.record_certificate(user, courses[0], status="downloadable")
        case Twist.SUPPRESSED:
            bounced = EmailPreference(user_id=user.pk, suppressed_at=timezone.now(), suppression_reason="hard bounce")
            bounced.save(source="bounce")
        case Twist.BAD_ADDRESS:
            # No service lets such an address in; an old import might have.
            get_user_model()._default_manager.filter(pk=user.pk).update(email="basia(at)example.net")
