"""Cohorts: mails whose templates see the same values but personal ones are rendered once, and filled in per learner.

What cannot be proved equal to full rendering is rendered in full: templates that do more with a personal value than
print it or ask whether it is empty, values that are no plain texts, and odd texts in templates that people have edited.
"""

from __future__ import annotations

import copy
import itertools
import logging
import operator
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
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
from ..templating import filling, stored, usage
from ..templating.backend import EditedPart
from ..templating.edited import Edited
from ..templating.usage import Misuse, Path
from .context import Context
from .shape import Filled, Shape, token

log = logging.getLogger(__name__)

#: Cohorts that are kept; each holds about the size of one mail.
MOST_SHAPES: Final = 64
#: Cohorts of the same templates, and of the same texts that are not empty, of which a mail is rendered in full too.
PROOFS: Final = 3
#: Names that ACE's renderer puts into every context: the whole message, and its channel.
WHOLE_MAIL: Final = ("message", "channel")

_UUID: Final = UUID(links.MESSAGE_UUID)
#: Where the templates of a mail are found: its app, its name, its channel and its language.
Place = tuple[str, str, Channel, str]
#: What is equal for all mails of a cohort and for no others: the number of its templates, and of its values.
Key = tuple[int, bytes, tuple[Path, ...], tuple[int, ...]]


class _Found(NamedTuple):
    """File templates, and what people have edited, which is put into them."""

    templates: tuple[base.Template, ...]
    edited: Edited | None


class _Files:
    """The templates of one message in one language, as they are compiled now."""

    _numbers = itertools.count()

    def __init__(self, label: str, found: _Found) -> None:
        self.label = label
        self.found = found
        self.number = next(self._numbers)
        self.refused = False
        self._allowed: set[frozenset[Path]] = set()
        self._proofs: Counter[Any] = Counter()

    def check(self, context: Context) -> None:
        """Raise Misuse unless mails of the context's cohort differ by nothing but the texts of the person in them."""
        paths = frozenset([*context.personal, *_with_uuid(context.common.values)])
        templates, edited = self.found
        if paths not in self._allowed:
            if edited is None:
                usage.check(templates, paths, closed=WHOLE_MAIL)
            else:
                filling.check_usage(edited, templates, paths, closed=WHOLE_MAIL)
            self._allowed.add(paths)
        if edited is not None:
            filling.check(edited, context.personal, lambda texts: Context(context.common, texts).of(_UUID))

    def is_new_with(self, texts: Any) -> bool:
        """Return whether few cohorts with such texts have been filled in yet, and count one more."""
        self._proofs[texts] += 1
        return self._proofs[texts] <= PROOFS

    def pattern(self, texts: Mapping[Path, str]) -> tuple[int, ...] | None:
        """Return what the texts of all people of a cohort have in common, None where one of them is odd."""
        return tuple(map(bool, texts.values())) if self.found.edited is None else filling.manners(texts)

    def refuse(self, reason: object) -> None:
        """Have every mail rendered in full from now on, and say so once."""
        if not self.refused:
            log.warning("message=%s is rendered in full for each learner: %s", self.label, reason)
        self.refused = True


class _Memory:
    """What a process knows of cohorts. The one that has not been met for longest is forgotten first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: dict[Place, _Files | None] = {}
        #: Those of `files` that have been looked at in this slice. Replaced as a whole, so that who has begun to look
        #: before it does not answer for the time after it.
        self.looked: dict[Place, _Files | None] = {}
        self.shapes: OrderedDict[Key, Shape] = OrderedDict()

    def shape(self, key: Key) -> Shape | None:
        with self.lock:
            if key in self.shapes:
                self.shapes.move_to_end(key)
            return self.shapes.get(key)

    def keep(self, key: Key, shape: Shape) -> None:
        with self.lock:
            self.shapes[key] = shape
            self.shapes.move_to_end(key)
            if len(self.shapes) > MOST_SHAPES:
                self.shapes.popitem(last=False)


_memory = _Memory()


def look_again() -> None:
    """Look at the templates again before the next mail; called once for each slice of mails."""
    _memory.looked = {}


def forget() -> None:
    """Know nothing, as a new process does."""
    global _memory
    _memory = _Memory()


def rendered(channel: Channel, letter: Message, context: Context) -> RenderedEmail:
    """Return a mail's parts as ACE's presentation renders them.

    With the first mail of a cohort its shape is made, with nobody's texts in it; the others are filled in.
    """
    files = _files_of(channel, letter)
    key = _key(context, files) if files is not None and not files.refused else None
    if files is None or key is None:
        return presentation.render(channel, letter)
    shape, texts, user_id = _memory.shape(key), list(context.personal.values()), letter.recipient.lms_user_id
    if shape is not None:
        return shape.filled(texts, str(letter.uuid), user_id=user_id)
    try:
        shape = _shape(channel, letter, context, files)
        filled = shape.filled(texts, str(letter.uuid), user_id=user_id)
        if files.is_new_with(key[2:]):
            _prove(filled, presentation.render(channel, letter), letter.language)
    except Misuse as reason:
        files.refuse(reason)
        return presentation.render(channel, letter)
    _memory.keep(key, shape)
    return filled


def _prove(filled: Filled, whole: RenderedEmail, language: str) -> None:
    """Raise Misuse unless a mail that was filled in is the one that was rendered in full, and the same on the wire."""
    parts = filled.parts()
    if filled != whole or (parts is not None and parts != mime.parts(whole.body, document(whole, language))):
        raise Misuse("a mail that was filled in differs")


def _files_of(channel: Channel, letter: Message) -> _Files | None:
    """Return the templates of a mail, None when some part of it is made of something that cannot be read."""
    place, looked = (letter.app_label, letter.name, channel, letter.language), _memory.looked
    if place in looked:
        return looked[place]
    with translation.override(letter.language):
        found = _templates(channel, letter)
        # A loader that compiles a file anew each time would give others when it comes to rendering.
        if found is not None and not _same(found, _templates(channel, letter)):
            found = None
    known = _memory.files.get(place)
    if found is None or known is None or not _same(known.found, found):
        known = _Files(f"{letter.app_label}.{letter.name}", found) if found is not None else None
    _memory.files[place] = looked[place] = known
    return known


def _templates(channel: Channel, letter: Message) -> _Found | None:
    folder = f"{letter.app_label}/edx_ace/{letter.name}/{channel.channel_type.value}"
    names = [f"{folder}/{each.name.replace('_html', '.html')}" for each in attr.fields(RenderedEmail)]
    parts: list[Any] = [loader.get_template(name if name.endswith(".html") else f"{name}.txt") for name in names]
    edited = [part.edited for part in parts if isinstance(part, EditedPart)]
    if not all(isinstance(part, Template | EditedPart) for part in parts):
        return None
    if any(each is not edited[0] for each in edited):
        # Another thread has found a change between two of them.
        return None
    files = [part.around if isinstance(part, EditedPart) else part.template for part in parts]
    return _Found(tuple(file for file in files if file is not None), edited[0] if edited else None)


def _same(some: _Found, others: _Found | None) -> bool:
    """Return whether both are the very same, compiled of the same texts."""
    if others is None or some.edited is not others.edited or len(some.templates) != len(others.templates):
        return False
    return all(map(operator.is_, some.templates, others.templates))


def _key(context: Context, files: _Files) -> Key | None:
    """Return what is equal for all mails of a cohort and for no others, None where that cannot be said."""
    digest = context.common.digest
    if digest is None or not {str}.issuperset(map(type, context.personal.values())):
        return None
    pattern = files.pattern(context.personal)
    return (files.number, digest, tuple(context.personal), pattern) if pattern is not None else None


def _shape(channel: Channel, letter: Message, context: Context, files: _Files) -> Shape:
    """Render the templates with a token for each personal value. Raises Misuse where that proves nothing."""
    with translation.override(letter.language):
        files.check(context)
    tokens = {path: token(number) if text else "" for number, (path, text) in enumerate(context.personal.items())}
    pattern = copy.copy(letter)
    pattern.context = Context(context.common, tokens).of(_UUID)
    # Of what has been checked, also when another thread has found a change meanwhile.
    with stored.forced(letter.name, files.found.edited):
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


def _after_fork() -> None:
    # Another thread of the parent may have held the lock.
    forget()


os.register_at_fork(after_in_child=_after_fork)
