"""What has to be done now and then; the sweep does it, so a site needs neither a beat nor processes for events."""

from __future__ import annotations

from courses.eventbus import processor, relay, retention


def do() -> None:
    """Publish, handle, tell people of what is late, and forget what is old."""
    relay.run()
    processor.run()
    relay.watch()
    retention.prune()
