"""The list of what a template of a message can say, for people who write one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..pipeline.message import MessageType
from .checking import samples


class Variable(NamedTuple):
    """One thing to write, as it is written in a template, and an example of what comes out."""

    name: str
    example: str


def variables(kind: type[MessageType]) -> list[Variable]:
    """Return everything that can be written in templates of a message, in the order of the names."""
    return [found for name, value in sorted(samples(kind).items()) for found in _written(name, value)]


def _written(name: str, value: Any) -> Iterator[Variable]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _written(f"{name}.{key}", part)
    elif isinstance(value, list):
        one = name.removesuffix("s") if name.endswith("s") else f"one_{name.rpartition('.')[2]}"
        loop = f"{{% for {one.rpartition('.')[2]} in {name} %}}"
        for inner in _written(one.rpartition(".")[2], value[0]):
            yield Variable(f"{loop} {inner.name} {{% endfor %}}", inner.example)
    else:
        yield Variable(f"{{{{ {name} }}}}", str(value))
