"""Erasing one person: what goes, what stays, and what a worker makes of it that has a mail of theirs in hand."""

from __future__ import annotations

from datetime import date, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError

from courses.models import Enrollment
from email_automation import consent, erasure, words
from email_automation.management.base import BadArgument
from email_automation.models import (
    CourseOptOut,
    EmailLog,
    EmailPreference,
    EmailQueue,
    MessageRun,
    SuppressedAddress,
    WeeklyProgressReport,
)
from email_automation.pipeline import delivery, ledger, message, policy, sweep
from email_automation.pipeline.policy import Addressee
from tests import factories

from .test_admin import log_row
from .test_ledger import SENT, begin, begun, finish, leased, prepared
from .test_ledger_races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]

OF_A_PERSON = (EmailLog, EmailQueue, EmailPreference, CourseOptOut, WeeklyProgressReport)


def kept() -> dict[str, int]:
    found = {model.__name__: model._default_manager.count() for model in OF_A_PERSON}
    return found | {"history": EmailPreference.history.count()}


def known(**fields: Any) -> Any:
    """Return somebody of whom the engine holds something of every kind."""
    person = factories.UserFactory(**fields)
    course = factories.EnrollmentFactory(user=person).course
    row = log_row(recipient=person)
    log_row(recipient=person, status=words.PENDING, dedupe_key=f"key {person.pk}")
    for log in (row, None):
        EmailQueue.objects.create(recipient=person, email_type="enrollment", site_id=row.site_id, log=log)
    consent.opt_out(person.pk, "goal", source="one-click")
    consent.opt_out(person.pk, "demo", source="admin")
    consent.set_course_opt_out(person.pk, course, True)
    WeeklyProgressReport.objects.create(
        user=person, course=course, week_start=date(2026, 2, 23), week_end=date(2026, 3, 1)
    )
    return person


def run(*args: Any, **options: Any) -> str:
    out = StringIO()
    call_command("erase_learner", *args, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_everything_of_one_person_goes_and_nothing_of_another() -> None:
    person = known()
    before = kept()
    other = known()
    erasure.erase(person.pk)
    assert kept() == before
    for model in OF_A_PERSON:
        (owner,) = [name for name in ("recipient_id", "user_id") if hasattr(model, name)]
        assert set(model._default_manager.values_list(owner, flat=True)) == {other.pk}
    assert set(EmailPreference.history.values_list("user_id", flat=True)) == {other.pk}


def test_the_account_stays_and_its_address_gets_no_mail() -> None:
    person = known()
    erasure.erase(person.pk)
    assert get_user_model().objects.filter(pk=person.pk, email=person.email).exists()
    assert Enrollment.objects.filter(user=person).exists()
    suppressed = SuppressedAddress.objects.get()
    assert (suppressed.reason, person.email in suppressed.digest) == ("erased", False)
    kind = message.get("recurringnudge_day3")
    again = factories.UserFactory(email=person.email.upper())
    assert {found.refusal for found in policy.verdicts(kind, [Addressee(person.pk), Addressee(again.pk)]).values()} == {
        words.SUPPRESSED
    }


def test_an_earlier_suppression_keeps_its_reason() -> None:
    person = known()
    consent.suppress(person.pk, person.email, reason=consent.BOUNCE)
    erasure.erase(person.pk)
    assert SuppressedAddress.objects.get().reason == "bounce"
    assert consent.suppressed_among([person.email])


def test_the_counts_of_runs_stay() -> None:
    person = factories.UserFactory()
    site = log_row(recipient=person).site
    record = MessageRun.objects.create(message="schedules.recurringnudge_day3", site=site, slot="2026-03-02", sent=1)
    log_row(recipient=person, run=record)
    erasure.erase(person.pk)
    record.refresh_from_db()
    assert record.sent == 1


def test_a_second_run_is_harmless() -> None:
    person = known()
    first, second = erasure.erase(person.pk), erasure.erase(person.pk)
    assert first == {"preferences": 1, "opt_outs": 1, "history": 3, "queued": 2, "logs": 2, "reports": 1}
    assert set(second.values()) == {0}
    assert SuppressedAddress.objects.count() == 1


def test_somebody_without_an_address_leaves_nothing() -> None:
    person = known(email="")
    erasure.erase(person.pk)
    assert not SuppressedAddress.objects.exists()


def test_it_is_all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    person = known()
    before = kept()

    def fail(user_id: int) -> int:
        raise DatabaseError("gone")

    monkeypatch.setattr(ledger, "forget", fail)
    with pytest.raises(DatabaseError):
        erasure.erase(person.pk)
    assert kept() == before
    assert not SuppressedAddress.objects.exists()


def test_a_mail_in_a_workers_hand_ends_without_a_trace() -> None:
    first, second = leased(2)
    assert begin(first)
    erasure.erase(first.recipient_id)
    turn = ledger.turn([(first, SENT)], [(second, prepared(second), timedelta(minutes=5))])
    assert turn == ([None], {second.pk})
    assert finish(second, SENT) == SENT
    assert set(EmailLog.objects.values_list("pk", flat=True)) == {second.pk}
    assert ledger.resolve_doubts() == {"unknown": 0, "resent": 0}


def test_a_mail_that_was_leased_is_not_begun_any_more() -> None:
    (row,) = leased()
    erasure.erase(row.recipient_id)
    assert not begin(row)
    assert delivery.deliver([row.pk]) == {}
    assert sweep.sweep()[words.SENT] == 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_and_an_erasure_that_meet_both_end() -> None:
    factories.platform_site()
    for _ in range(5):
        (row,) = begun()
        person = row.recipient
        outcomes = at_once(
            lambda row=row: finish(row, SENT),
            lambda person=person: erasure.erase(person.pk),
            lambda person=person: consent.opt_out(person.pk, "goal", source="one-click"),
        )
        assert outcomes[0] in (SENT, None)
        assert not EmailLog.objects.filter(recipient=person).exists()
        assert consent.suppressed_among([person.email])


@pytest.mark.django_db(transaction=True)
def test_two_erasures_of_one_person_that_meet_both_end() -> None:
    factories.platform_site()
    person = known()
    at_once(*(lambda: erasure.erase(person.pk) for _ in range(3)))
    assert set(kept().values()) == {0}
    assert SuppressedAddress.objects.count() == 1


class TestCommand:
    @pytest.mark.parametrize("given", ["username", "pk", "email"])
    def test_it_prints_numbers_and_no_name(self, given: str) -> None:
        person = known(username="ann", email="ann@example.com")
        printed = run(str(getattr(person, given)), "--yes")
        expected = "history=3 logs=2 opt_outs=1 preferences=1 queued=2 reports=1"
        assert printed == f"erase_learner user={person.pk} {expected}\n"

    @pytest.mark.parametrize(("answer", "erased"), [("yes", True), (" YES ", True), ("no", False), ("", False)])
    def test_it_asks_first(self, monkeypatch: pytest.MonkeyPatch, answer: str, erased: bool) -> None:
        person, asked = known(), []
        monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or answer)
        if erased:
            run(person.username)
        else:
            with pytest.raises(SystemExit) as ended:
                run(person.username)
            assert ended.value.code == 1
        assert EmailLog.objects.exists() is not erased
        assert len(asked) == 1 and person.email not in asked[0]

    def test_where_nobody_can_answer_it_does_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        person = known()

        def nobody(prompt: str) -> str:
            raise EOFError

        monkeypatch.setattr("builtins.input", nobody)
        with pytest.raises(BadArgument) as ended:
            run(person.username)
        assert ended.value.returncode == 2
        assert EmailLog.objects.exists()

    def test_nobody_is_a_bad_argument(self) -> None:
        with pytest.raises(BadArgument, match="nobody"):
            run("nobody@example.com", "--yes")
