"""The context of one mail's templates, with what differs between the mails of a cohort apart from the rest."""

from __future__ import annotations

from typing import Any, NamedTuple
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


class Context(NamedTuple):
    """What the templates of one mail see.

    `common` still has `links.MESSAGE_UUID` where the message's own uuid belongs; `personal` are the texts that are this
    person's own, by where they stand in it.
    """

    common: dict[str, Any]
    personal: dict[Path, Any]

    def of(self, message_uuid: UUID) -> dict[str, Any]:
        """Return the values for the templates of a mail with this uuid."""
        context: dict[str, Any] = links.with_message_uuid(self.common, message_uuid)
        for path, value in self.personal.items():
            place(context, path, value)
        return context


def context_for(
    message: type[MessageType], run: Run, draft: Draft, person: Verdict, brand: sites.Brand, message_uuid: UUID
) -> Context:
    """Return the context of a draft's mail."""
    base = brand["url"]
    home_url = links.tracked(
        brand["home_url"], source=message.owner(), campaign=message.NAME, term=draft.first_course_key
    )
    # Only where it is clear which course the reader means, and the mail is one that a course can be opted out of.
    one_course = draft.course_id if len(draft.course_keys) == 1 and not (message.transactional or run.is_test) else None
    if run.is_test:
        nowhere = consent.test_mail_url(base)
        stop, manage, stop_course = consent.MailLinks(nowhere, nowhere)
    else:
        stop, manage, stop_course = consent.mail_links(
            base, draft.user_id, message.category, person.epochs, course_id=one_course
        )
    language = language_of(draft)
    engine = {
        "brand": {**brand, "home_url": home_url},
        "site_name": brand["name"],
        "site_url": base,
        "language": language,
        "direction": direction_of(language),
        "is_test": run.is_test,
    }
    own = {
        "unsubscribe_url": stop,
        "course_unsubscribe_url": stop_course,
        "preferences_url": manage,
        **links.with_message_uuid(draft.personal, message_uuid),
    }
    if run.is_test:
        # Also where a message brings opt-out links of its own: a tester must not be able to opt a learner out.
        own |= {"unsubscribe_url": stop, "preferences_url": manage}
    personal: dict[Path, Any] = {(name,): value for name, value in own.items() if name != "user" and name not in engine}
    personal |= {("user", name): value for name, value in person.names.items()}
    common = {**dict.fromkeys(values.ABOUT), "context": {}, **draft.about, **draft.shared, "user": {}, **engine}
    return Context(common, personal)


def language_of(draft: Draft) -> str:
    """Return the language a draft's mail is written in."""
    return draft.language or settings.LANGUAGE_CODE


def place(context: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value where its path says, in dicts that are the context's own."""
    *outer, name = path
    for key in outer:
        context = context[key]
    context[name] = value
