"""Writing what learners have completed and the days on which they were there."""

import operator
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.utils import timezone

from courses.bulk import any_of, insert_if_absent, locked, retry_on_deadlock, slices
from courses.models import Completion, ContentItem, Course, UserActivity
from courses.services.learning import CHUNK
from courses.services.upsert import Word, clean

Row = TypeVar("Row", bound=models.Model)
Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionFact:
    """That a learner has completed an item, as `record_completions` takes it; `completed_at` None: now."""

    user_id: int
    item_id: int
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFact:
    """A learner's day in a course, as `record_activities` takes it; `seconds` is that day's total known so far."""

    user_id: int
    course_id: int
    day: date
    seconds: int = 0


def record_completion(
    user: AbstractUser, item: ContentItem, *, completed_at: datetime | None = None
) -> tuple[Completion, Word]:
    """Record that a learner has completed an item, now unless told.

    The first time counts: a later one changes nothing, an earlier one takes its place.
    """
    [word] = _record_completions([CompletionFact(user_id=user.pk, item_id=item.pk, completed_at=completed_at)])
    return Completion.objects.get(user_id=user.pk, item=item), word


def record_completions(facts: Iterable[CompletionFact]) -> Counter[str]:
    """Record many completions, 500 per transaction; return how many were created, changed, unchanged."""
    return _counted(facts, _record_completions)


def record_activity(user: AbstractUser, course: Course, day: date, *, seconds: int = 0) -> tuple[UserActivity, Word]:
    """Record a day on which a learner was in a course.

    `seconds` is the day's total known so far, so the largest one counts; 0 only marks the day.
    """
    [word] = _record_activities([ActivityFact(user_id=user.pk, course_id=course.pk, day=day, seconds=seconds)])
    return UserActivity.objects.get(user_id=user.pk, course=course, date=day), word


def record_activities(facts: Iterable[ActivityFact]) -> Counter[str]:
    """Record many days, 500 per transaction; return how many were created, changed, unchanged."""
    return _counted(facts, _record_activities)


def _counted(facts: Iterable[Fact], record_chunk: Callable[[list[Fact]], list[Word]]) -> Counter[str]:
    """Record facts in chunks and count the words."""
    counts: Counter[str] = Counter()
    for chunk in slices(facts, CHUNK):
        counts.update(record_chunk(chunk))
    return counts


@retry_on_deadlock
def _record_completions(facts: list[CompletionFact]) -> list[Word]:
    """Record completions in one transaction; the earlier one of a learner and item counts."""
    rows = [
        Completion(user_id=fact.user_id, item_id=fact.item_id, completed_at=fact.completed_at or timezone.now())
        for fact in facts
    ]
    return _record_best(Completion, rows, key=["user_id", "item_id"], name="completed_at", is_better=operator.lt)


@retry_on_deadlock
def _record_activities(facts: list[ActivityFact]) -> list[Word]:
    """Record days in one transaction; the larger total of a learner, course and day counts."""
    rows = [
        UserActivity(user_id=fact.user_id, course_id=fact.course_id, date=fact.day, seconds=fact.seconds)
        for fact in facts
    ]
    return _record_best(UserActivity, rows, key=["user_id", "course_id", "date"], name="seconds", is_better=operator.gt)


def _record_best(
    model: type[Row], rows: list[Row], *, key: list[str], name: str, is_better: Callable[[Any, Any], bool]
) -> list[Word]:
    """Insert the rows whose key is not stored; of the others write the field `name` where it is better than stored.

    A constant number of queries; one word per key.
    """

    def key_of(row: Row) -> tuple[Any, ...]:
        return tuple(getattr(row, attname) for attname in key)

    best: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        clean(row)
        other = best.setdefault(key_of(row), row)
        if is_better(getattr(row, name), getattr(other, name)):
            best[key_of(row)] = row
    words: dict[tuple[Any, ...], Word] = dict.fromkeys(best, "unchanged")
    with transaction.atomic():
        for row in insert_if_absent(model, best.values(), unique_field=key):
            words[key_of(row)] = "created"
        others = [known for known, word in words.items() if word != "created"]
        changed = []
        if others:
            for stored in locked(model._base_manager.filter(any_of(others, attnames=key)).order_by("pk")):
                value = getattr(best[key_of(stored)], name)
                if is_better(value, getattr(stored, name)):
                    setattr(stored, name, value)
                    changed.append(stored)
                    words[key_of(stored)] = "changed"
        if changed:
            model._base_manager.bulk_update(changed, [name])
    return list(words.values())
