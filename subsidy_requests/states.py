"""The states of a request and what leads from one to the next. The state machine reads this table and nothing else.

The decision record that the flow follows calls its states as we do; the public ancestor names two of them otherwise,
so that "approved" there is "fulfilled" here:

| here and in the record | meaning                                                      | public ancestor |
|------------------------|--------------------------------------------------------------|-----------------|
| requested              | the learner has asked                                        | requested       |
| approved               | an administrator has said yes, the grant is not confirmed    | pending         |
| fulfilled              | the subsidy is granted; final                                | approved        |
| declined               | refused; final                                               | declined        |
| error                  | it could not be granted; may be approved again, or declined  | error           |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

REQUESTED: Final = "requested"
APPROVED: Final = "approved"
FULFILLED: Final = "fulfilled"
DECLINED: Final = "declined"
ERROR: Final = "error"

STATES: Final = (REQUESTED, APPROVED, FULFILLED, DECLINED, ERROR)
#: What is neither granted nor refused; a learner has at most one such request for the same thing.
OUTSTANDING: Final = (REQUESTED, APPROVED, ERROR)


class Trigger(StrEnum):
    """What can happen to a request."""

    APPROVE = "approve"
    ASSIGNED = "assigned"
    FAILED = "failed"
    DECLINE = "decline"
    TYPE_CHANGED = "type changed"
    GIVE_UP = "give up"


#: From which states a trigger leads where. Whatever is not in the table changes nothing.
TRANSITIONS: Final[dict[Trigger, tuple[tuple[str, ...], str]]] = {
    Trigger.APPROVE: ((REQUESTED, ERROR), APPROVED),
    Trigger.ASSIGNED: ((APPROVED, ERROR), FULFILLED),
    Trigger.FAILED: ((APPROVED,), ERROR),
    Trigger.DECLINE: ((REQUESTED, ERROR), DECLINED),
    Trigger.TYPE_CHANGED: ((REQUESTED, ERROR), DECLINED),
    Trigger.GIVE_UP: ((APPROVED,), ERROR),
}


class NotAllowed(Exception):
    """The table has no way from this state by this trigger."""


def allows(state: str, trigger: Trigger) -> bool:
    """Return whether the table has a way from a state by a trigger."""
    return state in TRANSITIONS[trigger][0]


def after(state: str, trigger: Trigger) -> str:
    """Return the state a trigger leads to. Raises NotAllowed."""
    if not allows(state, trigger):
        allowed = ", ".join(TRANSITIONS[trigger][0])
        raise NotAllowed(f"state: {state} does not allow {trigger}; allowed from: {allowed}.")
    return TRANSITIONS[trigger][1]
