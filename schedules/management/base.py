"""What the commands that repair schedules share."""

from __future__ import annotations

import argparse

from django.core.exceptions import ValidationError

from courses.models import Course
from courses.validators import validate_course_key
from email_automation.management.base import Bar


class ScheduleBar(Bar):
    """A progress bar that counts schedules."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self._bar.unit = "schedule"


def existing_course(value: str) -> Course:
    """Return the course with this key."""
    try:
        validate_course_key(value)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is not a course key") from error
    course = Course.objects.filter(key=value).first()
    if course is None:
        raise argparse.ArgumentTypeError(f"unknown course {value!r}")
    return course


def existing_org(value: str) -> str:
    """Return the name of an organisation that has a course; upper and lower case differ."""
    if not Course.objects.filter(org=value).exists():
        raise argparse.ArgumentTypeError(f"unknown organisation {value!r}")
    return value
