"""A strict walk through every branch of a template, taken by the sample values or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.template import base, defaulttags, smartif

from .errors import Exhausted, TemplateError
from .lookup import ANYTHING, kind_of
from .nodes import FirstOf, Metered, Output, Ratio, Regroup, Sequence, Spaceless, line_of
from .sandbox import Scope, Template

COMPARISONS: Final = ("<", "<=", ">", ">=", "in", "not in")


def faults(template: Template, samples: Mapping[str, Any], *, autoescape: bool) -> list[TemplateError]:
    """Return what is wrong with the variables and filters of a template, each with its line, whatever its conditions.

    A loop is walked with the first element of its sample.
    """
    walk = _Walk(Scope(samples, autoescape=autoescape, strict=True))
    try:
        walk.all(template.nodelist)
    except Exhausted as error:
        walk.found.append(error)
    return walk.found


class _Walk:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.found: list[TemplateError] = []

    def all(self, nodes: Iterable[base.Node]) -> None:
        for node in nodes:
            if isinstance(node, Output):
                self.write(node.filter_expression, line_of(node))
            elif isinstance(node, Metered):
                visit = _VISITS.get(type(node.node))
                if visit is not None:
                    visit(self, node.node, line_of(node))

    def value(self, expression: Any, line: int) -> Any:
        """Return an expression's value, ANYTHING after telling why it has none."""
        try:
            return expression.resolve(self.scope, ignore_failures=True)
        except Exhausted as error:
            raise Exhausted(error.message, line) from error
        except TemplateError as error:
            self.tell(error.message, line)
            return ANYTHING

    def write(self, expression: Any, line: int) -> None:
        value = self.value(expression, line)
        if isinstance(value, dict):
            self.tell(f"{expression.token} is a group of variables; it has {', '.join(map(str, value))}", line)
        elif isinstance(value, list | tuple):
            self.tell(f"{expression.token} is a list: use {{% for %}}, or |join", line)

    def tell(self, message: str, line: int) -> None:
        self.found.append(TemplateError(message, line))

    def condition(self, token: Any) -> None:
        """Look at all operands, also those that would not be asked."""
        if isinstance(token, smartif.Literal):
            self.operand(token)
            return
        for part in (token.first, token.second):
            if part is not None:
                self.condition(part)
        if token.id in COMPARISONS and all(isinstance(part, smartif.Literal) for part in (token.first, token.second)):
            self.comparison(token)

    def operand(self, literal: Any) -> Any:
        return self.value(literal.value, literal.value.line)

    def comparison(self, token: Any) -> None:
        told = len(self.found)
        left, right = self.operand(token.first), self.operand(token.second)
        del self.found[told:]
        if ANYTHING in (left, right) or None in (left, right):
            return
        try:
            _ = left in right if token.id.endswith("in") else left < right
        except TypeError:
            self.tell(
                f"{token.first.text} {token.id} {token.second.text} is never true: "
                f"one is {kind_of(left)}, the other {kind_of(right)}",
                token.first.value.line,
            )

    def if_(self, node: defaulttags.IfNode, line: int) -> None:
        for condition, nodelist in node.conditions_nodelists:
            if condition is not None:
                self.condition(condition)
            self.all(nodelist)

    def for_(self, node: Any, line: int) -> None:
        sequence: Sequence = node.sequence
        values = self.value(sequence.expression, line)
        if values is not ANYTHING and not isinstance(values, list | tuple):
            self.tell(f"{sequence.expression.token} is {kind_of(values)}, not a list", line)
            values = ANYTHING
        element = values[0] if values else ANYTHING
        forloop = {
            "parentloop": self.scope.get("forloop", {}),
            **dict.fromkeys(("counter", "counter0", "revcounter", "revcounter0"), 1),
            **dict.fromkeys(("first", "last"), True),
        }
        with self.scope.push({"forloop": forloop, **self.unpacked(node.loopvars, element, line)}):
            self.all(node.nodelist_loop)
        self.all(node.nodelist_empty)

    def unpacked(self, names: list[str], element: Any, line: int) -> dict[str, Any]:
        if len(names) == 1:
            return {names[0]: element}
        if isinstance(element, list | tuple) and len(element) == len(names):
            return dict(zip(names, element, strict=True))
        if element is not ANYTHING:
            self.tell(f"the loop's elements are not {len(names)} values each", line)
        return dict.fromkeys(names, ANYTHING)

    def with_(self, node: defaulttags.WithNode, line: int) -> None:
        values = {name: self.value(expression, line) for name, expression in node.extra_context.items()}
        with self.scope.push(values):
            self.all(node.nodelist)

    def firstof(self, node: FirstOf, line: int) -> None:
        if not node.asvar:
            for expression in node.vars:
                self.write(expression, line)
            return
        values = [self.value(expression, line) for expression in node.vars]
        self.scope[node.asvar] = next((value for value in values if value), ANYTHING if ANYTHING in values else "")

    def ifchanged(self, node: Any, line: int) -> None:
        for expression in node._varlist:
            self.value(expression, line)
        self.all(node.nodelist_true)
        self.all(node.nodelist_false)

    def regroup(self, node: Regroup, line: int) -> None:
        values = self.value(node.target, line)
        if values is not ANYTHING and not isinstance(values, list | tuple):
            self.tell(f"{node.target.token} is {kind_of(values)}, not a list", line)
            values = ANYTHING
        element = values[0] if values else ANYTHING
        with self.scope.push({node.var_name: element}):
            key = self.value(node.expression, line)
        self.scope[node.var_name] = [{"grouper": key, "list": [element]}]

    def ratio(self, node: Ratio, line: int) -> None:
        for expression in (node.val_expr, node.max_expr, node.max_width):
            value = self.value(expression, line)
            try:
                float(0 if value is ANYTHING else value)
            except (TypeError, ValueError):
                self.tell(f"{expression.token} is {kind_of(value)}, not a number", line)
        if node.asvar:
            self.scope[node.asvar] = "1"

    def spaceless(self, node: Spaceless, line: int) -> None:
        self.all(node.nodelist)


_VISITS: Final[dict[type, Callable[[_Walk, Any, int], None]]] = {
    defaulttags.IfNode: _Walk.if_,
    defaulttags.ForNode: _Walk.for_,
    defaulttags.WithNode: _Walk.with_,
    defaulttags.IfChangedNode: _Walk.ifchanged,
    FirstOf: _Walk.firstof,
    Regroup: _Walk.regroup,
    Ratio: _Walk.ratio,
    Spaceless: _Walk.spaceless,
}
