"""Cohorts: mails whose templates see the same values but personal ones are rendered once, and filled in per learner.

What cannot be proved equal to full rendering is rendered in full: file templates that do more with a personal value
than print it or ask whether it is empty, templates that people have edited, and values that are no plain texts.
"""

from __future__ import annotations

import copy
import itertools
import logging
import operator
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import attr
from django.template import base, loader
from django.template.backends.django import Template
from django.utils import translation
from edx_ace import presentation
from edx_ace.channel import Channel
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail

from .. import links
from ..channels import mime
from ..channels.mail import document
from ..templating import usage
from ..templating.usage import Misuse, Path
from .context import Context
from .shape import Filled, Shape, token

log = logging.getLogger(__name__)

#: Cohorts that are kept; each holds about the size of one mail.
MOST_SHAPES: Final = 200
#: Cohorts of which one mail has been seen; each is a number.
MOST_SEEN: Final = 20_000
#: Names that ACE's renderer puts into every context: the whole message, and its channel.
WHOLE_MAIL: Final = ("message", "channel")

_UUID: Final = UUID(links.MESSAGE_UUID)
#: What is equal for all mails of a cohort and for no others.
Key = tuple[int, str, str, bytes, tuple[Path, ...], tuple[bool, ...]]


class _Files:
    """The file templates of one message in one language, as they are compiled now."""

    _numbers = itertools.count()

    def __init__(self, label: str, templates: tuple[base.Template, ...]) -> None:
        self.label = label
        self.templates = templates
        self.number = next(self._numbers)
        self.refused = False
        self._allowed: set[frozenset[Path]] = set()

    def check(self, paths: Iterable[Path]) -> None:
        """Raise Misuse unless the templates only print the values at these paths, or ask whether they are empty."""
        found = frozenset(paths)
        if found not in self._allowed:
            usage.check(self.templates, found, closed=WHOLE_MAIL)
            self._allowed.add(found)

    def refuse(self, reason: object) -> None:
        """Have every mail rendered in full from now on, and say so once."""
        if not self.refused:
            log.warning("message=%s is rendered in full for each learner: %s", self.label, reason)
        self.refused = True


class _Memory:
    """What a process knows of cohorts. The oldest is forgotten first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: dict[tuple[str, str, str], _Files | None] = {}
        self.looked: set[tuple[str, str, str]] = set()
        self.seen: OrderedDict[int, int] = OrderedDict()
        self.shapes: OrderedDict[Key, Shape] = OrderedDict()

    def shape(self, key: Key) -> Shape | None:
        with self.lock:
            if key in self.shapes:
                self.shapes.move_to_end(key)
            return self.shapes.get(key)

    def has_seen(self, key: Key, user_id: int) -> bool:
        """Return whether a mail of this cohort came by before, to somebody else, and remember this one."""
        # Another with the same hash would only be taken for a second mail, which is compared like any.
        told = hash(key)
        with self.lock:
            known = self.seen.get(told, user_id) != user_id
            _put(self.seen, told, user_id, MOST_SEEN)
            return known

    def keep(self, key: Key, shape: Shape) -> None:
        with self.lock:
            _put(self.shapes, key, shape, MOST_SHAPES)


_memory = _Memory()


def look_again() -> None:
    """Look at the templates again before the next mail; called once for each slice of mails."""
    with _memory.lock:
        _memory.looked.clear()


def forget() -> None:
    """Know nothing, as a new process does."""
    global _memory
    _memory = _Memory()


def rendered(channel: Channel, letter: Message, context: Context) -> RenderedEmail:
    """Return a mail's parts as ACE's presentation renders them.

    The first mail of a cohort is rendered in full, the first to another person in full and as a shape, which are
    compared; the others are filled in. So what two people's mails do not share is in no shape.
    """
    files = _files_of(channel, letter)
    key = _key(channel, letter, context, files) if files is not None and not files.refused else None
    if files is None or key is None:
        return presentation.render(channel, letter)
    texts = list(context.personal.values())
    shape = _memory.shape(key)
    if shape is not None:
        return shape.filled(texts, str(letter.uuid))
    whole = presentation.render(channel, letter)
    if _memory.has_seen(key, letter.recipient.lms_user_id):
        try:
            shape = _shape(channel, letter, context, files)
            _compare(shape.filled(texts, str(letter.uuid)), whole, letter.language)
            _memory.keep(key, shape)
        except Misuse as reason:
            files.refuse(reason)
    return whole


def _compare(filled: Filled, whole: RenderedEmail, language: str) -> None:
    """Raise Misuse unless a mail that was filled in is the one that was rendered in full, and the same on the wire."""
    parts = filled.parts()
    if filled != whole or (parts is not None and parts != mime.parts(whole.body, document(whole, language))):
        raise Misuse("a mail that was filled in differs")


def _files_of(channel: Channel, letter: Message) -> _Files | None:
    """Return the file templates of a mail, None when some part of it is made of something else."""
    language = str(letter.language)
    label = f"{letter.app_label}.{letter.name}"
    place = (label, str(channel.channel_type.value), language)
    if place in _memory.looked:
        return _memory.files.get(place)
    with translation.override(language):
        found = _templates(channel, letter)
        # A loader that compiles a file anew each time would give others when it comes to rendering.
        if found is not None and not _same(found, _templates(channel, letter)):
            found = None
    known = _memory.files.get(place)
    if found is None or known is None or not _same(known.templates, found):
        known = _Files(label, found) if found is not None else None
    _memory.files[place] = known
    _memory.looked.add(place)
    return known


def _templates(channel: Channel, letter: Message) -> tuple[base.Template, ...] | None:
    folder = f"{letter.app_label}/edx_ace/{letter.name}/{channel.channel_type.value}"
    names = [f"{folder}/{each.name.replace('_html', '.html')}" for each in attr.fields(RenderedEmail)]
    found: list[Any] = [loader.get_template(name if name.endswith(".html") else f"{name}.txt") for name in names]
    return tuple(each.template for each in found) if all(isinstance(each, Template) for each in found) else None


def _same(some: Sequence[base.Template], others: Sequence[base.Template] | None) -> bool:
    return others is not None and all(map(operator.is_, some, others))


def _key(channel: Channel, letter: Message, context: Context, files: _Files) -> Key | None:
    """Return what is equal for all mails of a cohort and for no others, None where that cannot be said."""
    digest, texts = context.common.digest, context.personal.values()
    if digest is None or any(type(text) is not str for text in texts):
        return None
    paths, pattern = tuple(context.personal), tuple(map(bool, texts))
    return files.number, str(channel.channel_type.value), str(letter.language), digest, paths, pattern


def _shape(channel: Channel, letter: Message, context: Context, files: _Files) -> Shape:
    """Render the templates with a token for each personal value. Raises Misuse where that proves nothing."""
    files.check([*context.personal, *_with_uuid(context.common.values)])
    tokens = {path: token(number) if text else "" for number, (path, text) in enumerate(context.personal.items())}
    pattern = copy.copy(letter)
    pattern.context = Context(context.common, tokens).of(_UUID)
    return Shape(presentation.render(channel, pattern), len(tokens), letter.language)


def _with_uuid(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where the message's uuid stands in a context."""
    if isinstance(value, str) and links.MESSAGE_UUID in value:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _with_uuid(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _with_uuid(item, (*path, usage.EACH))


def _put(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _after_fork() -> None:
    # Another thread of the parent may have held the lock.
    forget()


os.register_at_fork(after_in_child=_after_fork)
