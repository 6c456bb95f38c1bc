"""Consent: the tokens that mails carry and what they can do, and the addresses that get nothing.

A token is signed and single-purpose. An unsubscribe token names a person, a category or a course, and its epoch, and
can do nothing but stop that mail; a preferences token opens that person's preference page. Neither holds an address,
and neither ends: a link in a mail of years ago works, unless the person has come back since.

An address that bounced for good, or whose owner complained, is suppressed: in the preferences of the person who has it,
and by a keyed digest, which holds for everybody who has it and outlives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.signing import BadSignature
from django.db import IntegrityError, transaction
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language

from courses.among import among
from courses.bulk import insert_if_absent, retry_on_deadlock
from courses.models import Course

from . import words
from .models import CourseOptOut, EmailPreference, SuppressedAddress
from .pipeline import ledger
from .signing import keyed_digest, signer

UNSUBSCRIBE = "unsubscribe"
PREFERENCES = "preferences"
COURSE = "course"
# Why an address is suppressed; the first two are also the source of the change in a preference row's history.
BOUNCE = "bounce"
COMPLAINT = "complaint"
ERASED = "erased"
#: What a person can switch: everything at once, and each category.
SWITCHES = frozenset({"is_subscribed", *(f"{category}_emails" for category in words.CATEGORIES)})


class InvalidToken(Exception):
    """A token that is garbage, belongs to something else, or has been made invalid by its owner's return."""


@dataclass(frozen=True)
class Grant:
    """What a valid token stands for: a person, and the category or the course whose mail it stops."""

    user_id: int
    category: str = ""
    course: Course | None = None


def unsubscribe_token(user_id: int, category: str, epochs: Mapping[str, int]) -> str:
    """Return the token by which anybody who holds the mail can switch off one category for its recipient."""
    return signer(UNSUBSCRIBE).sign_json(_stops(user_id, category, epochs))


def course_token(user_id: int, course_id: int, epochs: Mapping[str, int]) -> str:
    """Return the token by which anybody who holds the mail can stop lifecycle mail about one course."""
    return signer(UNSUBSCRIBE).sign_json(_stops_course(user_id, course_id, epochs))


# What tokens hold, as JSON: put together by hand, since an encoder takes longer over it than the signature does.


def _stops(user_id: int, category: str, epochs: Mapping[str, int]) -> str:
    return f'[{user_id:d},"{category}",{epochs.get(category, 0):d}]'


def _stops_course(user_id: int, course_id: int, epochs: Mapping[str, int]) -> str:
    return f'[{user_id:d},"{COURSE}",{course_id:d},{epochs.get(_course_epoch(course_id), 0):d}]'


def _opens(user_id: int) -> str:
    return f"[{user_id:d}]"


def preferences_token(user_id: int) -> str:
    """Return the token that opens a person's preference page."""
    return signer(PREFERENCES).sign_json(_opens(user_id))


def read_unsubscribe_token(token: str) -> Grant:
    """Return what the token grants. Raises InvalidToken."""
    match _read(UNSUBSCRIBE, token):
        case [int(user_id), str(category), int(epoch)] if category in words.CATEGORIES:
            if _exists(user_id) and EmailPreference.of(user_id).epoch(category) == epoch:
                return Grant(user_id, category)
        case [int(user_id), "course", int(course_id), int(epoch)]:
            course = Course.objects.filter(pk=course_id).first()
            now = EmailPreference.of(user_id).epoch(_course_epoch(course_id))
            if course is not None and _exists(user_id) and now == epoch:
                return Grant(user_id, course=course)
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


class MailLinks(NamedTuple):
    """The absolute addresses by which the recipient of one mail stops it; '' where it is not about one course."""

    unsubscribe: str
    preferences: str
    course_unsubscribe: str = ""


class MailLinker:
    """Makes the links of one category's mails. Where its pages are, and which key signs, is found out once."""

    def __init__(self, base_url: str, category: str) -> None:
        self._base_url = base_url
        self._category = category
        self._unsubscribe, self._preferences = _pages()
        self._stopping, self._choosing = signer(UNSUBSCRIBE), signer(PREFERENCES)

    def of(self, user_id: int, epochs: Mapping[str, int], *, course_id: int | None = None) -> MailLinks:
        """Return the links of one mail, which may be about one course."""
        stop = self._stopping.sign_json(_stops(user_id, self._category, epochs))
        manage = self._choosing.sign_json(_opens(user_id))
        course = self._stopping.sign_json(_stops_course(user_id, course_id, epochs)) if course_id is not None else ""
        return MailLinks(
            self._base_url + self._unsubscribe.with_token(stop),
            self._base_url + self._preferences.with_token(manage),
            self._base_url + self._unsubscribe.with_token(course) if course else "",
        )


def unsubscribe_url(base_url: str, user_id: int, category: str, epochs: Mapping[str, int]) -> str:
    """Return the absolute address of the unsubscribe page for one mail."""
    return MailLinker(base_url, category).of(user_id, epochs).unsubscribe


def preferences_url(base_url: str, user_id: int) -> str:
    """Return the absolute address of the preference page for one mail."""
    return base_url + _pages()[1].with_token(preferences_token(user_id))


class _Page(NamedTuple):
    """The path of a page that a token opens: what is before and after it."""

    before: str
    after: str

    def with_token(self, token: str) -> str:
        return f"{self.before}{token}{self.after}"


def _pages() -> tuple[_Page, _Page]:
    """Return the pages for unsubscribing and for preferences."""
    return _pages_at(get_urlconf() or settings.ROOT_URLCONF, get_script_prefix(), get_language())


@lru_cache(maxsize=64)
def _pages_at(*place: str | None) -> tuple[_Page, _Page]:
    # Put together once: Django takes longer over it than over the signature.
    return _page("unsubscribe"), _page("preferences")


def _page(name: str) -> _Page:
    before, _, after = reverse(f"email_automation:{name}", args=["0:0"]).partition("0:0")
    return _Page(before, after)


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

    def change(preference: EmailPreference) -> bool:
        differing = {name: value for name, value in values.items() if getattr(preference, name) != value}
        for name, value in differing.items():
            setattr(preference, name, value)
        return bool(differing)

    with transaction.atomic():
        return _changed(user_id, change, source=source)


def set_course_opt_out(user_id: int, course: Course, opted_out: bool) -> None:
    """Stop, or allow again, the lifecycle mail about one course."""
    set_course_opt_outs(user_id, {course.pk: opted_out})


@retry_on_deadlock
def set_course_opt_outs(user_id: int, values: Mapping[int, bool]) -> None:
    """Stop (True), or allow again (False), the lifecycle mail about some courses, by their ids."""
    stopped = [course_id for course_id, opted_out in values.items() if opted_out]
    allowed = [course_id for course_id, opted_out in values.items() if not opted_out]
    with transaction.atomic():
        back = CourseOptOut.objects.filter(user_id=user_id, course_id__in=allowed)
        if returned := list(back.values_list("course_id", flat=True)):
            back.delete()
            _raise_epochs(user_id, [_course_epoch(course_id) for course_id in returned])
        rows = [CourseOptOut(user_id=user_id, course_id=course_id) for course_id in stopped]
        if insert_if_absent(CourseOptOut, rows, unique_field=("user", "course")):
            ledger.reconsider(user_id)


@retry_on_deadlock
def save_choices(user_id: int, switches: Mapping[str, bool], courses: Mapping[int, bool], *, source: str) -> None:
    """Set switches and course opt-outs of one person in one transaction, all or nothing."""
    with transaction.atomic():
        set_preferences(user_id, switches, source=source)
        set_course_opt_outs(user_id, courses)


def address_digest(address: str) -> str:
    """Return the keyed digest by which an address is known once nothing else of it may be kept."""
    return _digest(address, settings.SECRET_KEY)


def address_digests(address: str) -> list[str]:
    """Return the digests an address may be stored under: this key's, and those of the keys it follows."""
    return [_digest(address, key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def suppressed_among(addresses: Iterable[str]) -> set[str]:
    """Return which of these addresses get no mail, whoever has them, in one statement."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    digests = [(_digest(address, key), address) for address in addresses for key in keys]
    asked = SuppressedAddress.objects.filter(among("digest", [digest for digest, _ in digests]))
    stored = set(asked.values_list("digest", flat=True))
    return {address for digest, address in digests if digest in stored} if stored else set()


@retry_on_deadlock
def suppress(user_id: int, address: str, *, reason: str) -> None:
    """Send nothing more to an address until an administrator releases it, and withdraw what waits for its owner.

    Somebody who has another address by now keeps getting mail there. What is suppressed already stays as it is.
    """

    def change(preference: EmailPreference) -> bool:
        if preference.suppressed_at is not None:
            return False
        preference.suppressed_at, preference.suppression_reason = timezone.now(), reason
        return True

    with transaction.atomic():
        if _normal(_address_of(user_id)) == _normal(address):
            _changed(user_id, change, source=reason)
        remember(address, reason=reason)


def remember(address: str, *, reason: str) -> None:
    """Suppress an address by its digest alone."""
    row = SuppressedAddress(digest=address_digest(address), reason=reason)
    insert_if_absent(SuppressedAddress, [row], unique_field="digest")


@retry_on_deadlock
def release(user_id: int, *, source: str, by: Any = None) -> None:
    """Allow mail to a person's address again; `by` is who decided it, for the history."""

    def change(preference: EmailPreference) -> bool:
        if preference.suppressed_at is None:
            return False
        preference.suppressed_at, preference.suppression_reason = None, ""
        return True

    with transaction.atomic():
        _changed(user_id, change, source=source, by=by)
        SuppressedAddress.objects.filter(digest__in=address_digests(_address_of(user_id))).delete()


def forget(user_id: int) -> dict[str, int]:
    """Delete what a person chose, with its history, and return how many rows of what; the address gets no mail."""
    if address := _address_of(user_id):
        remember(address, reason=ERASED)
    return {
        "preferences": EmailPreference.objects.filter(user_id=user_id).delete()[0],
        "opt_outs": CourseOptOut.objects.filter(user_id=user_id).delete()[0],
        # After the row, whose end is written into it.
        "history": EmailPreference.history.filter(user_id=user_id).delete()[0],
    }


def _digest(address: str, key: str | bytes) -> str:
    return keyed_digest("email_automation.address", _normal(address), key)


def _normal(address: str) -> str:
    return address.strip().casefold()


def _address_of(user_id: int) -> str:
    found = get_user_model()._default_manager.filter(pk=user_id).values_list("email", flat=True).first()
    return found or ""


def _course_epoch(course_id: int) -> str:
    return f"{COURSE}:{course_id}"


def _raise_epochs(user_id: int, names: Iterable[str]) -> None:
    """Make the links that a person's mails have carried for these names invalid; somebody has come back."""
    insert_if_absent(EmailPreference, [EmailPreference(user_id=user_id)], unique_field="user")
    preference = EmailPreference.objects.select_for_update().get(user_id=user_id)
    raised = {name: preference.epoch(name) + 1 for name in names}
    EmailPreference.objects.filter(pk=preference.pk).update(token_epochs=preference.token_epochs | raised)


def _locked(user_id: int) -> EmailPreference | None:
    return EmailPreference.objects.select_for_update().filter(user_id=user_id).first()


def _changed(
    user_id: int, change: Callable[[EmailPreference], bool], *, source: str, by: Any = None
) -> EmailPreference:
    """Return a person's preferences after `change`, which says whether there is anything to write."""
    preference = _locked(user_id)
    if preference is None:
        preference = EmailPreference(user_id=user_id)
        if not change(preference):
            return preference
        try:
            with transaction.atomic():
                _save(preference, source, by)
            return preference
        except IntegrityError:
            # Somebody else has written the first row meanwhile.
            preference = EmailPreference.objects.select_for_update().get(user_id=user_id)
    if change(preference):
        _save(preference, source, by)
    return preference


def _save(preference: EmailPreference, source: str, by: Any) -> None:
    if by is not None:
        preference._history_user = by  # type: ignore[attr-defined]  # read by simple_history
    preference.save(source=source)


def _exists(user_id: int) -> bool:
    # A mail outlives the account it went to.
    return get_user_model()._default_manager.filter(pk=user_id).exists()


def _read(purpose: str, token: str) -> object:
    try:
        return signer(purpose).unsign_object(token)
    except (BadSignature, ValueError, UnicodeError) as error:
        raise InvalidToken from error
