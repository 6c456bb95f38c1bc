"""What the file templates of a message say, in one language and in the sandbox's own words.

The compiled templates are walked: blocks and includes are put together, sentences translated, constants written out,
and conditions, loops and filters kept as they are.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.template import base
from django.template.loader_tags import BlockNode
from django.utils import translation

from ..pipeline.message import MessageType
from . import frame, looks
from .checking import samples
from .edited import Sources
from .plain import tidy
from .writer import Parts, Writer

#: The blocks of a frame that make up what people edit.
TAKEN: Final = ("heading", "content", "cta", "upsell")
#: How the files write what the sandbox's own looks give anyway.
_PLAIN_TAGS: Final = {
    **{f"<{tag}{looks.attributes_of(look)}>": f"<{tag}>" for tag, look in looks.LOOKS.items()},
    '<p style="margin:0;">': "<p>",
}


def sources(kind: type[MessageType], language: str) -> Sources:
    """Return subject, HTML and text of a message's files. Raises Unwritable where the sandbox has no words for them."""
    folder = f"{kind.owner()}/edx_ace/{kind.NAME}/email"
    with translation.override(language):
        known = frozenset(samples(kind))
        subject = Writer(known, html=False).nodes(_template(f"{folder}/subject.txt").nodelist)
        html = _content(f"{folder}/body.html", Writer(known, html=True), between="\n")
        text = _content(f"{folder}/body.txt", Writer(known, html=False), between="")
    for written, plain in _PLAIN_TAGS.items():
        html = html.replace(written, plain)
    return Sources(re.sub(r"\s*\n\s*", " ", subject).strip(), tidy(html), tidy(text))


def _content(name: str, writer: Writer, *, between: str) -> str:
    chain = [_template(name)]
    while (parent := frame.parent_name(chain[-1])) is not None:
        chain.append(_template(parent))
    blocks: dict[str, Any] = {}
    for template in reversed(chain):
        blocks |= {block.name: block for block in _blocks(template)}
    return between.join(part for part in Parts(writer, blocks, TAKEN).of(chain[-1].nodelist) if part.strip())


def _blocks(template: base.Template) -> list[Any]:
    return list(template.nodelist.get_nodes_by_type(BlockNode))


def _template(name: str) -> base.Template:
    return frame.ordinary().engine.get_template(name)
