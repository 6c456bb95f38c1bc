"""Cohorts: mails whose templates see the same values but personal ones are rendered once, and filled in per learner.

What cannot be proved equal to full rendering is rendered in full: file templates that do more with a personal value
than print it or ask whether it is empty, templates that people have edited, and values that are no plain texts.
"""

from __future__ import annotations

import copy
import itertools
import logging
import marshal
import operator
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import attr
from django.template import base, loader
from django.template.backends.django import Template
from django.utils import translation
from django.utils.html import escape
from django.utils.safestring import SafeString
from edx_ace import presentation
from edx_ace.channel import Channel
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail

from .. import links
from ..templating import usage
from ..templating.usage import Misuse, Path
from .context import Context

log = logging.getLogger(__name__)

#: Cohorts that are kept; each holds about the size of one mail.
MOST_SHAPES: Final = 200
#: Cohorts of which one mail has been seen; each is a few bytes.
MOST_SEEN: Final = 20_000
#: Names that ACE's renderer puts into every context: the whole message, and its channel.
WHOLE_MAIL: Final = ("message", "channel")

# Stands for a value and shows what became of it: each of the signs that HTML escapes, once. Nobody outside of this
# process can know it, and a mail is never sent with it.
_NONCE: Final = secrets.token_hex(12)
_SIGNS: Final = "&<>\"'"
_TOKEN: Final = re.compile(rf"{_NONCE}\.(\d+)\.(?:({re.escape(_SIGNS)})|{re.escape(str(escape(_SIGNS)))})")
_UUID: Final = UUID(links.MESSAGE_UUID)
#: Where the message's uuid stands for itself.
_UUID_PATH: Final[Path] = ()


class Shape:
    """The parts of a cohort's mails, cut where personal values and the message's uuid belong."""

    def __init__(self, rendered: RenderedEmail, paths: Sequence[Path]) -> None:
        self._fields = {name: _Text(text, paths) for name, text in attr.asdict(rendered).items()}
        self._escaped = {path for text in self._fields.values() for path in text.escaped}

    def filled(self, personal: Mapping[Path, str], message_uuid: UUID) -> RenderedEmail:
        """Return one mail. `personal` has a text for each of the shape's paths."""
        plain: dict[Path, str] = {**personal, _UUID_PATH: str(message_uuid)}
        escaped = {path: str(escape(plain[path])) for path in self._escaped}
        return RenderedEmail(**{name: text.filled(plain, escaped) for name, text in self._fields.items()})


class _Text:
    """One part of a mail: texts, and between them the paths of what belongs there, escaped or as they are."""

    def __init__(self, text: str, paths: Sequence[Path]) -> None:
        self._parts: list[str] = []
        self._slots: list[tuple[int, Path, bool]] = []
        tokens = list(_TOKEN.finditer(text))
        if len(tokens) != text.lower().count(_NONCE):
            raise Misuse("a value comes out changed")
        end = 0
        for token in tokens:
            self._append(text[end : token.start()])
            self._slot(paths[int(token[1])], escaped=token[2] is None)
            end = token.end()
        self._append(text[end:])

    def _append(self, text: str) -> None:
        first, *others = text.split(links.MESSAGE_UUID)
        self._parts.append(first)
        for other in others:
            self._slot(_UUID_PATH, escaped=False)
            self._parts.append(other)

    def _slot(self, path: Path, *, escaped: bool) -> None:
        self._slots.append((len(self._parts), path, escaped))
        self._parts.append("")

    @property
    def escaped(self) -> set[Path]:
        """The paths of what belongs here escaped."""
        return {path for _, path, is_escaped in self._slots if is_escaped}

    def filled(self, plain: Mapping[Path, str], escaped: Mapping[Path, str]) -> SafeString:
        parts = self._parts.copy()
        for position, path, is_escaped in self._slots:
            parts[position] = (escaped if is_escaped else plain)[path]
        return SafeString("".join(parts))


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
        self.seen: OrderedDict[bytes, None] = OrderedDict()
        self.shapes: OrderedDict[bytes, Shape] = OrderedDict()

    def shape(self, key: bytes) -> Shape | None:
        with self.lock:
            if key in self.shapes:
                self.shapes.move_to_end(key)
            return self.shapes.get(key)

    def has_seen(self, key: bytes) -> bool:
        """Return whether a mail of this cohort came by before, and remember this one."""
        with self.lock:
            known = key in self.seen
            _put(self.seen, key, None, MOST_SEEN)
            return known

    def keep(self, key: bytes, shape: Shape) -> None:
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

    The first mail of a cohort is rendered in full, the second in full and as a shape, which are compared; the others
    are filled in.
    """
    files = _files_of(channel, letter)
    key = _key(channel, letter, context, files) if files is not None and not files.refused else None
    if files is None or key is None:
        return presentation.render(channel, letter)
    shape = _memory.shape(key)
    if shape is not None:
        return shape.filled(context.personal, letter.uuid)
    whole = presentation.render(channel, letter)
    if _memory.has_seen(key):
        try:
            shape = _shape(channel, letter, context, files)
            if shape.filled(context.personal, letter.uuid) != whole:
                raise Misuse("a mail that was filled in differs")
            _memory.keep(key, shape)
        except Misuse as reason:
            files.refuse(reason)
    return whole


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


def _key(channel: Channel, letter: Message, context: Context, files: _Files) -> bytes | None:
    """Return what is equal for all mails of a cohort and for no others, None where that cannot be said."""
    if any(type(value) is not str for value in context.personal.values()):
        return None
    pattern = tuple((path, bool(value)) for path, value in context.personal.items())
    try:
        # Exact types only, so that what is equal here is printed alike: no text that calls itself safe, no lazy value.
        # Version 2 has no references, which would depend on where a value has been before.
        told = marshal.dumps((files.number, channel.channel_type.value, letter.language, pattern, context.common), 2)
    except ValueError:
        return None
    return blake2b(told, digest_size=32).digest()


def _shape(channel: Channel, letter: Message, context: Context, files: _Files) -> Shape:
    """Render the templates with a token for each personal value. Raises Misuse where that proves nothing."""
    files.check([*context.personal, *_with_uuid(context.common)])
    paths = list(context.personal)
    tokens = {
        path: f"{_NONCE}.{number}.{_SIGNS}" if context.personal[path] else "" for number, path in enumerate(paths)
    }
    pattern = copy.copy(letter)
    pattern.context = Context(context.common, tokens).of(_UUID)
    return Shape(presentation.render(channel, pattern), paths)


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


def _put(kept: OrderedDict[Any, Any], key: bytes, value: Any, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)


def _after_fork() -> None:
    # Another thread of the parent may have held the lock.
    forget()


os.register_at_fork(after_in_child=_after_fork)
