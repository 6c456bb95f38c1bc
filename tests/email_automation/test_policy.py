"""Policy: who may be mailed at all, asked in bulk."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation import consent, words
from email_automation.models import CourseOptOut, EmailPreference
from email_automation.pipeline import message, policy
from email_automation.pipeline.policy import Addressee
from email_automation.pipeline.resolver import Draft
from tests.factories import CourseFactory, UserFactory

pytestmark = pytest.mark.django_db

KIND = message.get("recurringnudge_day3")


def refusal(person: Any) -> str:
    return policy.verdict_of(KIND, person.pk).refusal


def test_who_never_said_anything_may_be_mailed() -> None:
    person = UserFactory(first_name="Ada", last_name="Lovelace")
    verdict = policy.verdict_of(KIND, person.pk)
    assert (verdict.refusal, verdict.address, verdict.epochs) == ("", person.email, {})
    assert verdict.names["full_name"] == "Ada Lovelace"
    assert not EmailPreference.objects.exists()


@pytest.mark.parametrize(
    ("preference", "reason"),
    [
        ({"reminder_emails": False}, "opted_out:reminder"),
        ({"goal_emails": False}, ""),
        ({"is_subscribed": False}, words.UNSUBSCRIBED),
        ({"is_subscribed": False, "reminder_emails": False}, words.UNSUBSCRIBED),
        ({"suppressed_at": timezone.now(), "is_subscribed": False}, words.SUPPRESSED),
    ],
)
def test_a_preference_refuses_with_its_reason(preference: dict[str, Any], reason: str) -> None:
    person = UserFactory()
    EmailPreference.objects.create(user=person, **preference)
    assert refusal(person) == reason


def test_an_account_refuses_with_its_reason() -> None:
    assert refusal(UserFactory(is_active=False)) == words.INACTIVE_USER
    assert policy.verdict_of(KIND, 10**9).refusal == words.INACTIVE_USER


@pytest.mark.parametrize(
    ("address", "mailable"),
    [
        ("ada@example.com", True),
        (" ada@example.com ", True),
        ("ada@bücher.example", True),
        ("", False),
        ("ada", False),
        ("ada@localhost\nBcc: eve@example.com", False),
        ("ada@example.com, eve@example.com", False),
        ("Ada <ada@example.com>", False),
        ("adá@example.com", False),
    ],
)
def test_only_a_single_well_formed_address_is_mailed(address: str, mailable: bool) -> None:
    assert refusal(UserFactory(email=address)) == ("" if mailable else words.NO_EMAIL_ADDRESS)


def test_a_course_opt_out_refuses_the_drafts_about_that_course() -> None:
    person, other = UserFactory.create_batch(2)
    course, another = CourseFactory.create_batch(2)
    CourseOptOut.objects.create(user=person, course=course)
    drafts = [
        Draft(target_id=1, user_id=person.pk, course_id=course.pk),
        Draft(target_id=2, user_id=person.pk, course_id=another.pk),
        Draft(target_id=3, user_id=other.pk, course_id=course.pk),
        Draft(target_id=4, user_id=person.pk),
    ]
    _, refused = policy.refusals(KIND, drafts)
    assert refused == {1: words.OPTED_OUT_COURSE}


def test_a_transactional_message_does_not_ask_for_course_opt_outs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KIND, "transactional", True)
    person, course = UserFactory(), CourseFactory()
    CourseOptOut.objects.create(user=person, course=course)
    _, refused = policy.refusals(KIND, [Draft(target_id=1, user_id=person.pk, course_id=course.pk)])
    assert refused == {}


@pytest.mark.parametrize("stored", ["ada@example.com", " ADA@example.com", "Ada@Example.COM"])
def test_a_suppressed_address_is_refused_whoever_has_it_and_however_it_is_written(stored: str) -> None:
    consent.remember(stored, reason="bounce")
    person, namesake, other = UserFactory(email="ada@example.com"), UserFactory(email="ADA@EXAMPLE.com "), UserFactory()
    addressees = [Addressee(each.pk) for each in (person, namesake, other)]
    found = policy.verdicts(KIND, addressees)
    assert [found[each].refusal for each in addressees] == [words.SUPPRESSED] * 2 + [""]
    assert not EmailPreference.objects.exists()


def test_a_suppression_outlives_a_new_secret_key(settings: Any) -> None:
    person = UserFactory()
    consent.remember(person.email, reason="bounce")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert refusal(person) == words.SUPPRESSED
    settings.SECRET_KEY_FALLBACKS = []
    assert refusal(person) == ""


@pytest.mark.parametrize("number", [1, 50])
def test_it_costs_three_statements_and_a_fourth_for_courses(number: int) -> None:
    people, course = UserFactory.create_batch(number), CourseFactory()
    drafts = [Draft(target_id=person.pk, user_id=person.pk, course_id=course.pk) for person in people]
    with CaptureQueriesContext(connection) as queries:
        policy.verdicts(KIND, [Addressee(person.pk) for person in people])
    assert len(queries) == 3
    with CaptureQueriesContext(connection) as queries:
        policy.refusals(KIND, drafts)
    assert len(queries) == 4
