"""Policy: may this person be mailed at all? Asked in bulk, when planning and again right before hand-off."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from .. import consent, words
from ..models import CourseOptOut, EmailPreference
from .message import MessageType
from .resolver import AudienceRow, Draft


@dataclass(frozen=True)
class Verdict:
    """What policy says of one person: an address to mail, or a reason not to.

    `names` and `epochs` are what the mail itself needs of the person, read by the same statements.
    """

    user_id: int
    address: str = ""
    refusal: str = ""
    names: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)


class Addressee(NamedTuple):
    """A person, and where to mail that person if not at the account's own address."""

    user_id: int
    address: str = ""


def verdicts(message: type[MessageType], addressees: Collection[Addressee]) -> dict[Addressee, Verdict]:
    """Return a verdict for each addressee, in three statements. Who has no account left is `inactive_user`."""
    users = get_user_model()._default_manager.in_bulk(list({user_id for user_id, _ in addressees}))
    preferences = {row.user_id: row for row in EmailPreference.objects.filter(user_id__in=users)}
    addresses = {
        each: (each.address or users[each.user_id].email or "").strip() for each in addressees if each.user_id in users
    }
    suppressed = consent.suppressed_among(set(addresses.values()))
    unspoken, found = EmailPreference(), {}
    for each in addressees:
        user_id, user = each.user_id, users.get(each.user_id)
        if user is None:
            found[each] = Verdict(user_id, refusal=words.INACTIVE_USER)
            continue
        preference = preferences.get(user_id, unspoken)
        address = addresses[each]
        names = {
            "first_name": user.first_name,
            "last_name": user.last_name,
            "username": user.get_username(),
            "full_name": user.get_full_name(),
        }
        refusal = _refusal(
            message, address, preference, disabled=message.disabled(user), suppressed=address in suppressed
        )
        found[each] = Verdict(user_id, address, refusal, names, preference.token_epochs)
    return found


def _refusal(
    message: type[MessageType], address: str, preference: EmailPreference, *, disabled: bool, suppressed: bool
) -> str:
    if disabled:
        return words.INACTIVE_USER
    if not _is_address(address):
        return words.NO_EMAIL_ADDRESS
    if suppressed or preference.suppressed_at is not None:
        return words.SUPPRESSED
    if not preference.is_subscribed:
        return words.UNSUBSCRIBED
    if not preference.accepts(message.category):
        return f"{words.OPTED_OUT}:{message.category}"
    return ""


def _is_address(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return True


def course_opt_outs(user_ids: Iterable[int], course_ids: Iterable[int] | None = None) -> set[tuple[int, int]]:
    """Return the (user id, course id) pairs about which those people want no lifecycle mail, in one statement."""
    found = CourseOptOut.objects.filter(user_id__in=list(user_ids))
    if course_ids is not None:
        found = found.filter(course_id__in=list(course_ids))
    return set(found.values_list("user_id", "course_id"))


def verdict_of(message: type[MessageType], user_id: int, address: str = "") -> Verdict:
    """Return the verdict for one person."""
    addressee = Addressee(user_id, address)
    return verdicts(message, [addressee])[addressee]


def addressee(mail: AudienceRow | Draft) -> Addressee:
    """Return to whom a planned or drafted mail goes."""
    return Addressee(mail.user_id, mail.address)


def refusals(
    message: type[MessageType], drafts: Collection[Draft], *, courses_asked: bool = False
) -> tuple[dict[int, Verdict], dict[int, str]]:
    """Return by target id the verdict for each draft, and the reason of those that must not go out.

    `courses_asked`: who has opted out of a course is not among the drafts any more.
    """
    found = verdicts(message, {addressee(draft) for draft in drafts})
    people = {draft.target_id: found[addressee(draft)] for draft in drafts}
    refused = {target_id: verdict.refusal for target_id, verdict in people.items() if verdict.refusal}
    about = {draft.course_id for draft in drafts if draft.course_id is not None}
    if about and not message.transactional and not courses_asked:
        out = course_opt_outs({draft.user_id for draft in drafts}, about)
        for draft in drafts:
            if draft.course_id is not None and (draft.user_id, draft.course_id) in out:
                refused.setdefault(draft.target_id, words.OPTED_OUT_COURSE)
    return people, refused
