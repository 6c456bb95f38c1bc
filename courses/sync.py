"""Loading and repairing the facts from a source."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction

from courses.bulk import retry_on_deadlock, slices
from courses.loaders import LOADERS, PARTS, load_chunk
from courses.services.learning import CHUNK
from courses.sources import BadRow, Source

ALWAYS_SHOWN = ("courses", "modes", "sections", "learners", "enrollments", "certificates")

Report = Callable[[str], None]


@dataclass(slots=True)
class Totals:
    """What a sync has read and done."""

    read: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = [f"{kind}={self.read[kind]}" for kind in LOADERS if kind in ALWAYS_SHOWN or self.read[kind]]
        parts += [f"{word}={self.done[word]}" for word in ("created", "changed", "removed", "rejected")]
        return " ".join(parts)


def sync(source: Source, *, report: Report, announce: bool = False) -> Totals:
    """Load everything a source tells, 500 rows per transaction; a bad row is reported and left out.

    Rows that are already stored with the same values are not written. `announce` True tells learners of their new
    enrolments, as an enrolment through the platform does; of payments, attendances and content nobody is told.
    """
    totals = Totals()
    for kind in LOADERS:
        seen: dict[str, set[Any]] = {key: set() for key in source.complete(kind)} if kind in PARTS else {}
        incomplete = False
        position = 0
        for rows in slices(getattr(source, kind)(), CHUNK):
            places = {id(row): row.place or f"row {position + offset}" for offset, row in enumerate(rows, start=1)}
            position += len(rows)
            chunk = load_chunk(kind, rows, announce=announce)
            totals.read[kind] += len(rows)
            totals.done.update(chunk.done)
            for row, message in chunk.rejected:
                totals.done["rejected"] += 1
                report(f"{kind} {places[id(row)]}: {message}")
            incomplete = incomplete or bool(chunk.rejected)
            if kind in PARTS:
                for row in rows:
                    if not isinstance(row, BadRow):
                        seen.setdefault(row.course, set()).add(getattr(row, PARTS[kind][1]))
        # Nothing is removed on the word of a list that could not be read to the end.
        if kind in PARTS and not incomplete:
            totals.done["removed"] += remove_others(kind, seen)
    return totals


def remove_others(kind: str, seen: dict[str, set[Any]]) -> int:
    """Remove the modes or sections of the courses told that the source does not tell; return how many."""
    model, name = PARTS[kind]
    removed = 0
    for keys in slices(seen, CHUNK):
        removed += _remove_in(model, name, {key: seen[key] for key in keys})
    return removed


@retry_on_deadlock
def _remove_in(model: type[models.Model], name: str, seen: dict[str, set[Any]]) -> int:
    """Remove what is not told, of up to 500 courses in one transaction."""
    stored: Iterable[Any] = model._default_manager.filter(course__key__in=seen).select_related("course")
    with transaction.atomic():
        gone = [part.pk for part in stored if getattr(part, name) not in seen[part.course.key]]
        if gone:
            model._default_manager.filter(pk__in=gone).delete()
    return len(gone)
