"""The only writers of requests and configurations. What happens to a request stands in `states`.

`asking` creates, `deciding` approves and declines, `configuring` changes what a customer has chosen, `outcomes` hears
what became of an approval, `upkeep` looks after those of which nothing is heard.
"""

from .asking import create_request
from .configuring import configure
from .deciding import approve, decline
from .outcomes import fail, fulfil
from .rules import Broken
from .upkeep import give_up, republish, sweep

__all__ = [
    "Broken",
    "approve",
    "configure",
    "create_request",
    "decline",
    "fail",
    "fulfil",
    "give_up",
    "republish",
    "sweep",
]
