"""Events between parts that do not call each other, whatever is down for a while.

`emit` writes an event in the transaction of its fact; the relay hands it to the carrier (a database, or a Redis
stream); the inbox keeps it for each consumer; the processor has it handled. docs/events.md tells the whole way.
"""

from courses.eventbus.handlers import Deferred, Never, handles
from courses.eventbus.outbox import OutsideTransaction, emit

__all__ = ["Deferred", "Never", "OutsideTransaction", "emit", "handles"]
