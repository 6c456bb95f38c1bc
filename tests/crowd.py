"""Many learners to whom the day-3 nudge is due, made in a few statements."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib.auth import get_user_model

from courses.models import Course, Enrollment
from schedules import dates
from schedules.models import Schedule


def learners_due(number: int, *, day: date, prefix: str = "crowd") -> list[Any]:
    """Return new users who began three days before `day` in one course that has started."""
    start = dates.day_start(day - timedelta(days=3)) + timedelta(hours=9)
    course, _ = Course.objects.get_or_create(
        key="course-v1:edX+Crowd+2017",
        defaults={"title": "Crowds", "org": "edX", "start": start - timedelta(days=60), "self_paced": True},
    )
    users = get_user_model()._default_manager
    names = [f"{prefix}{index:05}" for index in range(number)]
    users.bulk_create(
        [
            get_user_model()(username=name, email=f"{name}@example.com", first_name="Ada", password="lms$usable")
            for name in names
        ]
    )
    people = list(users.filter(username__in=names).order_by("username"))
    Enrollment.objects.bulk_create(
        [Enrollment(user=person, course=course, mode="audit", created_at=start) for person in people]
    )
    Schedule.objects.bulk_create(
        [
            Schedule(enrollment=enrollment, start_date=start)
            for enrollment in Enrollment.objects.filter(course=course, user__in=people)
        ]
    )
    return people
