"""Policy: who may be mailed at all, asked in bulk."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from email_automation import consent, words
from email_automation.models import CourseOptOut, EmailPreference
from email_automation.pipeline import message, policy
from email_automation.pipeline.policy import Addressee
from email_automation.pipeline.resolver import Draft
from tests.factories import CourseFactory, UserFactory

pytestmark = pytest.mark.django_db

KIND = message.get("recurringnudge_day3")
ORDINARY_LOOKING = r"[a-zA-Z0-9_.+-]{1,6}@[a-zA-Z0-9.-]{1,8}\.[a-zA-Z0-9-]{1,4}"


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


@settings_of_hypothesis(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=12),
        st.emails(),
        st.from_regex(ORDINARY_LOOKING, fullmatch=True),
        st.builds("{}@{}".format, st.text("aB1._-+é \n", max_size=8), st.text("aB1.-é \n", max_size=8)),
        st.builds(lambda local, label: f"{'a' * local}@{'b' * label}.org", st.integers(1, 330), st.integers(1, 70)),
    )
)
def test_an_address_is_judged_as_django_does(address: str) -> None:
    try:
        validate_email(address)
    except ValidationError:
        assert not policy._is_address(address)
    else:
        assert policy._is_address(address)


class AsksAccounts(KIND):  # type: ignore[misc, valid-type]
    """Counts staff as switched off, which only a whole account tells."""

    @classmethod
    def disabled(cls, account: Any) -> bool:
        return account.is_staff or super().disabled(account)


def test_a_message_may_ask_more_of_an_account() -> None:
    person, staff, gone = UserFactory(), UserFactory(is_staff=True), UserFactory(is_active=False)
    EmailPreference.objects.create(user=person, goal_emails=False, token_epochs={"goal": 2})
    asked = {Addressee(each.pk) for each in (person, staff, gone)} | {Addressee(10**9)}
    found, plainly = policy.verdicts(AsksAccounts, asked), policy.verdicts(KIND, asked)
    assert found[Addressee(staff.pk)].refusal == words.INACTIVE_USER
    assert plainly[Addressee(staff.pk)].refusal == ""
    assert all(found[each] == plainly[each] for each in asked if each.user_id != staff.pk)


@pytest.mark.parametrize("said", [{}, {"reminder_emails": False}, {"token_epochs": {"reminder": 3}}])
def test_both_ways_to_read_people_tell_the_same(said: dict[str, Any]) -> None:
    people = [UserFactory(first_name="Ada", last_name=""), UserFactory(is_active=False), UserFactory(email="")]
    if said:
        EmailPreference.objects.create(user=people[0], **said)
    ids = [person.pk for person in people]
    assert policy._people(KIND, ids) == policy._people_of_accounts(KIND, ids)


@pytest.mark.parametrize("kind", [KIND, AsksAccounts])
@pytest.mark.parametrize("number", [1, 50])
def test_it_costs_two_statements_and_a_third_for_courses(number: int, kind: Any) -> None:
    people, course = UserFactory.create_batch(number), CourseFactory()
    drafts = [Draft(target_id=person.pk, user_id=person.pk, course_id=course.pk) for person in people]
    with CaptureQueriesContext(connection) as queries:
        policy.verdicts(kind, [Addressee(person.pk) for person in people])
    assert len(queries) == 2
    with CaptureQueriesContext(connection) as queries:
        policy.refusals(kind, drafts)
    assert len(queries) == 3
