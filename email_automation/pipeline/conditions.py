"""Conditions: one declaration gives the SQL, the answer of `explain_message`, and the table in the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When

from .run import Run


@dataclass(frozen=True)
class Condition:
    """One rule of who is due: `q` on the resolver's rows, or a function of the run that gives one.

    `sentence` says in words what holds when it holds. A `q` must not join a to-many relation (use `Exists`), or rows
    would be counted more than once.
    """

    name: str
    q: Q | Callable[[Run], Q]
    sentence: str

    def for_run(self, run: Run) -> Q:
        """Return the rule as it reads on this run."""
        return self.q(run) if callable(self.q) else self.q


def every(conditions: Iterable[Condition], run: Run) -> Q:
    """Return the rule that all conditions hold."""
    combined = Q()
    for condition in conditions:
        combined &= condition.for_run(run)
    return combined


def annotated(rows: QuerySet[Any], conditions: Sequence[Condition], run: Run) -> QuerySet[Any]:
    """Return the rows with a boolean `holds_<name>` for each condition."""
    truths = {f"holds_{condition.name}": _truth(condition.for_run(run)) for condition in conditions}
    found: QuerySet[Any] = rows.annotate(**truths)
    return found


def _truth(q: Q) -> Case | Value:
    # Case, not the bare expression: a comparison with NULL must read as false, on every database.
    if not q:
        return Value(True, output_field=BooleanField())
    return Case(When(q, then=Value(True)), default=Value(False), output_field=BooleanField())
