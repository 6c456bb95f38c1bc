"""The frame of a mail: the message's own file templates, with the edited part where their content would be."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from django.template import TemplateDoesNotExist, base, engines
from django.template.backends.django import DjangoTemplates
from django.template.context import Context
from django.template.engine import Engine
from django.template.loader_tags import BlockNode, ExtendsNode

if TYPE_CHECKING:
    from ..pipeline.message import MessageType

FRAME: Final = "edited_frame"
CONTENT: Final = "edited_content"
_BODY: Final = (
    f"{{% extends {FRAME} %}}{{% block preheader %}}{{% endblock %}}{{% block heading %}}{{% endblock %}}"
    f"{{% block content %}}{{{{ {CONTENT} }}}}{{% endblock %}}{{% block cta %}}{{% endblock %}}"
    "{% block upsell %}{% endblock %}"
)
#: For each framed part a template that fills one block of the file's and empties those that belong to its content.
_FILLED: Final = {
    "head.html": f"{{% extends {FRAME} %}}{{% block title %}}{{{{ {CONTENT} }}}}{{% endblock %}}",
    "body.html": _BODY,
    "body.txt": _BODY,
}


def framed(name: str, part: str, content: str, values: dict[str, Any]) -> str:
    """Return a part of a mail with `content` in it, which is safe or not as its type says.

    `name` is the file template's. Raises TemplateDoesNotExist when there is none.
    """
    engine = ordinary().engine
    frame = around(name)
    context = Context({**values, FRAME: frame, CONTENT: content}, autoescape=engine.autoescape)
    return str(_filled(engine, part).render(context))


def around(name: str) -> base.Template:
    """Return the file template that an edited part of this name is put into. Raises TemplateDoesNotExist."""
    return ordinary().engine.get_template(name)


def takes_content(kind: type[MessageType]) -> bool:
    """Return whether a message's own body.html has the block that the edited one goes into."""
    engine = ordinary().engine
    try:
        template = engine.get_template(f"{kind.owner()}/edx_ace/{kind.NAME}/email/body.html")
    except TemplateDoesNotExist:
        return False
    while (parent := parent_name(template)) is not None:
        template = engine.get_template(parent)
    return any(getattr(block, "name", "") == "content" for block in template.nodelist.get_nodes_by_type(BlockNode))


def ordinary() -> DjangoTemplates:
    """Return the backend of the file templates. Raises LookupError when a project has none."""
    for backend in engines.all():
        if isinstance(backend, DjangoTemplates):
            return backend
    raise LookupError("TEMPLATES has no DjangoTemplates, so there are no file templates.")


@lru_cache(maxsize=16)
def _filled(engine: Engine, part: str) -> base.Template:
    return engine.from_string(_FILLED[part])


def parent_name(template: base.Template) -> str | None:
    """Return the name of the template that a template extends, None where it extends none by name."""
    for node in template.nodelist:
        if isinstance(node, ExtendsNode):
            parent: Any = node.parent_name
            return None if parent.is_var else str(parent.var)
    return None
