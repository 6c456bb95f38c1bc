"""Policy: may this person be mailed at all? Asked in bulk, when planning and again right before hand-off."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Exists, IntegerField, OuterRef

from courses.statements import ByIds

from .. import consent, words
from ..models import CourseOptOut, EmailPreference
from .message import MessageType
from .resolver import AudienceRow, Draft

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
#: An address that Django finds valid too, after asking ten times as long.
_ORDINARY: Final = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.IGNORECASE | re.ASCII
)
LONGEST_ORDINARY: Final = 320


class Verdict(NamedTuple):
    """What policy says of one person: an address to mail, or a reason not to.

    `names` and `epochs` are what the mail itself needs of the person, read by the same statements.
    """

    user_id: int
    address: str = ""
    refusal: str = ""
    names: Mapping[str, str] = _NOTHING
    epochs: Mapping[str, int] = _NOTHING


class Addressee(NamedTuple):
    """A person, and where to mail that person if not at the account's own address."""

    user_id: int
    address: str = ""


class _Person(NamedTuple):
    """What is known of a person; `accepts` is whether mail of the message's category is wanted."""

    email: str | None
    disabled: bool
    names: Mapping[str, str]
    is_subscribed: bool
    accepts: bool
    suppressed: bool
    epochs: Mapping[str, int]


def verdicts(message: type[MessageType], addressees: Collection[Addressee]) -> dict[Addressee, Verdict]:
    """Return a verdict for each addressee, in two statements. Who has no account left is `inactive_user`."""
    ids = list({user_id for user_id, _ in addressees})
    by_columns = _accounts_are_djangos() and not message.asks_whole_accounts()
    people = _people(message, ids) if by_columns else _people_of_accounts(message, ids)
    addresses = {
        each: (each.address or person.email or "").strip()
        for each in addressees
        if (person := people.get(each.user_id)) is not None
    }
    suppressed = consent.suppressed_among(set(addresses.values()))
    found = {}
    for each in addressees:
        person = people.get(each.user_id)
        if person is None:
            found[each] = Verdict(each.user_id, refusal=words.INACTIVE_USER)
            continue
        address = addresses[each]
        refusal = _refusal(message, address, person, suppressed=address in suppressed)
        found[each] = Verdict(each.user_id, address, refusal, person.names, person.epochs)
    return found


@cache
def _accounts_are_djangos() -> bool:
    """Tell whether accounts say who they are as Django's own do: then a few columns are enough."""
    model = get_user_model()
    columns = {field.attname for field in model._meta.concrete_fields}
    return (
        issubclass(model, AbstractUser)
        and isinstance(model._meta.pk, IntegerField)
        and model.get_full_name is AbstractUser.get_full_name
        and model.get_username is AbstractUser.get_username
        and {"email", "first_name", "last_name", "is_active", model.USERNAME_FIELD} <= columns
    )


@cache
def _columns(category: str) -> ByIds:
    """Return what reads people's accounts and preferences, which are None where there are none."""
    model = get_user_model()
    preference = ("is_subscribed", f"{category}_emails", "suppressed_at", "token_epochs")
    found = model._default_manager.values_list(
        *("pk", "email", "is_active", "first_name", "last_name", model.USERNAME_FIELD),
        *(f"email_preference__{name}" for name in preference),
    )
    return ByIds(found, "pk")


def _people(message: type[MessageType], ids: Sequence[int]) -> dict[int, _Person]:
    """Return people by id, of an account as Django has it and a message that asks no more of it."""
    unspoken = EmailPreference()
    unsaid = (unspoken.is_subscribed, unspoken.accepts(message.category), False, unspoken.token_epochs)
    people = {}
    for user_id, email, is_active, first_name, last_name, username, *said in _columns(message.category).rows(ids):
        is_subscribed, wanted, suppressed_at, epochs = said
        names = {
            "first_name": first_name,
            "last_name": last_name,
            "username": username,
            "full_name": f"{first_name} {last_name}".strip(),
        }
        choices = unsaid if is_subscribed is None else (is_subscribed, wanted, suppressed_at is not None, epochs)
        people[user_id] = _Person(email, not is_active, names, *choices)
    return people


def _people_of_accounts(message: type[MessageType], ids: Sequence[int]) -> dict[int, _Person]:
    """Return people by id, as whole accounts say it themselves."""
    unspoken = EmailPreference()
    people = {}
    for account in get_user_model()._default_manager.filter(pk__in=ids).select_related("email_preference"):
        preference = getattr(account, "email_preference", unspoken)
        people[account.pk] = _Person(
            account.email,
            message.disabled(account),
            {
                "first_name": account.first_name,
                "last_name": account.last_name,
                "username": account.get_username(),
                "full_name": account.get_full_name(),
            },
            preference.is_subscribed,
            preference.accepts(message.category),
            preference.suppressed_at is not None,
            preference.token_epochs,
        )
    return people


def _refusal(message: type[MessageType], address: str, person: _Person, *, suppressed: bool) -> str:
    if person.disabled:
        return words.INACTIVE_USER
    if not _is_address(address):
        return words.NO_EMAIL_ADDRESS
    if suppressed or person.suppressed:
        return words.SUPPRESSED
    if not person.is_subscribed:
        return words.UNSUBSCRIBED
    if not person.accepts:
        return f"{words.OPTED_OUT}:{message.category}"
    return ""


def _is_address(address: str) -> bool:
    if len(address) <= LONGEST_ORDINARY and _ORDINARY.fullmatch(address):
        return True
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


def course_opted_out(*, user: str, course: str) -> Exists:
    """Return "that person wants no lifecycle mail about that course" as part of a statement; the paths lead there."""
    return Exists(CourseOptOut.objects.filter(user_id=OuterRef(user), course_id=OuterRef(course)))


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
    whom = {draft.target_id: addressee(draft) for draft in drafts}
    found = verdicts(message, set(whom.values()))
    people = {target_id: found[each] for target_id, each in whom.items()}
    refused = {target_id: verdict.refusal for target_id, verdict in people.items() if verdict.refusal}
    about = {draft.course_id for draft in drafts if draft.course_id is not None}
    if about and not message.transactional and not courses_asked:
        out = course_opt_outs({draft.user_id for draft in drafts}, about)
        for draft in drafts:
            if draft.course_id is not None and (draft.user_id, draft.course_id) in out:
                refused.setdefault(draft.target_id, words.OPTED_OUT_COURSE)
    return people, refused
