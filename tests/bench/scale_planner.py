"""Plans a day's nudges in a process of its own, so that its memory is that of planning."""

from __future__ import annotations

import json
import time
from datetime import date
from typing import Any, Final

from .places import peak_kib

DAY: Final = date(2026, 3, 1)
NUDGE: Final = "recurringnudge_day3"


def plan() -> dict[str, Any]:
    """Plan the day, waking workers up, and say when it began, how long it took (seconds) and what memory (KiB)."""
    from django.conf import settings

    from email_automation.pipeline import dispatch, message

    before, started = peak_kib(), time.monotonic()
    summary = dispatch.run_daily(message.get(NUDGE), settings.SITE_ID, day=DAY)
    seconds = time.monotonic() - started
    assert not summary.errors, summary
    return {"started": started, "seconds": seconds, "due": summary.audience, "before": before, "most": peak_kib()}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(plan()))
