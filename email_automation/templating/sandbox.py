"""The sandbox: Django's template language with a closed list of words, on plain values, within a budget."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, NoReturn

from django.template import base
from django.template.context import Context
from django.template.engine import Engine
from django.template.exceptions import TemplateSyntaxError
from django.utils.functional import Promise
from django.utils.timezone import template_localtime  # type: ignore[attr-defined]

from .budget import MAX_DEPTH, MAX_SOURCE, MAX_TAG, MAX_TAGS, MAX_WORDS, Budget
from .errors import Exhausted, TemplateError
from .lookup import ANYTHING, Missing, missing, plain, step
from .nodes import Metered, Output, Text

OPENING: Final = re.compile(r"\{[{%#]")
CLOSING: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}
STRAY: Final = re.compile(r"\{[{%#]|[}%#]\}")


class Sandbox(Engine):
    """Django's engine with our words for its own, and no way to another template."""

    default_builtins = ["email_automation.templating.library"]


class Scope(Context):
    """The values of one rendering and what is left of its budget.

    With `strict`, a name that nothing answers to is an error instead of an empty text.
    """

    def __init__(
        self, values: Mapping[str, Any], *, autoescape: bool, strict: bool = False, budget: Budget | None = None
    ) -> None:
        # A copy: tags that set a variable must not do so in the caller's dict.
        super().__init__(dict(values), autoescape=autoescape)
        self.strict = strict
        self.budget = budget or Budget()


class Template(base.Template):
    """A compiled source. Raises TemplateError, with the line, for one that cannot be compiled.

    The limits are for people's sources; what we make of one (`ours`) may be longer.
    """

    def __init__(self, source: str, *, ours: bool = False) -> None:
        self.ours = ours
        # Browsers send line ends as CR LF.
        source = source.replace("\r\n", "\n")
        try:
            super().__init__(source, engine=_engine())
        except TemplateError:
            raise
        except Exception as error:
            line = getattr(getattr(error, "token", None), "lineno", 1)
            known = isinstance(error, TemplateSyntaxError)
            raise TemplateError(str(error) if known else f"cannot be read ({type(error).__name__})", line) from error

    def compile_nodelist(self) -> base.NodeList:
        """Compile within the limits; Django's own parser does the rest."""
        self.tokens = base.DebugLexer(self.source).tokenize() if self.ours else tokens_of(self.source)
        parser = Parser(self.tokens, {}, self.engine.template_builtins, self.origin)
        nodelist = parser.parse()
        self.extra_data = parser.extra_data
        return nodelist

    def render_values(self, values: Mapping[str, Any], *, autoescape: bool, budget: Budget | None = None) -> str:
        """Return the text made from plain values. Raises TemplateError when it exceeds its budget."""
        try:
            return str.__str__(self.render(Scope(values, autoescape=autoescape, budget=budget)))
        except TemplateError:
            raise
        except Exception as error:
            raise TemplateError(f"cannot be rendered ({type(error).__name__})") from error


class Variable(base.Variable):
    """A number, or a name with dots that is looked up by keys and positions only."""

    __slots__ = ()

    def _resolve_lookup(self, context: Any) -> Any:
        first, *rest = bits = self.lookups or ()
        try:
            try:
                value = plain(context[first])
            except KeyError:
                raise Missing("no such variable") from None
            for bit in rest:
                value = step(value, bit)
        except Missing:
            if context.strict:
                raise Missing(missing(bits, context.flatten())) from None
            raise base.VariableDoesNotExist("%s", (self.var,)) from None
        return value


class FilterExpression(base.FilterExpression):
    """A variable with its filters; `line` is where it stands."""

    __slots__ = ("line",)

    def __init__(self, token: str, parser: Parser) -> None:
        super().__init__(token, parser)
        self.line = parser.line
        self.var = self._own(self.var)
        self.filters = [
            (function, [(lookup, self._own(argument)) for lookup, argument in arguments])
            for function, arguments in self.filters
        ]

    @staticmethod
    def _own(value: Any) -> Any:
        if isinstance(value, Promise) or (isinstance(value, base.Variable) and value.translate):
            raise TemplateSyntaxError("_(…) is not available here; write the text in the template's own language")
        return Variable(str(value.var)) if isinstance(value, base.Variable) else plain(value)

    def resolve(self, context: Any, ignore_failures: bool = False) -> Any:
        """Return the value, '' (with `ignore_failures` None) where there is none. Filters never raise when sending."""
        context.budget.step()
        try:
            value = self.var.resolve(context) if self.is_var else self.var
        except base.VariableDoesNotExist:
            value = None if ignore_failures else ""
        for function, arguments in self.filters:
            context.budget.step()
            value = self._filtered(function, value, [self._argument(context, *each) for each in arguments], context)
            context.budget.write(value)
        return "" if value is None and not ignore_failures else value

    def _argument(self, context: Scope, lookup: bool, argument: Any) -> Any:
        if not lookup:
            return argument
        try:
            return argument.resolve(context)
        except base.VariableDoesNotExist:
            return ""

    def _filtered(self, function: Any, value: Any, arguments: list[Any], context: Scope) -> Any:
        if value is ANYTHING or ANYTHING in arguments:
            return ANYTHING
        if getattr(function, "expects_localtime", False):
            value = template_localtime(value, context.use_tz)
        options = {"autoescape": context.autoescape} if getattr(function, "needs_autoescape", False) else {}
        try:
            return plain(function(value, *arguments, **options))
        except Exhausted:
            raise
        except Exception as error:
            if not context.strict:
                return ""
            reason = error.args[0] if type(error) is ValueError and error.args else "it does not fit"
            raise TemplateError(f"{self.token}: {function._filter_name} cannot be used here: {reason}") from error


class Parser(base.Parser):
    """Django's parser with our expressions and nodes, a depth limit, and errors that say what is allowed."""

    line = 1

    def parse(self, parse_until: Iterable[str] | None = None) -> base.NodeList:
        """Return the nodes up to one of the tags named."""
        if len(self.command_stack) > MAX_DEPTH:
            raise self.error(self.command_stack[-1][1], f"tags are nested more than {MAX_DEPTH} deep")
        return super().parse(parse_until)

    def next_token(self) -> base.Token:
        """Return the next token, and remember its line for the expressions in it."""
        token = super().next_token()
        self.line = token.lineno or 1
        return token

    def compile_filter(self, token: str) -> FilterExpression:
        """Return the expression."""
        return FilterExpression(token, self)

    def find_filter(self, filter_name: str) -> Any:
        """Return a filter by its name."""
        if filter_name not in self.filters:
            raise TemplateSyntaxError(
                f"the filter {filter_name!r} is not available here; filters are {', '.join(sorted(self.filters))}"
            )
        return self.filters[filter_name]

    def extend_nodelist(self, nodelist: base.NodeList, node: base.Node, token: base.Token) -> None:
        """Add a node, as one that is charged for."""
        node.token = token
        if isinstance(node, base.TextNode):
            node = Text(node.s)
        elif isinstance(node, base.VariableNode):
            node = Output(node.filter_expression)
        else:
            node = Metered(node)
        super().extend_nodelist(nodelist, node, token)

    def invalid_block_tag(self, token: base.Token, command: str, parse_until: Iterable[str] | None = None) -> NoReturn:
        """Raise the error about a tag that must not stand here."""
        inner = {"else", "elif", "empty"}
        if command not in inner and not (command.startswith("end") and command[3:] in self.tags):
            what = f"{{% {command} %}} is not available here; tags are {', '.join(sorted(self.tags))}"
        elif parse_until:
            opened, opening = self.command_stack[-2]
            wanted = " or ".join(f"{{% {word} %}}" for word in parse_until)
            what = f"{{% {command} %}} where {wanted} is due for the {{% {opened} %}} of line {opening.lineno}"
        else:
            what = f"{{% {command} %}} ends or divides nothing that is open"
        raise self.error(token, what)

    def unclosed_block_tag(self, parse_until: Iterable[str]) -> NoReturn:
        """Raise the error about a tag whose end is missing."""
        command, token = self.command_stack.pop()
        raise self.error(token, f"{{% {command} %}} is never ended; {{% {list(parse_until)[-1]} %}} is missing")


def tokens_of(source: str) -> list[base.Token]:
    """Return the tokens of a source, with their positions. Raises TemplateError for what is too much or is stray."""
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"it has {len(source)} characters, more than {MAX_SOURCE}", 1)
    # Before the lexer runs, which for each opening without an end reads on to the end of the line.
    for number, opening in enumerate(OPENING.finditer(source), start=1):
        line_end = source.find("\n", opening.end())
        if number > MAX_TAGS:
            raise TemplateError(f"more than {MAX_TAGS} tags", source.count("\n", 0, opening.start()) + 1)
        if source.find(CLOSING[opening[0]], opening.end(), line_end if line_end >= 0 else len(source)) < 0:
            raise _stray(opening, 1)
    tokens = base.DebugLexer(source).tokenize()
    literal = False
    for token in tokens:
        line = token.lineno or 1
        if token.token_type is base.TokenType.TEXT:
            if not literal and (stray := STRAY.search(token.contents)):
                raise _stray(stray, line)
        elif len(token.contents) > MAX_TAG:
            raise TemplateError(f"a tag of more than {MAX_TAG} characters", line)
        elif token.token_type is base.TokenType.BLOCK:
            command, *words = token.contents.split() or [""]
            literal = command == "verbatim"
            # Some of Django's tags take "empty x" or "else x" for their end.
            if words and (command in ("else", "empty") or (command.startswith("end") and command != "endverbatim")):
                raise TemplateError(f"{{% {command} %}} has nothing behind its name", line)
            if command in ("if", "elif") and len(words) > MAX_WORDS:
                raise TemplateError(f"a condition of more than {MAX_WORDS} words", line)
    return tokens


def _stray(mark: re.Match[str], line: int) -> TemplateError:
    return TemplateError(
        f"a stray {mark[0]}: does its tag begin and end on this line?", line + mark.string.count("\n", 0, mark.start())
    )


@cache
def _engine() -> Sandbox:
    return Sandbox(loaders=[])
