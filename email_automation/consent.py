"""Consent: the tokens that mails carry, and what they can do.

A token is signed and single-purpose. An unsubscribe token names a person, a category and the category's epoch, and
can do nothing but switch that category off; a preferences token opens that person's preference page. Neither holds an
address, and neither ends: a link in a mail of years ago works, unless the person has come back since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.signing import BadSignature, Signer
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.functional import Promise

from courses.bulk import insert_if_absent, retry_on_deadlock
from courses.models import Course

from . import words
from .models import CourseOptOut, EmailPreference
from .pipeline import ledger

UNSUBSCRIBE = "unsubscribe"
PREFERENCES = "preferences"
#: What a person can switch: everything at once, and each category.
SWITCHES = frozenset({"is_subscribed", *(f"{category}_emails" for category in words.CATEGORIES)})


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
            if _exists(user_id) and EmailPreference.of(user_id).epoch(category) == epoch:
                return Grant(user_id, category)
    raise InvalidToken


def read_preferences_token(token: str) -> int:
    """Return the id of the person whose preferences the token opens. Raises InvalidToken."""
    match _read(PREFERENCES, token):
        case [int(user_id)] if _exists(user_id):
            return user_id
    raise InvalidToken


def category_words(category: str) -> Promise:
    """Return what people call a category, in the language that is active when it is printed."""
    field: Any = EmailPreference._meta.get_field(f"{category}_emails")
    label: Promise = field.verbose_name
    return label


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


@retry_on_deadlock
def set_preferences(user_id: int, values: Mapping[str, bool], *, source: str) -> EmailPreference:
    """Set some of a person's switches at once. Raises ValueError that names a switch which does not exist.

    Nothing is written when nothing changes, so `source` in the history always belongs to a change.
    """
    unknown = sorted(set(values) - SWITCHES)
    if unknown:
        raise ValueError(f"{unknown[0]}: no such preference; allowed: {', '.join(sorted(SWITCHES))}.")
    with transaction.atomic():
        preference = _locked(user_id) or EmailPreference(user_id=user_id)
        if preference.pk is None and _differs(preference, values):
            try:
                with transaction.atomic():
                    _apply(preference, values, source)
            except IntegrityError:
                # Somebody else has written the first row meanwhile.
                preference = EmailPreference.objects.select_for_update().get(user_id=user_id)
        if _differs(preference, values):
            _apply(preference, values, source)
    return preference


def set_course_opt_out(user_id: int, course: Course, opted_out: bool) -> None:
    """Stop, or allow again, the lifecycle mail about one course."""
    set_course_opt_outs(user_id, {course.pk: opted_out})


@retry_on_deadlock
def set_course_opt_outs(user_id: int, values: Mapping[int, bool]) -> None:
    """Stop (True), or allow again (False), the lifecycle mail about some courses, by their ids."""
    stopped = [course_id for course_id, opted_out in values.items() if opted_out]
    allowed = [course_id for course_id, opted_out in values.items() if not opted_out]
    with transaction.atomic():
        if allowed:
            CourseOptOut.objects.filter(user_id=user_id, course_id__in=allowed).delete()
        rows = [CourseOptOut(user_id=user_id, course_id=course_id) for course_id in stopped]
        if insert_if_absent(CourseOptOut, rows, unique_field=("user", "course")):
            ledger.reconsider(user_id)


@retry_on_deadlock
def save_choices(user_id: int, switches: Mapping[str, bool], courses: Mapping[int, bool], *, source: str) -> None:
    """Set switches and course opt-outs of one person in one transaction, all or nothing."""
    with transaction.atomic():
        set_preferences(user_id, switches, source=source)
        set_course_opt_outs(user_id, courses)


def _locked(user_id: int) -> EmailPreference | None:
    return EmailPreference.objects.select_for_update().filter(user_id=user_id).first()


def _differs(preference: EmailPreference, values: Mapping[str, bool]) -> bool:
    return any(getattr(preference, name) != value for name, value in values.items())


def _apply(preference: EmailPreference, values: Mapping[str, bool], source: str) -> None:
    for name, value in values.items():
        setattr(preference, name, value)
    preference.save(source=source)


def _exists(user_id: int) -> bool:
    # A mail outlives the account it went to.
    return get_user_model()._default_manager.filter(pk=user_id).exists()


def _signer(purpose: str) -> Signer:
    return Signer(salt=f"email_automation.{purpose}")


def _read(purpose: str, token: str) -> object:
    try:
        return _signer(purpose).unsign_object(token)
    except (BadSignature, ValueError, UnicodeError) as error:
        raise InvalidToken from error
