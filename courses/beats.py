"""What apps want done by the clock. `setup_email_automation` makes an entry of django-celery-beat of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A task and when it runs: by a crontab of five fields, read in UTC, or every so many seconds."""

    name: str
    task: str
    crontab: str = ""
    seconds: int = 0
    queue: str = "lifecycle"

    def __post_init__(self) -> None:
        if bool(self.crontab) == bool(self.seconds):
            raise ValueError(f"{self.name}: give either crontab or seconds.")


_entries: dict[str, Entry] = {}


def also(entry: Entry) -> None:
    """Have the set-up make an entry, unless there is one of its name; meant for an AppConfig's `ready`."""
    _entries[entry.name] = entry


def entries() -> list[Entry]:
    """Return the entries that apps want, by name."""
    return [entry for _, entry in sorted(_entries.items())]
