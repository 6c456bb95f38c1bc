"""What a notice is once-only about, as the text of its key, and that text taken apart again."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple, Self
from uuid import UUID

from .models import NO_PLAN


class Occasion(NamedTuple):
    """One try to tell one thing to one administrator.

    It carries the day and the number of the try, so it never returns: when the log is pruned, nothing is told again.
    """

    message: str
    kind: str
    ecu_id: int
    plan_uuid: UUID
    slot: int
    day: date
    attempt: int

    def __str__(self) -> str:
        plan = "-" if self.plan_uuid == NO_PLAN else str(self.plan_uuid)
        return f"{self.message}:{self.kind}:{self.ecu_id}:{plan}:{self.slot}:{self.day}:{self.attempt}"

    @property
    def thing(self) -> tuple[str, int, UUID, int]:
        """What is to be told, whenever it was tried."""
        return self.kind, self.ecu_id, self.plan_uuid, self.slot

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the occasion a key's text is about."""
        message, kind, ecu_id, plan, slot, day, attempt = text.split(":")
        return cls(
            message,
            kind,
            int(ecu_id),
            NO_PLAN if plan == "-" else UUID(plan),
            int(slot),
            date.fromisoformat(day),
            int(attempt),
        )
