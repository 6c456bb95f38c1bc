"""Alerts: telling people of faults on our side, by ids and counts only, never by names or addresses.

`ALERT_SINKS` names functions by their dotted paths; each is called with one Alert. Without it an alert is a line in
the log and a mail to ADMINS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from django.conf import settings
from django.core.cache import cache
from django.core.mail import mail_admins
from django.utils.module_loading import import_string

from courses.logs import trace

logger = logging.getLogger(__name__)

Severity = Literal["error", "warning"]
#: Names of ids, each with one id or a list, tuple or set of them.
Ids = Mapping[str, object]

#: An alert names so many entries; of the others it says how many there are.
MAX_ENTRIES: Final = 200
#: How long a fault that lasts stays quiet once somebody has been told.
QUIET_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing that went wrong: how bad it is, at which step, in words, and which rows it is about."""

    severity: Severity
    step: str
    text: str
    ids: Ids = field(default_factory=dict)

    def __str__(self) -> str:
        named = " ".join(f"{name}={','.join(values)}" for name, values in listed(self.ids).items())
        return f"{self.severity} {self.step}: {self.text}{f' ({named})' if named else ''}"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Faults that somebody has to mend: what ran, how many things they touch, and what they are.

    `errors` ended the work; `entries` are single faults beside which it went on, equal ones merged. Of more than 200
    the first are named and `more_entries` counts the rest.
    """

    source: str
    faults: int = 0
    errors: tuple[str, ...] = ()
    run_id: int | None = None
    site_id: int | None = None
    slot: str = ""
    entries: tuple[Entry, ...] = ()
    more_entries: int = 0

    def __str__(self) -> str:
        site = f" site={self.site_id} slot={self.slot}" if self.site_id else ""
        where = f" run={self.run_id}{site}" if self.run_id else ""
        errors = f" errors={'; '.join(self.errors)}" if self.errors else ""
        entries = f" entries={'; '.join(map(str, self.entries))}" if self.entries else ""
        more = f" and {self.more_entries} more" if self.more_entries else ""
        return f"{self.source}{where} faults={self.faults}{errors}{entries}{more}"


Sink = Callable[[Alert], None]


def of_entries(source: str, entries: Iterable[Entry], *, run_id: int | None = None) -> Alert | None:
    """Return one alert of what went wrong, or None where nothing did.

    Entries of equal severity, step and text become one with the ids of all. `faults` counts what came in as an error.
    """
    given = list(entries)
    merged: dict[tuple[str, str, str], dict[str, tuple[str, ...]]] = {}
    for entry in given:
        ids = merged.setdefault((entry.severity, entry.step, entry.text), {})
        for name, values in listed(entry.ids).items():
            ids[name] = tuple(dict.fromkeys((*ids.get(name, ()), *values)))
    if not merged:
        return None
    found = [
        Entry(severity="error" if severity == "error" else "warning", step=step, text=text, ids=ids)
        for (severity, step, text), ids in merged.items()
    ]
    return Alert(
        source=source,
        faults=sum(entry.severity == "error" for entry in given),
        run_id=run_id,
        entries=tuple(found[:MAX_ENTRIES]),
        more_entries=max(0, len(found) - MAX_ENTRIES),
    )


def listed(ids: Ids) -> dict[str, tuple[str, ...]]:
    """Return ids as names with texts, also where one id was given instead of a list."""
    return {
        name: tuple(map(str, values)) if isinstance(values, list | tuple | set | frozenset) else (str(values),)
        for name, values in ids.items()
    }


def tell(alert: Alert) -> None:
    """Call every sink. Raises nothing: one that fails is logged, and the others are called."""
    for path in getattr(settings, "ALERT_SINKS", None) or DEFAULT_SINKS:
        try:
            sink: Sink = import_string(path)
            sink(alert)
        except Exception as error:
            logger.error("alert sink %s failed: %s", path, trace(error))


def is_news(about: str, *, seconds: int = QUIET_SECONDS) -> bool:
    """Return whether nobody has been told of a lasting fault lately; from now on somebody has."""
    return cache.add(f"courses.alert:{about}", 1, seconds)


def log_line(alert: Alert) -> None:
    """Sink: one ERROR line in the log."""
    logger.error("faults: %s", alert)


def mail_to_admins(alert: Alert) -> None:
    """Sink: a mail to ADMINS, sent as the settings say and not through the engine."""
    mail_admins(f"Faults: {alert.source}", str(alert), fail_silently=True)


DEFAULT_SINKS = (f"{__name__}.log_line", f"{__name__}.mail_to_admins")
