"""A part of the house for the tests that run processes: it handles assigned licences, and each time leaves a trace."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.apps import AppConfig


class PartConfig(AppConfig):
    """Takes the place of whoever handles assigned licences."""

    name = "tests.courses.eventbus"
    label = "part"

    def ready(self) -> None:
        from courses.eventbus import handles
        from courses.eventbus.handlers import forget
        from courses.events import ENTERPRISE_ACCESS, LICENSE_ASSIGNED

        forget(ENTERPRISE_ACCESS, LICENSE_ASSIGNED)
        handles(ENTERPRISE_ACCESS, LICENSE_ASSIGNED)(leave_trace)


def leave_trace(data: Any, metadata: Any) -> None:
    """Leave one more trace for this event, or fail where the event says so."""
    from django.contrib.auth.models import Group

    Group.objects.create(name=f"{data.subsidy_request_uuid} {uuid4()}")
    if data.course_id == "fail":
        raise RuntimeError("told to fail")


def traces(request_uuid: object) -> int:
    """Return how often an event was handled, as far as that has committed."""
    from django.contrib.auth.models import Group

    return Group.objects.filter(name__startswith=str(request_uuid)).count()
