"""The nodes of a compiled template that are not Django's: those that write, those that repeat, and their meter."""

from __future__ import annotations

from typing import Any

from django.template import base, defaulttags
from django.template.exceptions import TemplateSyntaxError
from django.utils.html import strip_spaces_between_tags
from django.utils.safestring import SafeString

from .errors import TemplateError
from .lookup import ANYTHING, Markup


class Text(base.TextNode):
    """A text of the source, charged each time it is written."""

    def render(self, context: Any) -> str:
        """Return the text."""
        context.budget.write(self.s)
        return self.s

    render_annotated = render


class Output(base.VariableNode):
    """A variable that is written."""

    def render_annotated(self, context: Any) -> str:
        """Return the value as text, escaped where the template is HTML."""
        try:
            return written(self.filter_expression.resolve(context), context)
        except TemplateError as error:
            raise _at(error, self) from error


class Metered(base.Node):
    """Any other node of Django's or ours: charged one step, and its errors get its line."""

    child_nodelists = ("inside",)

    def __init__(self, node: base.Node) -> None:
        self.node = node
        self.inside = base.NodeList([node])

    def render_annotated(self, context: Any) -> str:
        """Return what the node writes."""
        try:
            context.budget.step()
            return self.node.render(context)
        except TemplateError as error:
            raise _at(error, self) from error
        except Exception as error:
            raise TemplateError(f"it does not work: {error}", line_of(self)) from error


class FirstOf(defaulttags.FirstOfNode):
    """The first value that is not empty. A named one keeps its value, which is escaped where it is written."""

    def render(self, context: Any) -> str:
        """Return it, or '' when it gets a name."""
        value = next((found for var in self.vars if (found := var.resolve(context, ignore_failures=True))), "")
        if self.asvar:
            context[self.asvar] = value
            return ""
        return written(value, context)


class Regroup(base.Node):
    """A list of {"grouper": key, "list": elements with this key in a row}: dicts, where Django makes tuples."""

    def __init__(self, node: defaulttags.RegroupNode) -> None:
        self.target = node.target
        self.expression = node.expression
        self.var_name = node.var_name

    def render(self, context: Any) -> str:
        """Put the groups into the scope."""
        groups: list[dict[str, Any]] = []
        for item in Sequence(self.target).resolve(context):
            with context.push({self.var_name: item}):
                key = self.expression.resolve(context)
            if not groups or groups[-1]["grouper"] != key:
                groups.append({"grouper": key, "list": []})
            groups[-1]["list"].append(item)
        context[self.var_name] = groups
        return ""


class Ratio(defaulttags.WidthRatioNode):
    """A bar's width; nothing where a number is missing."""

    def render(self, context: Any) -> str:
        """Return the rounded number."""
        try:
            result = super().render(context)
        except (TemplateSyntaxError, OverflowError):
            result = ""
        context.budget.write(result)
        return result


class Spaceless(defaulttags.SpacelessNode):
    """Tags without blanks between them. Those at its ends stay: without them, what stands there could become a tag."""

    def render(self, context: Any) -> str:
        """Return what is inside."""
        return strip_spaces_between_tags(self.nodelist.render(context))


class Sequence:
    """What a loop goes through: a list, charged before its first round; anything else counts as empty."""

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def resolve(self, context: Any, ignore_failures: bool = True) -> Any:
        """Return the list."""
        values = self.expression.resolve(context, ignore_failures)
        if not isinstance(values, list | tuple):
            return ()
        context.budget.step(len(values))
        return values


def written(value: Any, context: Any) -> str:
    """Return a value as a template writes it: localized, escaped in HTML; groups, lists and nothing as ''."""
    if value is None or value is ANYTHING or isinstance(value, dict | list | tuple):
        return ""
    if context.autoescape and isinstance(value, Markup):
        text = str.__str__(value)
    else:
        text = base.render_value_in_context(value, context)
    context.budget.write(text)
    return SafeString(text)


def line_of(node: base.Node) -> int:
    """Return the line in which a node begins."""
    return (node.token.lineno if node.token else None) or 0


def _at(error: TemplateError, node: base.Node) -> TemplateError:
    """Return the error with the line of the innermost node."""
    return error if error.line else type(error)(error.message, line_of(node))
