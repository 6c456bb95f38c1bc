"""Alerts: telling people of faults on our side, once for each run, by ids and counts only.

`ALERT_SINKS` names functions by their dotted paths; each is called with one Alert. Without it an alert is a line in
the log and a mail to ADMINS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.core.mail import mail_admins
from django.utils.module_loading import import_string

from .conf import setting
from .models import MessageRun
from .pipeline import runs
from .pipeline.outcome import OURS, Tally, trace

log = logging.getLogger(__name__)

#: How long faults of mails that belong to no run stay quiet once somebody has been told.
QUIET_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Faults that somebody has to mend: what ran, how many mails they touch, and which errors ended the work."""

    source: str
    faults: int
    errors: tuple[str, ...] = ()
    run_id: int | None = None
    site_id: int | None = None
    slot: str = ""

    def __str__(self) -> str:
        where = f" run={self.run_id} site={self.site_id} slot={self.slot}" if self.run_id else ""
        errors = f" errors={'; '.join(self.errors)}" if self.errors else ""
        return f"{self.source}{where} faults={self.faults}{errors}"


Sink = Callable[[Alert], None]


def announce(source: str, tally: Tally, *, errors: Sequence[str] = (), record: MessageRun | None = None) -> None:
    """Tell the sinks of the faults in a tally, and of the errors that ended a run. Raises nothing.

    A run is announced once, however many processes meet its faults and however often they try.
    """
    try:
        found = list(_alerts(source, tally, errors=errors, record=record))
    except Exception as error:
        # Not to be told twice takes the database; rather twice than not at all when it is what broke.
        log.error("alerts of %s could not be looked up: %s", source, trace(error))
        found = [Alert(source=source, faults=tally[OURS], errors=tuple(errors))]
    for alert in found:
        for path in setting("ALERT_SINKS") or DEFAULT_SINKS:
            try:
                sink: Sink = import_string(path)
                sink(alert)
            except Exception as error:
                log.error("alert sink %s failed: %s", path, trace(error))


def _alerts(source: str, tally: Tally, *, errors: Sequence[str], record: MessageRun | None) -> Iterator[Alert]:
    by_run = tally.faulty_runs
    if errors and record is not None:
        by_run.setdefault(record.pk, 0)
    for run_id, faults in by_run.items():
        if run := runs.first_fault(run_id):
            of_this = tuple(errors) if record is not None and record.pk == run_id else ()
            yield Alert(
                source=run.message, faults=faults, errors=of_this, run_id=run_id, site_id=run.site_id, slot=run.slot
            )
    elsewhere = tally[OURS] - sum(by_run.values())
    if (elsewhere or (errors and record is None)) and cache.add(f"email_automation.alert:{source}", 1, QUIET_SECONDS):
        yield Alert(source=source, faults=elsewhere, errors=() if record is not None else tuple(errors))


def log_line(alert: Alert) -> None:
    """Sink: one ERROR line in the log."""
    log.error("faults: %s", alert)


def mail_to_admins(alert: Alert) -> None:
    """Sink: a mail to ADMINS, sent as the settings say and not through the engine."""
    mail_admins(f"Mail faults: {alert.source}", str(alert), fail_silently=True)


DEFAULT_SINKS = (f"{__name__}.log_line", f"{__name__}.mail_to_admins")
