"""The numbers by which events call people: those of the platform."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from courses.models import LearnerProfile

#: A reviewer whose account exists here only.
NOBODY: Final = 0


def number_of(user: Any) -> int | None:
    """Return an account's number on the platform, or None for one that the platform does not know."""
    return LearnerProfile.objects.filter(user_id=user.pk).values_list("lms_user_id", flat=True).first()


def numbers_of(user_ids: Collection[int]) -> dict[int, int | None]:
    """Return {account: number on the platform} of those that have a profile."""
    return dict(LearnerProfile.objects.filter(user_id__in=user_ids).values_list("user_id", "lms_user_id"))
