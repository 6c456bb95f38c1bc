"""The context of one mail's templates, with what differs between the mails of a cohort apart from the rest."""

from __future__ import annotations

import marshal
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.conf import settings

from courses import sites

from .. import consent, links, values
from ..channels.mail import direction_of
from ..templating.usage import Path
from .message import MessageType
from .policy import Verdict
from .resolver import Draft
from .run import Run

_UNSUBSCRIBE: Final[Path] = ("unsubscribe_url",)
_UNSUBSCRIBE_COURSE: Final[Path] = ("course_unsubscribe_url",)
_PREFERENCES: Final[Path] = ("preferences_url",)


class Common:
    """The values that are equal for all mails of a cohort.

    `links.MESSAGE_UUID` stands in them where a message's own uuid belongs. `engine` are those of them that no draft may
    give.
    """

    def __init__(self, shared: dict[str, Any], engine: dict[str, Any]) -> None:
        self.engine = engine
        self.values = {**shared, **engine}

    @cached_property
    def digest(self) -> bytes | None:
        """What only equal values have, None where that cannot be said of these."""
        try:
            # Exact types only, so that what is equal here is printed alike: no text that calls itself safe, no lazy
            # value. Version 2 has no references, which would depend on where a value has been before.
            return blake2b(marshal.dumps(self.values, 2), digest_size=32).digest()
        except ValueError:
            return None


class Context(NamedTuple):
    """What the templates of one mail see; `personal` are the texts that are this person's own, by where they stand."""

    common: Common
    personal: dict[Path, Any]

    def of(self, message_uuid: UUID) -> dict[str, Any]:
        """Return the values for the templates of a mail with this uuid."""
        context: dict[str, Any] = links.with_message_uuid(self.common.values, message_uuid)
        for path, value in self.personal.items():
            place(context, path, value)
        return context


class Contexts:
    """Makes the contexts of one slice's mails. What several drafts share is put together once."""

    def __init__(self, message: type[MessageType], run: Run, brand: sites.Brand) -> None:
        self._message = message
        self._run = run
        self._brand = brand
        self._linker = consent.MailLinker(brand["url"], message.category)
        # By the identity of what drafts share; with a draft that holds it, so that no other gets that identity.
        self._common: dict[tuple[int, int, str, str], tuple[Common, Draft]] = {}

    def of(self, draft: Draft, person: Verdict, message_uuid: UUID) -> Context:
        """Return the context of a draft's mail."""
        common, stop = self._common_of(draft), self._links(draft, person)
        personal: dict[Path, Any] = {
            _UNSUBSCRIBE: stop.unsubscribe,
            _UNSUBSCRIBE_COURSE: stop.course_unsubscribe,
            _PREFERENCES: stop.preferences,
        }
        for name, value in draft.personal.items():
            if name != "user" and name not in common.engine:
                personal[name,] = links.with_message_uuid(value, message_uuid)
        if self._run.is_test:
            # Also where a message brings opt-out links of its own: a tester must not be able to opt a learner out.
            personal |= {_UNSUBSCRIBE: stop.unsubscribe, _PREFERENCES: stop.preferences}
        for name, value in person.names.items():
            personal["user", name] = value
        return Context(common, personal)

    def _links(self, draft: Draft, person: Verdict) -> consent.MailLinks:
        if self._run.is_test:
            nowhere = consent.test_mail_url(self._brand["url"])
            return consent.MailLinks(nowhere, nowhere)
        # Only where it is clear which course the reader means, and the mail is one that a course can be opted out of.
        course_id = draft.course_id if len(draft.course_keys) == 1 and not self._message.transactional else None
        return self._linker.of(draft.user_id, person.epochs, course_id=course_id)

    def _common_of(self, draft: Draft) -> Common:
        language = language_of(draft)
        key = (id(draft.shared), id(draft.about), draft.first_course_key, language)
        if key not in self._common:
            home_url = links.tracked(
                self._brand["home_url"],
                source=self._message.owner(),
                campaign=self._message.NAME,
                term=draft.first_course_key,
            )
            engine = {
                "brand": {**self._brand, "home_url": home_url},
                "site_name": self._brand["name"],
                "site_url": self._brand["url"],
                "language": language,
                "direction": direction_of(language),
                "is_test": self._run.is_test,
            }
            shared = {**dict.fromkeys(values.ABOUT), "context": {}, **draft.about, **draft.shared, "user": {}}
            self._common[key] = Common(shared, engine), draft
        return self._common[key][0]


def language_of(draft: Draft) -> str:
    """Return the language a draft's mail is written in."""
    return draft.language or settings.LANGUAGE_CODE


def place(context: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value where its path says, in dicts that are the context's own."""
    *outer, name = path
    for key in outer:
        context = context[key]
    context[name] = value
