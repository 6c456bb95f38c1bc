"""Consent: the tokens that mails carry, and what they can do.

A token is signed and single-purpose. An unsubscribe token names a person, a category and the category's epoch, and
can do nothing but switch that category off; a preferences token opens that person's preference page. Neither holds an
address, and neither ends: a link in a mail of years ago works, unless the person has come back since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.urls import reverse

from courses.models import Course

from . import words
from .models import CourseOptOut, EmailPreference

UNSUBSCRIBE = "unsubscribe"
PREFERENCES = "preferences"


class InvalidToken(Exception):
    """A token that is garbage, belongs to something else, or has been made invalid by its owner's return."""


@dataclass(frozen=True)
class Grant:
    """What a valid token stands for."""

    user_id: int
    category: str


def unsubscribe_token(user_id: int, category: str, epochs: Mapping[str, int]) -> str:
    """Return the token by which anybody who holds the mail can switch off one category for its recipient."""
    return _signer(UNSUBSCRIBE).sign_object([user_id, category, epochs.get(category, 0)])


def preferences_token(user_id: int) -> str:
    """Return the token that opens a person's preference page."""
    return _signer(PREFERENCES).sign_object([user_id])


def read_unsubscribe_token(token: str) -> Grant:
    """Return what the token grants. Raises InvalidToken."""
    match _read(UNSUBSCRIBE, token):
        case [int(user_id), str(category), int(epoch)] if category in words.CATEGORIES:
            if EmailPreference.of(user_id).epoch(category) == epoch:
                return Grant(user_id, category)
    raise InvalidToken


def read_preferences_token(token: str) -> int:
    """Return the id of the person whose preferences the token opens. Raises InvalidToken."""
    match _read(PREFERENCES, token):
        case [int(user_id)]:
            return user_id
    raise InvalidToken


def unsubscribe_url(base_url: str, user_id: int, category: str, epochs: Mapping[str, int]) -> str:
    """Return the absolute address of the unsubscribe page for one mail."""
    path = reverse("email_automation:unsubscribe", args=[unsubscribe_token(user_id, category, epochs)])
    return f"{base_url}{path}"


def preferences_url(base_url: str, user_id: int) -> str:
    """Return the absolute address of the preference page for one mail."""
    return f"{base_url}{reverse('email_automation:preferences', args=[preferences_token(user_id)])}"


def test_mail_url(base_url: str) -> str:
    """Return where the opt-out links of a test mail lead: a page that says so and can do nothing."""
    return f"{base_url}{reverse('email_automation:test-mail')}"


def opt_out(user_id: int, category: str, *, source: str) -> None:
    """Switch one category off for a person; what is planned of it is withdrawn in the same transaction."""
    set_preferences(user_id, {f"{category}_emails": False}, source=source)


def set_preferences(user_id: int, values: Mapping[str, bool], *, source: str) -> EmailPreference:
    """Set some of a person's switches at once. Raises ValueError that names a switch which does not exist."""
    allowed = {"is_subscribed", *(f"{category}_emails" for category in words.CATEGORIES)}
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise ValueError(f"{unknown[0]}: no such preference; allowed: {', '.join(sorted(allowed))}.")
    with transaction.atomic():
        EmailPreference.objects.get_or_create(user_id=user_id)
        preference = EmailPreference.objects.select_for_update().get(user_id=user_id)
        if any(getattr(preference, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(preference, name, value)
            preference.save(source=source)
    return preference


def set_course_opt_out(user_id: int, course: Course, opted_out: bool) -> None:
    """Stop, or allow again, the lifecycle mail about one course."""
    if opted_out:
        CourseOptOut.objects.get_or_create(user_id=user_id, course=course)
    else:
        CourseOptOut.objects.filter(user_id=user_id, course=course).delete()


def _signer(purpose: str) -> Signer:
    return Signer(salt=f"email_automation.{purpose}")


def _read(purpose: str, token: str) -> object:
    try:
        return _signer(purpose).unsign_object(token)
    except (BadSignature, ValueError, UnicodeError) as error:
        raise InvalidToken from error
