"""Writes compiled templates of Django's as source text of the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.template import base, defaulttags
from django.template.context import Context
from django.template.loader_tags import BlockNode, IncludeNode
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils import translation
from django.utils.html import conditional_escape

from . import frame, looks
from .conditions import Fixed, folded

BASE: Final = "email_automation/edx_ace/base"
#: Numbers by which a language's plural forms are told apart.
COUNTS: Final = (0, 1, 2, 3, 4, 5, 6, 11, 20, 21, 22, 100, 101, 102, 1000)


class Unwritable(Exception):
    """A file template says something for which the sandbox has no words."""


@dataclass(frozen=True)
class Constant:
    """A name whose value the file itself gives."""

    value: Any


@dataclass(frozen=True)
class Snippet:
    """A name that stands for a piece of source."""

    source: str


#: A name that the written source itself binds, in a loop or with {% with %}.
BOUND: Final = None
Meaning = Constant | Snippet | None


class Writer:
    """Writes nodes as source. `known` are the names that every mail of the message has a value for."""

    def __init__(self, known: frozenset[str], *, html: bool) -> None:
        self.known = known
        self.html = html
        self.scopes: list[dict[str, Meaning]] = [{"True": Constant(True), "False": Constant(False)}]

    def nodes(self, nodes: Iterable[base.Node]) -> str:
        """Return the source of some nodes."""
        return "".join(self.node(node) for node in nodes)

    def node(self, node: base.Node) -> str:
        """Return the source of one node."""
        write = _WRITES.get(type(node))
        if write is None:
            raise Unwritable(f"{node.token.contents if node.token else node} in {node.origin}")
        return write(self, node)

    def meaning(self, name: str) -> Meaning:
        """Return what a name stands for; one that no mail has a value for is empty."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return BOUND if name in self.known else Constant("")

    def value(self, expression: Any) -> Meaning:
        """Return what an expression stands for: BOUND when it is written as it is."""
        if not expression.is_var:
            return Constant(expression.resolve(Context()))
        if expression.var.lookups is None:
            return Constant(expression.resolve(Context()))
        first, *rest = expression.var.lookups
        if first == "block":
            raise Unwritable(f"{expression.token} is a block's own name")
        meaning = self.meaning(first)
        for name in _argument_names(expression):
            if self.meaning(name) is not BOUND:
                raise Unwritable(f"{expression.token}: the filter's argument {name} is a constant")
        if isinstance(meaning, Constant):
            return Constant(expression.resolve(Context({first: meaning.value}), ignore_failures=True))
        if isinstance(meaning, Snippet) and (rest or expression.filters):
            raise Unwritable(f"{expression.token}: {first} is a sentence")
        return meaning

    def output(self, expression: Any) -> str:
        """Return the source that writes an expression."""
        meaning = self.value(expression)
        if isinstance(meaning, Snippet):
            return meaning.source
        if isinstance(meaning, Constant):
            text = "" if meaning.value is None else meaning.value
            return str(conditional_escape(text)) if self.html else str(text)
        return f"{{{{ {expression.token} }}}}"

    def name(self, name: str) -> str:
        """Return the source that writes a name."""
        return self.output(base.Parser([]).compile_filter(name))

    def inside(self, scope: Mapping[str, Meaning], nodes: Iterable[base.Node]) -> str:
        """Return the source of nodes for which some names have another meaning."""
        self.scopes.append(dict(scope))
        try:
            return self.nodes(nodes)
        finally:
            self.scopes.pop()

    def text(self, node: base.TextNode) -> str:
        return node.s

    def nothing(self, node: base.Node) -> str:
        return ""

    def as_it_is(self, node: base.Node) -> str:
        return f"{{% {node.token.contents if node.token else ''} %}}"

    def variable(self, node: base.VariableNode) -> str:
        return self.output(node.filter_expression)

    def escaping(self, node: defaulttags.AutoEscapeControlNode) -> str:
        if node.setting != self.html:
            raise Unwritable(f"autoescape is switched in {node.origin}")
        return self.nodes(node.nodelist)

    def spaceless(self, node: defaulttags.SpacelessNode) -> str:
        return f"{{% spaceless %}}{self.nodes(node.nodelist)}{{% endspaceless %}}"

    def verbatim(self, node: defaulttags.VerbatimNode) -> str:
        return f"{{% verbatim %}}{node.content}{{% endverbatim %}}"

    def if_(self, node: defaulttags.IfNode) -> str:
        written: list[str] = []
        ending = ""
        for condition, nodes in node.conditions_nodelists:
            wanted: str | Fixed = Fixed(True) if condition is None else folded(condition, self._operand)
            if isinstance(wanted, Fixed) and not wanted.value:
                continue
            if isinstance(wanted, Fixed):
                rest = self.nodes(nodes)
                written.append(f"{{% else %}}{rest}" if written else rest)
                break
            written.append(f"{{% {'elif' if written else 'if'} {wanted} %}}{self.nodes(nodes)}")
            ending = "{% endif %}"
        return "".join(written) + ending

    def _operand(self, literal: Any) -> str | Fixed:
        meaning = self.value(literal.value)
        if isinstance(meaning, Snippet):
            return Fixed(True)
        return Fixed(meaning.value) if isinstance(meaning, Constant) else str(literal.text)

    def for_(self, node: Any) -> str:
        if self.value(node.sequence) is not BOUND:
            return self.nodes(node.nodelist_empty)
        scope = dict.fromkeys((*node.loopvars, "forloop"), BOUND)
        empty = self.nodes(node.nodelist_empty)
        return (
            f"{{% for {', '.join(node.loopvars)} in {node.sequence.token}{' reversed' if node.is_reversed else ''} %}}"
            f"{self.inside(scope, node.nodelist_loop)}{'{% empty %}' + empty if empty else ''}{{% endfor %}}"
        )

    def with_(self, node: defaulttags.WithNode) -> str:
        return self.binding(node.extra_context, node.nodelist)

    def binding(self, values: Mapping[str, Any], nodes: Iterable[base.Node]) -> str:
        """Return the source of nodes with names for some values: the constant ones vanish, {% with %} has the rest."""
        scope = {name: self.value(value) for name, value in values.items()}
        bound = " ".join(f"{name}={values[name].token}" for name, meaning in scope.items() if meaning is BOUND)
        inner = self.inside(scope, nodes)
        return f"{{% with {bound} %}}{inner}{{% endwith %}}" if bound else inner

    def firstof(self, node: defaulttags.FirstOfNode) -> str:
        tokens = []
        for expression in node.vars:
            meaning = self.value(expression)
            if meaning is BOUND:
                tokens.append(expression.token)
            elif isinstance(meaning, Constant) and meaning.value:
                if not tokens:
                    return self.output(expression)
                tokens.append(expression.token)
                break
        return f"{{% firstof {' '.join(tokens)} %}}" if tokens else ""

    def translated(self, node: TranslateNode) -> str:
        context = Context()
        sentence = node.render(context)
        if not node.asvar:
            return sentence
        self.scopes[-1][node.asvar] = Snippet(str(context[node.asvar]))
        return ""

    def sentence(self, node: BlockTranslateNode) -> str:
        singular, names = node.render_token_list(node.singular)
        if node.plural:
            source = self._plural(node, singular, names)
        else:
            source = translation.gettext(singular) % self._printed(node, names)
        if not node.asvar:
            return source
        self.scopes[-1][node.asvar] = Snippet(source)
        return ""

    def _printed(self, node: BlockTranslateNode, names: Sequence[str]) -> dict[str, str]:
        given = {**node.extra_context, **({node.countervar: node.counter} if node.countervar else {})}
        return {name: self.output(given[name]) if name in given else self.name(name) for name in names}

    def _plural(self, node: Any, singular: str, names: list[str]) -> str:
        plural, more = node.render_token_list(node.plural)
        printed = self._printed(node, [*names, *more])
        forms = {count: translation.ngettext(singular, plural, count) % printed for count in COUNTS}
        one, many = forms[1], forms[2]
        if set(forms.values()) == {one}:
            return one
        for sign, few in (("==", (1,)), ("<=", (0, 1))):
            if all(form == (one if count in few else many) for count, form in forms.items()):
                return f"{{% if {node.counter.token} {sign} 1 %}}{one}{{% else %}}{many}{{% endif %}}"
        raise Unwritable(f"{singular!r} has more than two forms in {translation.get_language()}")

    def include(self, node: IncludeNode) -> str:
        name = self.value(node.template)
        if not isinstance(name, Constant):
            raise Unwritable(f"an include by variable in {node.origin}")
        own = _OWN_WORDS.get(str(name.value))
        if own is not None:
            return own(self, node.extra_context)
        return self.binding(node.extra_context, frame.ordinary().engine.get_template(name.value).nodelist)

    def heading(self, given: Mapping[str, Any]) -> str:
        return f"<h1>{self._given('text', given)}</h1>"

    def button(self, given: Mapping[str, Any]) -> str:
        quiet = self.value(given["quiet"]) if "quiet" in given else self.meaning("quiet")
        names = f"{looks.BUTTON} {looks.QUIET}" if isinstance(quiet, Constant) and quiet.value else looks.BUTTON
        return f'<a class="{names}" href="{self._given("url", given)}">{self._given("label", given)}</a>'

    def _given(self, name: str, given: Mapping[str, Any]) -> str:
        return self.output(given[name]) if name in given else self.name(name)


class Parts:
    """The blocks of a frame that are wanted, with what the frame around them gives them."""

    def __init__(self, writer: Writer, blocks: Mapping[str, BlockNode], wanted: Sequence[str]) -> None:
        self.writer = writer
        self.blocks = blocks
        self.wanted = wanted

    def of(self, nodes: Iterable[base.Node]) -> Iterator[str]:
        """Yield the source of each wanted block."""
        for node in nodes:
            if isinstance(node, BlockNode) and node.name in self.wanted:
                yield self.writer.inside({}, self.blocks[node.name].nodelist)
            elif isinstance(node, defaulttags.WithNode):
                scope = {name: self.writer.value(value) for name, value in node.extra_context.items()}
                self.writer.scopes.append(scope)
                yield from self.of(node.nodelist)
                self.writer.scopes.pop()
            elif isinstance(node, defaulttags.AutoEscapeControlNode):
                yield from self.of(node.nodelist)


def _argument_names(expression: Any) -> Iterator[str]:
    for _, arguments in expression.filters:
        for lookup, argument in arguments:
            if lookup and argument.lookups is not None:
                yield argument.lookups[0]


_WRITES: Final[dict[type, Callable[[Writer, Any], str]]] = {
    base.TextNode: Writer.text,
    base.VariableNode: Writer.variable,
    defaulttags.AutoEscapeControlNode: Writer.escaping,
    defaulttags.CommentNode: Writer.nothing,
    defaulttags.FirstOfNode: Writer.firstof,
    defaulttags.ForNode: Writer.for_,
    defaulttags.IfNode: Writer.if_,
    defaulttags.LoadNode: Writer.nothing,
    defaulttags.SpacelessNode: Writer.spaceless,
    defaulttags.TemplateTagNode: Writer.as_it_is,
    defaulttags.VerbatimNode: Writer.verbatim,
    defaulttags.WithNode: Writer.with_,
    BlockTranslateNode: Writer.sentence,
    IncludeNode: Writer.include,
    TranslateNode: Writer.translated,
}
#: Includes of the frame that the sandbox has a shorter way of saying.
_OWN_WORDS: Final[dict[str, Callable[[Writer, Mapping[str, Any]], str]]] = {
    f"{BASE}/button.html": Writer.button,
    f"{BASE}/heading.html": Writer.heading,
}
