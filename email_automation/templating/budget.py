"""How much an edited template may cost. Counted, not timed: a slow machine gives the same answer as a fast one."""

from __future__ import annotations

from typing import Any, Final

from .errors import Exhausted

#: Characters of one source, tags and variables in it, characters of one of them, and how deep they may be nested.
MAX_SOURCE: Final = 100_000
MAX_TAGS: Final = 1_000
MAX_TAG: Final = 1_000
MAX_DEPTH: Final = 20
#: Tags of HTML in one source, and how deep elements may be nested.
MAX_ELEMENTS: Final = 5_000
MAX_ELEMENT_DEPTH: Final = 100
#: Operands and operators of one {% if %}, which Django evaluates by recursion.
MAX_WORDS: Final = 60
#: Rounds of loops, tags and filters carried out, and characters written, by one rendering.
MAX_STEPS: Final = 5_000
MAX_SIZE: Final = 300_000
#: Steps of a rendering that only tries: samples are short, and real lists longer.
TRIAL_STEPS: Final = 2_000


class Budget:
    """What one rendering has left. Everything is charged before it is done, or as soon as its size is known."""

    __slots__ = ("size", "steps")

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.steps = steps
        self.size = MAX_SIZE

    def step(self, number: int = 1) -> None:
        """Take `number` rounds, tags or filters off. Raises Exhausted when there are not so many left."""
        self.steps -= number
        if self.steps < 0:
            raise Exhausted("the template takes too many steps; are there loops inside loops?")

    def write(self, value: Any) -> None:
        """Take the size of a text or list off. Raises Exhausted when there is not so much left."""
        if isinstance(value, str | list | tuple):
            self.size -= len(value)
            if self.size < 0:
                raise Exhausted(f"the template writes more than {MAX_SIZE} characters")
