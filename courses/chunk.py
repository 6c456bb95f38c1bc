"""Up to 500 rows of a source: what they refer to and what becomes of them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models, transaction

from courses.models import ContentItem, Course, LearnerProfile, Meeting
from courses.services.upsert import clean
from courses.sources import UNSET, Fact

NAMED_BY_KEY: dict[str, type[models.Model]] = {"course": Course, "meeting": Meeting, "item": ContentItem}
MALFORMED = (ValidationError, ValueError, TypeError)


@dataclass(slots=True)
class Chunk:
    """What became of the rows; `announce`: whether learners are told of new enrolments."""

    announce: bool
    done: Counter[str] = field(default_factory=Counter)
    rejected: list[tuple[Fact, str]] = field(default_factory=list)

    def reject(self, row: Fact, error: Exception) -> None:
        """Leave a row out, with the reason in words."""
        self.rejected.append((row, in_words(error)))

    def record(self, row: Fact, write: Callable[[], tuple[Any, str]]) -> None:
        """Write one row in a savepoint; a bad one is left out."""
        try:
            with transaction.atomic():
                self.done[write()[1]] += 1
        except MALFORMED as error:
            self.reject(row, error)

    def fits(self, row: Fact, values: models.Model) -> bool:
        """Tell whether a row's values, put into a model, can be stored; a bad one is left out."""
        try:
            clean(values)
        except MALFORMED as error:
            self.reject(row, error)
            return False
        return True


def resolved(rows: list[Any], chunk: Chunk, *names: str) -> list[tuple[Any, dict[str, Any]]]:
    """Return (row, {name: what it refers to}) of the rows that refer to nothing unknown.

    A "learner" is a user's id, the others are rows of NAMED_BY_KEY; what a row does not tell is left out.
    """
    finders = {name: _learner_finder(rows) if name == "learner" else _finder(name, rows) for name in names}
    known = []
    for row in rows:
        try:
            found = {name: find(row) for name, find in finders.items()}
        except ValueError as error:
            chunk.reject(row, error)
        else:
            known.append((row, {name: value for name, value in found.items() if value is not None}))
    return known


def _finder(name: str, rows: list[Any]) -> Callable[[Any], Any]:
    """Return a function that finds what a row names by its key; one query for all."""
    keys = {getattr(row, name) for row in rows} - {UNSET}
    stored = NAMED_BY_KEY[name]._default_manager.in_bulk(keys, field_name="key")

    def find(row: Any) -> Any:
        key = getattr(row, name)
        if key is UNSET:
            return None
        if key not in stored:
            raise unknown(name, key, f"the {name}'s key, stored or in the source")
        return stored[key]

    return find


def _learner_finder(rows: list[Any]) -> Callable[[Any], int]:
    """Return a function that finds the id of a row's learner; two queries for all."""
    numbers = {row.lms_user_id for row in rows if row.lms_user_id is not UNSET}
    by_number = dict(LearnerProfile.objects.filter(lms_user_id__in=numbers).values_list("lms_user_id", "user_id"))
    names = {row.username for row in rows if row.lms_user_id is UNSET and row.username is not UNSET}
    by_name = dict(get_user_model()._default_manager.filter(username__in=names).values_list("username", "pk"))

    def find(row: Any) -> int:
        number = row.lms_user_id
        user_id = by_name.get(row.username) if number is UNSET else by_number.get(number)
        if user_id is not None:
            return int(user_id)
        if number is UNSET:
            # The name itself stays out of the log: it is personal.
            raise ValueError("username: unknown. Allowed: a learner that is stored or in the source.")
        raise unknown("lms_user_id", number, "a learner that is stored or in the source")

    return find


def unknown(name: str, value: Any, allowed: str) -> ValueError:
    """Return the error for a value that names nothing."""
    return ValueError(f"{name}: {value!r} is unknown. Allowed: {allowed}.")


def in_words(error: Exception) -> str:
    """Return an error as one line that names the field."""
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    lines = []
    for name, messages in error.message_dict.items():
        text = " ".join(messages)
        lines.append(text if text.startswith(f"{name}:") else f"{name}: {text}")
    return " ".join(lines)
