"""What the tests of weekly goals begin with: a learner in a running course, in the week of Monday 2021-03-01."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from course_goals.access import FLAG
from courses.models import Course
from tests.factories import CourseFactory, CourseModeFactory, EnrollmentFactory, FlagFactory, UserFactory, platform_site

TUESDAY = datetime(2021, 3, 2, 10, tzinfo=UTC)
WEDNESDAY = datetime(2021, 3, 3, 10, tzinfo=UTC)


def learner(course: Course | None = None, **fields: Any) -> Any:
    """Return somebody with an active verified enrolment in a course, a base one unless given."""
    user = UserFactory(**fields)
    EnrollmentFactory(
        user=user, course=course or base_course(), mode="verified", created_at=datetime(2021, 2, 1, 10, tzinfo=UTC)
    )
    return user


def base_course(**fields: Any) -> Course:
    """Return a course from 2021-01-01 to 2021-04-01 with a verified mode."""
    platform_site()
    dates = {"start": datetime(2021, 1, 1, tzinfo=UTC), "end": datetime(2021, 4, 1, tzinfo=UTC)}
    course = CourseFactory(**dates | fields)
    for slug in ("audit", "verified"):
        CourseModeFactory(course=course, slug=slug)
    return course


def goals_on(everyone: bool | None = True, **fields: Any) -> Any:
    """Switch weekly goals on, or say something else of them."""
    return FlagFactory(name=FLAG, everyone=everyone, superusers=False, **fields)
