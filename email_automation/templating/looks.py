"""How the HTML that people write looks in the frame of a mail: styles put into its tags, once, when it is compiled.

Elements with a style of their own keep it. The classes are those of the frame's style sheet, which changes them for
dark screens; the styles are the frame's own, for mail programs that read no style sheet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .markup import Markup, Tag

INK: Final = "color:#20252B;"
MUTED: Final = "color:#5A616B;"
SERIF: Final = "font-family:Georgia,'Times New Roman',Times,serif;"
SANS: Final = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;"
CELL: Final = "padding:8px 12px;border-bottom:1px solid #B4B9C0;vertical-align:top;"
COLOR: Final = "{% firstof brand.color '#0B5C8A' %}"
ON_COLOR: Final = "{% firstof brand.on_color '#FFFFFF' %}"


class Look(NamedTuple):
    """The class and the style of an element."""

    name: str
    style: str


_TITLE: Final = Look("m-ink", f"margin:24px 0 8px;{INK}font-size:17px;line-height:24px;font-weight:600;")
_STRONG: Final = Look("m-ink", f"{INK}font-weight:600;")
_LIST: Final = Look("", "margin:0 0 16px;padding:0 22px;")
LOOKS: Final = {
    "a": Look("m-ink", f"{INK}text-decoration:underline;"),
    "b": _STRONG,
    "blockquote": Look("m-muted", f"margin:0 0 16px;padding:0 22px;{MUTED}"),
    "dd": Look("", "margin:0 0 8px;"),
    "dl": Look("", "margin:0 0 16px;"),
    "dt": _STRONG,
    "h1": Look("m-ink m-h1", f"margin:0 0 20px;{INK}{SERIF}font-size:30px;line-height:38px;font-weight:400;"),
    "h2": Look("m-ink", f"margin:24px 0 8px;{INK}{SERIF}font-size:21px;line-height:28px;font-weight:400;"),
    "h3": _TITLE,
    "h4": _TITLE,
    "h5": _TITLE,
    "h6": _TITLE,
    "hr": Look("", "height:1px;margin:24px 0;border:0;background-color:#B4B9C0;"),
    "img": Look("", "max-width:100%;height:auto;border:0;"),
    "li": Look("", "margin:0 0 8px;"),
    "ol": _LIST,
    "p": Look("", "margin:0 0 16px;"),
    "pre": Look("", "margin:0 0 16px;white-space:pre-wrap;"),
    "small": Look("m-muted", f"{MUTED}font-size:14px;line-height:20px;"),
    "strong": _STRONG,
    "table": Look("", "width:100%;margin:0 0 16px;border-collapse:collapse;"),
    "td": Look("", CELL),
    # Inherited, because left and right depend on the language.
    "th": Look("m-ink", f"{CELL}{INK}font-weight:600;text-align:inherit;"),
    "ul": _LIST,
}
#: The class by which a link asks to be a button, and the one that has it in outline.
BUTTON: Final = "button"
QUIET: Final = "quiet"
_TEXT: Final = f"display:inline-block;{SANS}text-decoration:none;"


class _Button(NamedTuple):
    cell: str
    link: Look


_LOUD_LINK: Final = f"{_TEXT}padding:14px 30px;color:{ON_COLOR};font-size:17px;line-height:24px;font-weight:700;"
_QUIET_LINK: Final = f"{_TEXT}padding:12px 22px;{INK}font-size:16px;line-height:22px;font-weight:600;"
_LOUD_BOX: Final = f"background-color:{COLOR};border:1px solid {ON_COLOR};border-radius:8px;"
_QUIET_BOX: Final = "border:1px solid #20252B;border-radius:8px;"
_BUTTONS: Final = {
    False: _Button(f'<td bgcolor="{COLOR}" style="{_LOUD_BOX}mso-padding-alt:14px 30px;">', Look("m-tap", _LOUD_LINK)),
    True: _Button(
        f'<td class="m-quiet" style="{_QUIET_BOX}mso-padding-alt:12px 22px;">', Look("m-ink m-tap", _QUIET_LINK)
    ),
}
_BOXES: Final = {False: Look("", _LOUD_BOX), True: Look("", _QUIET_BOX)}
_BUTTON_TABLE: Final = (
    '<table role="presentation" class="m-wide" cellpadding="0" cellspacing="0" border="0" '
    'style="border-collapse:separate;margin:12px 0 16px;"><tr>'
)
#: In which a button is a table, as Outlook needs it; inside a line of text there can be none.
_ROOMS: Final = frozenset({"article", "blockquote", "center", "div", "li", "main", "section", "td"})


class _Edit(NamedTuple):
    at: int
    length: int
    text: str


def dressed(source: str, markup: Markup) -> str:
    """Return the source with a class and a style in every tag that has none. Lines stay as they are."""
    edits = [edit for tag in markup.tags if not tag.closing for edit in _edits(tag, markup)]
    written, upto = [], 0
    for edit in sorted(edits, key=lambda edit: edit.at):
        written += [source[upto : edit.at], edit.text]
        upto = edit.at + edit.length
    return "".join([*written, source[upto:]])


def _edits(tag: Tag, markup: Markup) -> list[_Edit]:
    if tag.attribute("style") is not None or _in_layout(tag):
        return []
    chosen = tag.attribute("class")
    names = chosen.literal.split() if chosen else []
    if tag.name == "a" and chosen and BUTTON in names:
        return _button(tag, markup, quiet=QUIET in names, at=chosen.start, length=chosen.end - chosen.start)
    look = LOOKS.get(tag.name)
    if look is None:
        return []
    return [_Edit(tag.name_end, 0, attributes_of(Look("" if chosen else look.name, look.style)))]


def _button(tag: Tag, markup: Markup, *, quiet: bool, at: int, length: int) -> list[_Edit]:
    button, end = _BUTTONS[quiet], markup.partners.get(tag.start)
    in_text = tag.inside is not None and tag.inside.name not in _ROOMS
    if in_text or end is None:
        return [_Edit(at, length, attributes_of(Look(button.link.name, button.link.style + _BOXES[quiet].style))[1:])]
    return [
        _Edit(tag.start, 0, _BUTTON_TABLE + button.cell),
        _Edit(at, length, attributes_of(button.link)[1:]),
        _Edit(end.end, 0, "</td></tr></table>"),
    ]


def _in_layout(tag: Tag) -> bool:
    """Return whether a tag is a part of a table that is there for its looks, or has looks of its own."""
    if tag.name not in ("table", "td", "th"):
        return False
    table: Tag | None = tag
    while table is not None and table.name != "table":
        table = table.inside
    if table is None:
        return False
    role = table.attribute("role")
    return (role is not None and role.literal == "presentation") or table.attribute("style") is not None


def attributes_of(look: Look) -> str:
    """Return a look as it is written in a tag, with a blank before it."""
    return (f' class="{look.name}"' if look.name else "") + f' style="{look.style}"'
