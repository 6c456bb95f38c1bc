"""The engine's alerts: faults of its runs, each told once by `courses.alerts`, which knows the sinks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from courses.alerts import Alert as Alert
from courses.alerts import is_news, tell
from courses.alerts import log_line as log_line
from courses.alerts import mail_to_admins as mail_to_admins
from courses.logs import trace

from .models import MessageRun
from .pipeline import runs
from .pipeline.outcome import OURS, Tally

log = logging.getLogger(__name__)


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
        tell(alert)


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
    if (elsewhere or (errors and record is None)) and is_news(source):
        yield Alert(source=source, faults=elsewhere, errors=() if record is not None else tuple(errors))
