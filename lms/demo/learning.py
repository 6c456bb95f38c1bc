"""What there is to learn in the demo's courses, and how far its learners had come by the week before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.contrib.auth.models import AbstractUser

from courses import services
from courses.models import ContentItem, Course
from courses.services import ActivityFact, CompletionFact
from email_automation.weeks import Week
from schedules.dates import day_start

from .cast import LEARNERS
from .catalogue import COURSES

#: Days between two things that a learner completes.
PACE = 3


def fill(users: dict[str, AbstractUser], courses: dict[str, Course], today: date) -> None:
    """Put content into the courses, long published, and record what people did up to the end of the last week."""
    items = {number: _items(number, course, today) for number, course in courses.items()}
    done = list(_done(users, items, today))
    services.record_completions(
        CompletionFact(user_id=user.pk, item_id=item.pk, completed_at=datetime.combine(day, time(12), tzinfo=UTC))
        for user, item, day, _ in done
    )
    services.record_activities(
        ActivityFact(user_id=user.pk, course_id=item.course_id, day=day, seconds=seconds)
        for user, item, day, seconds in done
    )


def _items(number: str, course: Course, today: date) -> list[ContentItem]:
    published_at = day_start(today - timedelta(days=60))
    return [
        services.record_content_item(
            course, f"{number}-{index}", kind=kind, title=title, published_at=published_at, announce=False
        )[0]
        for index, (kind, title) in enumerate(COURSES[number].items, start=1)
    ]


def _done(
    users: dict[str, AbstractUser], items: dict[str, list[ContentItem]], today: date
) -> Iterator[tuple[AbstractUser, ContentItem, date, int]]:
    """Yield who completed what on which day, and the seconds it took: the last thing late in the week.

    How far somebody has come follows from the place in the cast, so that every share is there; nobody learns before
    enrolling.
    """
    week = Week.before(today)
    for index, learner in enumerate(LEARNERS):
        for number, days in learner.enrolled:
            enrolled = today - timedelta(days=days)
            day = week.end - timedelta(days=index % PACE)
            for item in reversed(items[number][: index % (len(items[number]) + 1)]):
                if day <= enrolled:
                    break
                yield users[learner.username], item, day, 600 + 300 * (index % 5)
                day -= timedelta(days=PACE)
