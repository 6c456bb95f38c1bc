"""What a message's templates do with some of their values: print them, ask whether they are empty, or more.

The compiled templates are read, not run, so the answer holds for every value and every branch. What is not known to
be harmless counts as more. Names are followed through `with`, `include`, `for` and `as` wherever they stand, so a name
that means two things in two places counts as both. Files and the sandbox have nodes and filters of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from django.template import TemplateDoesNotExist, base, defaultfilters, defaulttags, loader_tags, smartif
from django.template.engine import Engine
from django.templatetags import i18n

from . import library, nodes

#: Where a value stands: keys, and `EACH` for the elements of a list.
Path = tuple[str, ...]
EACH: Final = "*"

#: The text of a block that a template overrides, or of a sentence that was given a name: printed already.
_PRINTED: Final[Path] = ("block", "super")
#: What Django would call on a group or list when no key has that name, and would bring out what is inside.
_METHODS: Final = frozenset(name for kind in (dict, list, tuple) for name in dir(kind))
_MOST_ROUNDS: Final = 12
_MOST_NAMES: Final = 2_000

_WHOLE_LIST: Final = (defaultfilters.slice_filter, library.slice_)
_ONE_ELEMENT: Final = (defaultfilters.first, defaultfilters.last, library.first, library.last)
_COUNTED: Final = (defaultfilters.length, library.length)
#: Of the sandbox, where a text that is not empty comes out as it went in.
_UNCHANGED: Final = (library.escape_,)
_EITHER: Final = (library.default, defaultfilters.default_if_none)


class Misuse(Exception):
    """A template does more with a value than print it or ask whether it is empty."""


def check(
    templates: Sequence[base.Template],
    paths: Iterable[Path],
    *,
    closed: Iterable[str] = (),
    unescaped: Sequence[base.Template] = (),
) -> None:
    """Raise Misuse when the templates, or what they extend and include, do more with the values at `paths`.

    They must not use the names in `closed` at all. `unescaped` are those of the sandbox that escape nothing.
    """
    reader = _Reader({*paths, _PRINTED}, frozenset(closed), unescaped)
    names = reader.names
    for _ in range(_MOST_ROUNDS):
        known = sum(map(len, names.values()))
        reader.begin()
        try:
            for template in (*templates, *unescaped):
                reader.template(template)
        except TemplateDoesNotExist as error:
            raise Misuse(f"{error} does not exist") from error
        if sum(map(len, names.values())) == known:
            return
        if known > _MOST_NAMES:
            break
    raise Misuse("its names refer to each other")


class _Reader:
    def __init__(self, paths: set[Path], closed: frozenset[str], unescaped: Sequence[base.Template]) -> None:
        self.paths = paths
        self.closed = closed
        self.unescaped = unescaped
        self.escapes = True
        #: What a name may stand for beside the value of that name.
        self.names: dict[str, set[Path]] = {}
        self.read: set[str] = set()
        self.chain: list[str] = []
        self.engine = Engine.get_default()

    def begin(self) -> None:
        self.read.clear()

    def template(self, template: base.Template) -> None:
        self.engine = template.engine
        self.escapes = not any(template is each for each in self.unescaped)
        self.chain = [str(template.name)]
        self.all(template.nodelist)

    def named(self, expression: Any) -> None:
        """Read the template that an `extends` or `include` names."""
        name = expression.var
        if expression.filters or not isinstance(name, str) or name.startswith("."):
            raise Misuse("it extends or includes what is not plainly named")
        if name in self.chain:
            # Django would look for another file of that name.
            raise Misuse("it extends its own name")
        if name not in self.read:
            self.read.add(name)
            self.chain.append(name)
            self.all(self.engine.get_template(name).nodelist)
            self.chain.pop()

    def all(self, found: Iterable[base.Node]) -> None:
        for node in found:
            self.visit(node, _VISITS)

    def visit(self, node: base.Node, visits: _Visits) -> None:
        visit = visits.get(type(node))
        if visit is None:
            raise Misuse(f"{type(node).__name__} is not known to be harmless")
        visit(self, node)

    # Expressions

    def stands_for(self, expression: Any) -> set[Path]:
        """Return the paths of what an expression brings out, as far as they lead to a value in question."""
        found = self.variable(expression.var)
        for function, arguments in expression.filters:
            others = {path for is_variable, each in arguments if is_variable for path in self.variable(each)}
            if function in _EITHER:
                found = found | others
                continue
            if others:
                raise Misuse(f"{expression.token} takes it for an argument")
            if found:
                found = self.filtered(function, found, expression)
        return found

    def variable(self, variable: Any) -> set[Path]:
        if not isinstance(variable, base.Variable) or variable.lookups is None:
            return set()
        root, *rest = variable.lookups
        starts = {(root,)} | self.names.get(root, set())
        return {path for start in starts if self.concerned(path := (*start, *rest))}

    def concerned(self, path: Path) -> bool:
        """Return whether a path leads to, into or past a value in question. Raises Misuse for what is unclear."""
        if path[0] in self.closed:
            raise Misuse(f"{'.'.join(path)} differs from mail to mail")
        concerned = False
        for target in self.paths:
            same = 0
            while same < min(len(path), len(target)) and _matches(path[same], target[same]):
                same += 1
            if same == min(len(path), len(target)):
                concerned = True
            elif same and path[same] in _METHODS:
                raise Misuse(f"{'.'.join(path)} may bring it out")
        return concerned

    def filtered(self, function: Any, paths: set[Path], expression: Any) -> set[Path]:
        if function in _UNCHANGED:
            return paths
        if all(self.is_container(path) for path in paths):
            if function in _WHOLE_LIST:
                return paths
            if function in _ONE_ELEMENT:
                return {(*path, EACH) for path in paths}
            if function in _COUNTED:
                return set()
        raise Misuse(f"{expression.token} is more than printing")

    def is_container(self, path: Path) -> bool:
        return not any(len(path) >= len(target) and _leads(target, path) for target in self.paths)

    def is_value(self, path: Path) -> bool:
        return all(len(target) == len(path) for target in self.paths if _leads(target, path) or _leads(path, target))

    # What templates may do

    def print(self, expression: Any) -> None:
        for path in self.stands_for(expression):
            if not self.is_value(path):
                raise Misuse(f"{expression.token} prints what it is part of")

    def test(self, expression: Any) -> None:
        for path in self.stands_for(expression):
            if not (self.is_value(path) or self.is_container(path)):
                raise Misuse(f"{expression.token} looks into it")

    def compare(self, expression: Any) -> None:
        if self.stands_for(expression):
            raise Misuse(f"{expression.token} is compared")

    def name(self, name: str, expression: Any) -> None:
        self.test(expression)
        self.names.setdefault(name, set()).update(self.stands_for(expression))

    def condition(self, token: Any, *, compared: bool = False) -> None:
        if isinstance(token, smartif.Literal):
            (self.compare if compared else self.test)(token.value)
            return
        compared = compared or token.id not in ("and", "or", "not")
        for part in (token.first, token.second):
            if part is not None:
                self.condition(part, compared=compared)

    # Nodes

    def nothing(self, node: Any) -> None:
        """Read what holds no value."""

    def inside(self, node: Any) -> None:
        self.all(node.nodelist)

    def printed(self, node: base.VariableNode) -> None:
        self.print(node.filter_expression)

    def if_(self, node: defaulttags.IfNode) -> None:
        for condition, nodelist in node.conditions_nodelists:
            if condition is not None:
                self.condition(condition)
            self.all(nodelist)

    def for_(self, node: Any) -> None:
        sequence = node.sequence.expression if isinstance(node.sequence, nodes.Sequence) else node.sequence
        paths = self.stands_for(sequence)
        if not all(self.is_container(path) for path in paths) or (paths and len(node.loopvars) > 1):
            raise Misuse(f"{sequence.token} is gone through")
        if any(self.concerned(path) for path in {("forloop",)} | self.names.get("forloop", set())):
            # It has another name inside of the loop: `forloop.parentloop`.
            raise Misuse("it has a loop's own name")
        for name in node.loopvars:
            self.names.setdefault(name, set()).update((*path, EACH) for path in paths)
        self.all(node.nodelist_loop)
        self.all(node.nodelist_empty)

    def with_(self, node: defaulttags.WithNode) -> None:
        for name, expression in node.extra_context.items():
            self.name(name, expression)
        self.all(node.nodelist)

    def firstof(self, node: defaulttags.FirstOfNode) -> None:
        for expression in node.vars:
            self.print(expression)
        if node.asvar:
            self.names.setdefault(node.asvar, set()).add(_PRINTED)

    def extends(self, node: loader_tags.ExtendsNode) -> None:
        self.named(node.parent_name)
        self.all(node.nodelist)

    def include(self, node: loader_tags.IncludeNode) -> None:
        for name, expression in node.extra_context.items():
            self.name(name, expression)
        self.named(node.template)

    def translate(self, node: Any) -> None:
        for expression in (node.filter_expression, node.message_context):
            if expression is not None and (expression.filters or isinstance(expression.var, base.Variable)):
                self.constant(expression)

    def constant(self, expression: Any) -> None:
        # `_("text")` is a variable without names to look up.
        if expression.filters or expression.var.lookups is not None:
            raise Misuse(f"{expression.token} is translated")

    def sentence(self, node: Any) -> None:
        for name, expression in node.extra_context.items():
            self.name(name, expression)
        for expression in (node.counter, node.message_context):
            if expression is not None:
                self.compare(expression)
        for token in (*node.singular, *(node.plural or ())):
            if token.token_type == base.TokenType.VAR:
                # Django looks the whole of it up as one name.
                for path in {(token.contents,)} | self.names.get(token.contents, set()):
                    if self.concerned(path) and not self.is_value(path):
                        raise Misuse(f"{token.contents} prints what it is part of")
        if node.asvar:
            self.names.setdefault(node.asvar, set()).add(_PRINTED)

    # Nodes of the sandbox

    def metered(self, node: nodes.Metered) -> None:
        self.visit(node.node, _METERED)

    def first_of(self, node: nodes.FirstOf) -> None:
        for expression in node.vars:
            if node.asvar:
                self.name(node.asvar, expression)
            else:
                self.print(expression)

    def changed(self, node: Any) -> None:
        if not node._varlist:
            raise Misuse("ifchanged compares what is in it")
        for expression in node._varlist:
            self.compare(expression)
        self.all(node.nodelist_true)
        self.all(node.nodelist_false)

    def regroup(self, node: nodes.Regroup) -> None:
        self.compare(node.target)
        self.compare(node.expression)

    def ratio(self, node: nodes.Ratio) -> None:
        for expression in (node.val_expr, node.max_expr, node.max_width):
            self.compare(expression)

    def spaceless(self, node: nodes.Spaceless) -> None:
        if not self.escapes:
            # A text could have a > or a < of its own beside a blank.
            raise Misuse("spaceless stands in a text")
        self.all(node.nodelist)


def _matches(bit: str, wanted: str) -> bool:
    return bit == wanted or EACH in (bit, wanted)


def _leads(path: Path, other: Path) -> bool:
    """Return whether one path begins with the other or the other with it."""
    return all(map(_matches, path, other))


_Visits = Mapping[type, Callable[[_Reader, Any], None]]
_VISITS: Final[_Visits] = {
    base.TextNode: _Reader.nothing,
    base.VariableNode: _Reader.printed,
    defaulttags.AutoEscapeControlNode: _Reader.inside,
    defaulttags.CommentNode: _Reader.nothing,
    defaulttags.FirstOfNode: _Reader.firstof,
    defaulttags.ForNode: _Reader.for_,
    defaulttags.IfNode: _Reader.if_,
    defaulttags.LoadNode: _Reader.nothing,
    defaulttags.TemplateTagNode: _Reader.nothing,
    defaulttags.VerbatimNode: _Reader.nothing,
    defaulttags.WithNode: _Reader.with_,
    i18n.BlockTranslateNode: _Reader.sentence,
    i18n.TranslateNode: _Reader.translate,
    loader_tags.BlockNode: _Reader.inside,
    loader_tags.ExtendsNode: _Reader.extends,
    loader_tags.IncludeNode: _Reader.include,
    nodes.Metered: _Reader.metered,
    nodes.Output: _Reader.printed,
    nodes.Text: _Reader.nothing,
}
#: What the sandbox has inside of its meters.
_METERED: Final[_Visits] = {
    defaulttags.CommentNode: _Reader.nothing,
    defaulttags.ForNode: _Reader.for_,
    defaulttags.IfChangedNode: _Reader.changed,
    defaulttags.IfNode: _Reader.if_,
    defaulttags.TemplateTagNode: _Reader.nothing,
    defaulttags.VerbatimNode: _Reader.nothing,
    defaulttags.WithNode: _Reader.with_,
    nodes.FirstOf: _Reader.first_of,
    nodes.Ratio: _Reader.ratio,
    nodes.Regroup: _Reader.regroup,
    nodes.Spaceless: _Reader.spaceless,
}
