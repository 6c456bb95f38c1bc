"""What schedules do when the ground floor reports a fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from courses.models import Enrollment
from courses.signals import enrollments_created, receiver

from . import services


@receiver(enrollments_created)
def create_schedules(sender: Any, enrollments: Sequence[Enrollment], **kwargs: Any) -> None:
    """Make schedules for learners who have just enrolled, in the enrolment's own transaction."""
    services.create_schedules(enrollments)
