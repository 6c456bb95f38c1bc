"""Tokens, and what they and the preference page's writes do."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.core.signing import Signer
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation import consent, words
from email_automation.models import CourseOptOut, EmailLog, EmailPreference
from email_automation.pipeline import ledger
from tests import factories

pytestmark = pytest.mark.django_db


def planned(user: Any, *, category: str = "reminder", status: str = words.PENDING) -> EmailLog:
    now = timezone.now()
    key = f"test:{user.pk}:{category}:{status}"
    return EmailLog.objects.create(
        recipient=user,
        email_type="recurringnudge_day3",
        to_address=user.email,
        target_id=user.pk,
        category=category,
        status=status,
        dedupe_key=key,
        occasion=key,
        site=Site.objects.get_current(),
        instant=now,
        expires_at=now + timedelta(days=1),
    )


def prepared(user: Any) -> ledger.Prepared:
    return ledger.Prepared(
        to_address=user.email, channel="django_mail", subject="s", message_id="<m@example.com>", content=None
    )


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory()


@pytest.fixture
def bob() -> Any:
    return factories.UserFactory()


def test_a_token_grants_what_it_was_made_for(ann: Any) -> None:
    token = consent.unsubscribe_token(ann.pk, "reminder", {})
    assert consent.read_unsubscribe_token(token) == consent.Grant(ann.pk, "reminder")
    assert consent.read_preferences_token(consent.preferences_token(ann.pk)) == ann.pk


def test_a_token_holds_no_address_and_no_name(ann: Any) -> None:
    payload = consent.unsubscribe_token(ann.pk, "reminder", {}).partition(":")[0]
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == [ann.pk, "reminder", 0]


def swapped(token: str, payload: list[Any]) -> str:
    """The payload of another, with the signature of this one."""
    forged = base64.urlsafe_b64encode(json.dumps(payload, separators=(",", ":")).encode()).rstrip(b"=").decode()
    return f"{forged}:{token.rpartition(':')[2]}"


def test_case_018_another_persons_id_swapped_in_is_refused(ann: Any, bob: Any) -> None:
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(
            swapped(consent.unsubscribe_token(ann.pk, "reminder", {}), [bob.pk, "reminder", 0])
        )
    with pytest.raises(consent.InvalidToken):
        consent.read_preferences_token(swapped(consent.preferences_token(ann.pk), [bob.pk]))


def test_another_category_swapped_in_is_refused(ann: Any) -> None:
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(swapped(consent.unsubscribe_token(ann.pk, "reminder", {}), [ann.pk, "goal", 0]))


def test_a_token_of_the_other_purpose_is_refused(ann: Any) -> None:
    with pytest.raises(consent.InvalidToken):
        consent.read_preferences_token(consent.unsubscribe_token(ann.pk, "reminder", {}))
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(consent.preferences_token(ann.pk))


def test_a_token_signed_with_another_key_is_refused(ann: Any) -> None:
    foreign = Signer(key="somebody else's", salt="email_automation.unsubscribe")
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(foreign.sign_object([ann.pk, "reminder", 0]))


@pytest.mark.parametrize(
    "payload",
    [None, 7, "text", {}, [], [1], [1, "reminder"], ["1", "reminder", 0], [1, "nonsense", 0], [1, "reminder", "0"]],
)
def test_our_own_signature_under_something_else_is_refused(payload: Any) -> None:
    for salt in ("email_automation.unsubscribe", "email_automation.preferences"):
        token = Signer(salt=salt).sign_object(payload)
        with pytest.raises(consent.InvalidToken):
            consent.read_unsubscribe_token(token)
        if payload != [1]:
            with pytest.raises(consent.InvalidToken):
                consent.read_preferences_token(token)


@pytest.mark.parametrize(
    "token",
    ["", ":", "::", "a:b", "\x00", "é:ü", "\udc80:\udc80", "%00", ".x:y", "A" * 100_000, ":".join("x" * 1000), "👩‍🎓"],
    ids=lambda token: ascii(token[:8]),
)
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(token)
    with pytest.raises(consent.InvalidToken):
        consent.read_preferences_token(token)


def test_every_single_changed_character_makes_a_token_invalid(ann: Any) -> None:
    token = consent.unsubscribe_token(ann.pk, "reminder", {})
    for position, character in enumerate(token):
        other = "A" if character != "A" else "B"
        with pytest.raises(consent.InvalidToken):
            consent.read_unsubscribe_token(token[:position] + other + token[position + 1 :])


def test_tokens_outlive_a_change_of_the_secret_key(ann: Any, settings: Any) -> None:
    token = consent.unsubscribe_token(ann.pk, "reminder", {})
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "the next one"
    assert consent.read_unsubscribe_token(token).user_id == ann.pk


def test_tokens_are_signed_as_django_signs_them_with_the_key_of_the_moment(ann: Any, settings: Any) -> None:
    for key in ("one key", "another key"):
        settings.SECRET_KEY = key
        signer = Signer(salt="email_automation.preferences")
        assert consent.preferences_token(ann.pk) == signer.sign_object([ann.pk])
        signer = Signer(salt="email_automation.unsubscribe")
        epochs = {"reminder": 3, "course:12": 4}
        assert consent.unsubscribe_token(ann.pk, "reminder", epochs) == signer.sign_object([ann.pk, "reminder", 3])
        assert consent.course_token(ann.pk, 12, epochs) == signer.sign_object([ann.pk, "course", 12, 4])


def test_a_token_of_an_account_that_is_gone_is_refused(ann: Any) -> None:
    tokens = consent.unsubscribe_token(ann.pk, "reminder", {}), consent.preferences_token(ann.pk)
    ann.delete()
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(tokens[0])
    with pytest.raises(consent.InvalidToken):
        consent.read_preferences_token(tokens[1])


def test_coming_back_makes_the_old_links_of_that_category_invalid_and_of_no_other(ann: Any) -> None:
    old = {category: consent.unsubscribe_token(ann.pk, category, {}) for category in words.CATEGORIES}
    consent.opt_out(ann.pk, "reminder", source="one-click")
    assert consent.read_unsubscribe_token(old["reminder"])
    consent.set_preferences(ann.pk, {"reminder_emails": True}, source="preference page")
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(old.pop("reminder"))
    assert all(consent.read_unsubscribe_token(token) for token in old.values())
    preference = EmailPreference.of(ann.pk)
    assert preference.token_epochs == {"reminder": 1}
    fresh = consent.unsubscribe_token(ann.pk, "reminder", preference.token_epochs)
    assert consent.read_unsubscribe_token(fresh).category == "reminder"


def test_a_courses_token_grants_that_course_and_ends_when_the_person_comes_back_to_it(ann: Any, bob: Any) -> None:
    course, other = factories.CourseFactory(), factories.CourseFactory()
    token = consent.course_token(ann.pk, course.pk, {})
    assert consent.read_unsubscribe_token(token) == consent.Grant(ann.pk, course=course)
    consent.set_course_opt_out(ann.pk, course, True)
    assert consent.read_unsubscribe_token(token)
    others = consent.course_token(ann.pk, other.pk, {}), consent.course_token(bob.pk, course.pk, {})
    consent.set_course_opt_out(ann.pk, course, False)
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(token)
    assert all(consent.read_unsubscribe_token(each) for each in others)
    fresh = consent.course_token(ann.pk, course.pk, EmailPreference.of(ann.pk).token_epochs)
    assert consent.read_unsubscribe_token(fresh).course == course
    consent.opt_out(ann.pk, "reminder", source="one-click")
    assert consent.read_unsubscribe_token(fresh).course == course
    course.delete()
    with pytest.raises(consent.InvalidToken):
        consent.read_unsubscribe_token(fresh)


def test_reading_a_token_writes_nothing(ann: Any) -> None:
    consent.read_unsubscribe_token(consent.unsubscribe_token(ann.pk, "reminder", {}))
    assert not EmailPreference.objects.exists()


def test_an_opt_out_withdraws_what_is_planned_of_that_category_only(ann: Any, bob: Any) -> None:
    row, other_category, other_person = planned(ann), planned(ann, category="goal"), planned(bob)
    sent = planned(ann, status=words.SENT)
    consent.opt_out(ann.pk, "reminder", source="one-click")
    row.refresh_from_db()
    assert (row.status, row.reason, row.dedupe_key) == ("skipped", "opted_out:reminder", None)
    assert row.occasion
    for untouched in (other_category, other_person, sent):
        before = untouched.status
        untouched.refresh_from_db()
        assert untouched.status == before
        assert untouched.dedupe_key


def test_a_leased_row_is_withdrawn_too_and_cannot_be_begun(ann: Any) -> None:
    row = planned(ann)
    (leased,) = ledger.lease([row.pk])
    consent.opt_out(ann.pk, "reminder", source="one-click")
    assert ledger.begin_all([(leased, prepared(ann), timedelta(seconds=300))]) == set()
    row.refresh_from_db()
    assert row.status == "skipped"


def test_an_opt_out_that_rolls_back_withdraws_nothing(ann: Any) -> None:
    row = planned(ann)
    with pytest.raises(RuntimeError), transaction.atomic():
        consent.opt_out(ann.pk, "reminder", source="one-click")
        row.refresh_from_db()
        assert row.status == "skipped"
        raise RuntimeError
    row.refresh_from_db()
    assert (row.status, row.reason) == ("pending", "")
    assert row.dedupe_key
    assert EmailPreference.of(ann.pk).reminder_emails


def test_everything_off_withdraws_everything(ann: Any) -> None:
    rows = [planned(ann), planned(ann, category="payment")]
    consent.set_preferences(ann.pk, {"is_subscribed": False}, source="preference page")
    for row in rows:
        row.refresh_from_db()
        assert (row.status, row.reason, row.dedupe_key) == ("skipped", "unsubscribed", None)
    assert EmailPreference.of(ann.pk).unsubscribed_at is not None


def test_no_mail_about_a_course_puts_leased_rows_back_once(ann: Any) -> None:
    row = planned(ann)
    (leased,) = ledger.lease([row.pk])
    consent.set_course_opt_out(ann.pk, factories.CourseFactory(), True)
    row.refresh_from_db()
    assert (row.status, row.lease_expires_at) == ("pending", None)
    assert row.claim_token != leased.claim_token
    assert ledger.begin_all([(leased, prepared(ann), timedelta(seconds=300))]) == set()
    assert [again.pk for again in ledger.lease([row.pk])] == [row.pk]


def test_a_course_saved_again_as_it_was_disturbs_no_worker(ann: Any) -> None:
    course = factories.CourseFactory()
    consent.set_course_opt_out(ann.pk, course, True)
    row = planned(ann)
    (leased,) = ledger.lease([row.pk])
    consent.set_course_opt_out(ann.pk, course, True)
    row.refresh_from_db()
    assert row.claim_token == leased.claim_token
    assert CourseOptOut.objects.count() == 1


def test_a_course_row_saved_directly_puts_leased_rows_back(ann: Any) -> None:
    row = planned(ann)
    (leased,) = ledger.lease([row.pk])
    CourseOptOut.objects.create(user=ann, course=factories.CourseFactory())
    row.refresh_from_db()
    assert row.claim_token != leased.claim_token


def test_the_history_says_once_who_changed_what(ann: Any) -> None:
    consent.opt_out(ann.pk, "reminder", source="one-click")
    consent.opt_out(ann.pk, "reminder", source="unsubscribe page")
    consent.set_preferences(ann.pk, {"reminder_emails": True, "goal_emails": True}, source="preference page")
    sources = EmailPreference.history.order_by("history_id").values_list("history_change_reason", flat=True)
    assert list(sources) == ["one-click", "preference page"]


def test_setting_what_holds_already_writes_nothing(ann: Any) -> None:
    consent.set_preferences(ann.pk, {"reminder_emails": True, "is_subscribed": True}, source="preference page")
    assert not EmailPreference.objects.exists()


def test_two_first_changes_at_once_both_count(ann: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    consent.opt_out(ann.pk, "goal", source="one-click")
    # As it was for a request that looked just before the other one had written the row.
    monkeypatch.setattr(consent, "_locked", lambda user_id: None)
    consent.opt_out(ann.pk, "reminder", source="preference page")
    preference = EmailPreference.of(ann.pk)
    assert (preference.goal_emails, preference.reminder_emails) == (False, False)


def test_an_unknown_switch_is_refused_by_name(ann: Any) -> None:
    with pytest.raises(ValueError, match="weekly_emails"):
        consent.set_preferences(ann.pk, {"weekly_emails": False, "goal_emails": False}, source="x")
    assert not EmailPreference.objects.exists()


def test_choices_are_saved_all_or_not_at_all(ann: Any) -> None:
    with pytest.raises(Exception), transaction.atomic():  # noqa: B017  (each database has an error of its own)
        consent.save_choices(ann.pk, {"goal_emails": False}, {-1: True}, source="preference page")
        connection.check_constraints()
    assert EmailPreference.of(ann.pk).goal_emails
    assert not CourseOptOut.objects.exists()


def test_saving_fifty_courses_takes_no_more_queries_than_one(ann: Any) -> None:
    counts = []
    for number in (1, 50):
        courses = {course.pk: True for course in factories.CourseFactory.create_batch(number)}
        with CaptureQueriesContext(connection) as queries:
            consent.save_choices(ann.pk, {"goal_emails": number == 50}, courses, source="preference page")
        counts.append(len(queries))
    # The first save inserts the row of preferences, with a savepoint of its own.
    assert counts[1] <= counts[0]
    assert CourseOptOut.objects.count() == 51


@pytest.mark.django_db
def test_an_object_read_earlier_undoes_nobodys_newer_choice() -> None:
    user = factories.UserFactory()
    stale = EmailPreference.objects.create(user=user)
    fresh = EmailPreference.objects.get(pk=stale.pk)
    fresh.suppressed_at = timezone.now()
    fresh.goal_emails = False
    fresh.save()
    stale.unsubscribe()
    stale.resubscribe()
    found = EmailPreference.objects.get(pk=stale.pk)
    assert found.suppressed_at is not None
    assert (found.goal_emails, found.is_subscribed) == (False, True)


@pytest.mark.django_db
def test_a_save_of_some_fields_decides_nothing_about_the_others() -> None:
    user = factories.UserFactory()
    stale = EmailPreference.objects.create(user=user)
    consent.set_preferences(user.pk, {"is_subscribed": False}, source="test")
    stale.suppressed_at = timezone.now()
    stale.save(update_fields=["suppressed_at"])
    found = EmailPreference.objects.get(pk=stale.pk)
    assert found.unsubscribed_at is not None
    assert found.token_epochs == {}
