"""What tests of weekly goals may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from course_goals.signals import course_goal_changed
from courses.models import Course

from . import scene


@pytest.fixture
def course() -> Course:
    """A course with weekly goals."""
    scene.goals_on()
    return scene.base_course()


@pytest.fixture
def ann(course: Course) -> Any:
    """A learner in it."""
    return scene.learner(course)


@pytest.fixture
def heard(django_capture_on_commit_callbacks: Any) -> Any:
    """Return a context that commits at its end and holds what was told of goals by then."""

    @contextmanager
    def listening() -> Iterator[list[dict[str, Any]]]:
        calls: list[dict[str, Any]] = []

        def hear(sender: Any, signal: Any, **kwargs: Any) -> None:
            calls.append(kwargs)

        course_goal_changed.connect(hear)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                yield calls
        finally:
            course_goal_changed.disconnect(hear)

    return listening
