"""What the buttons of the demo's page do: each tells the services a new fact, as a platform would; the mail follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django.utils import timezone

from courses import services
from courses.models import ContentItem, Course, Enrollment
from email_automation import announcements

from .catalogue import COURSES, SITES

PRICE, CURRENCY = Decimal("49.00"), "eur"
LESSON = timedelta(minutes=45)


@dataclass(frozen=True)
class Deed:
    """One button: its words, what it says it will do, and the function that does it and says in words what it was."""

    button: str
    promise: str
    do: Callable[[AbstractUser], str]


def learner() -> AbstractUser | None:
    """Return whom the page is about: the first learner there is."""
    return get_user_model()._default_manager.filter(is_staff=False, is_active=True).order_by("pk").first()


def enrol(person: AbstractUser) -> str:
    """Enrol a learner in a course that is new to them."""
    course = _new_course_for(person)
    services.record_enrollment(person, course)
    return f"{_name(person)} has enrolled in “{course.title}”."


def pay(person: AbstractUser) -> str:
    """Have a learner begin a payment, whose money then arrives."""
    place = _newest_place_of(person)
    number = f"DEMO-{uuid4().hex[:8].upper()}"
    for arrived in (False, True):
        services.record_payment(
            person,
            amount=PRICE,
            currency=CURRENCY,
            txn_ref=number,
            course=place.course,
            enrollment=place,
            method="card",
            is_successful=arrived,
        )
    return f"{_name(person)} has paid {PRICE} {CURRENCY.upper()} for “{place.course.title}”, transaction {number}."


def attend(person: AbstractUser) -> str:
    """Have a learner join a demo class and leave it."""
    course = _newest_place_of(person).course
    now = timezone.now()
    meeting, _ = services.record_meeting(
        f"demo-class-{uuid4().hex[:8]}",
        title=f"Demo class: {course.title}",
        is_demo=True,
        course=course,
        starts_at=now - LESSON,
    )
    services.record_attendance(meeting, person, joined_at=now - LESSON)
    services.record_attendance(meeting, person, left_at=now)
    return f"{_name(person)} came to a demo class of “{course.title}” and has left it."


def publish(person: AbstractUser) -> str:
    """Publish a video and a quiz in a learner's newest course."""
    course = _newest_place_of(person).course
    number = ContentItem.objects.filter(course=course).count() + 1
    with transaction.atomic():
        items = [
            services.record_content_item(
                course, f"demo-item-{uuid4().hex[:8]}", kind=kind, title=f"{title} {place}", announce=False
            )[0]
            for place, (kind, title) in enumerate((("video", "Video"), ("quiz", "Quiz")), start=number)
        ]
        # Told one by one, each would be mailed about by itself: the demo's window for news is closed at once.
        announcements.announce(items)
    titles = " and ".join(item.title for item in items)
    return f"{titles} were published in “{course.title}”, and everybody in the course is told of both in one mail."


DEEDS = {
    "enrol": Deed("Enrol in a course", "{name} enrols in one more course.", enrol),
    "pay": Deed("Pay for a course", "{name} begins a payment, and then the money arrives.", pay),
    "attend": Deed("Attend a demo class", "{name} joins a demo class and leaves it.", attend),
    "publish": Deed(
        "Publish new content", "A video and a quiz appear at once in the newest course of {name}.", publish
    ),
}


def _name(person: AbstractUser) -> str:
    return person.get_full_name() or person.get_username()


def _new_course_for(person: AbstractUser) -> Course:
    """Return a course of the catalogue that a learner is not in yet, or else make one."""
    ordinary = [number for number, course in COURSES.items() if not course.later]
    joined = Enrollment.objects.filter(user_id=person.pk).values("course_id")
    for course in Course.objects.exclude(pk__in=joined).order_by("pk"):
        if course.key.split("+")[1] in ordinary:
            return course
    number = Course.objects.count() + 1
    course, _ = services.record_course(
        f"course-v1:{SITES[0]['org_filter'][0]}+EVE{number}+{timezone.now().year}", title=f"Evening class {number}"
    )
    return course


def _newest_place_of(person: AbstractUser) -> Enrollment:
    """Return a learner's newest enrolment; who has none gets one that nobody is told of."""
    places = Enrollment.objects.filter(user_id=person.pk, is_active=True).select_related("course")
    if place := places.order_by("-pk").first():
        return place
    return services.record_enrollment(person, _new_course_for(person), announce=False)[0]
