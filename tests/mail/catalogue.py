"""Reads translation catalogues and the message ids that templates ask for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.template.base import Template
from django.templatetags.i18n import BlockTranslateNode, TranslateNode


@dataclass
class Entry:
    """One entry of a .po file; `texts` holds one text, or one per plural form."""

    msgid: str = ""
    plural: str = ""
    fuzzy: bool = False
    texts: dict[int, str] = field(default_factory=dict)


def entries(path: Path) -> Iterator[Entry]:
    """The entries of a .po file, the header left out."""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        entry, keyword = Entry(), ""
        for line in block.splitlines():
            if line.startswith("#"):
                entry.fuzzy |= line.startswith("#,") and "fuzzy" in line
                continue
            if not line.startswith('"'):
                keyword, _, line = line.partition(" ")
            text = ast.literal_eval(line)
            if keyword == "msgid":
                entry.msgid += text
            elif keyword == "msgid_plural":
                entry.plural += text
            else:
                number = int(keyword[7:-1]) if keyword.endswith("]") else 0
                entry.texts[number] = entry.texts.get(number, "") + text
        if entry.msgid:
            yield entry


def msgids(template: Template) -> set[str]:
    """The message ids that a template asks for, without those of its parents and includes."""
    found = set()
    for node in template.nodelist.get_nodes_by_type((TranslateNode, BlockTranslateNode)):
        if isinstance(node, TranslateNode):
            found.add(str(node.filter_expression.var.literal))
        else:
            found.add(node.render_token_list(node.singular)[0])
            if node.plural:
                found.add(node.render_token_list(node.plural)[0])
    return found
