"""Calls inside somebody's transaction exist exactly when that does …"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from email_automation import consent, words
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import sweep
from email_automation.services import EmailService
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

SERVICE = EmailService()


@pytest.fixture(autouse=True)
def _site() -> None:
    # Emptied with the other tables after each of these tests.
    factories.platform_site()


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory()


def statuses() -> list[str]:
    return sorted(EmailLog.objects.values_list("status", flat=True))


class Undone(Exception):
    """Somebody's change of mind."""


def test_a_mail_goes_out_once_it_has_committed(ann: Any) -> None:
    with transaction.atomic():
        assert SERVICE.send_email(ann, "enrollment") is True
        assert mail.outbox == []
        assert not EmailLog.objects.exists()
    assert statuses() == [words.SENT]
    assert len(mail.outbox) == 1


def test_a_mail_is_gone_when_it_rolls_back(ann: Any) -> None:
    with pytest.raises(Undone), transaction.atomic():
        assert SERVICE.send_email(ann, "enrollment", dedupe_key="k") is True
        raise Undone
    assert not EmailQueue.objects.exists()
    sweep.sweep()
    assert mail.outbox == []
    assert SERVICE.send_email(ann, "enrollment", dedupe_key="k") is True


def test_a_mail_is_gone_with_the_savepoint_it_was_sent_in(ann: Any) -> None:
    other = factories.UserFactory()
    with transaction.atomic():
        SERVICE.send_email(ann, "enrollment")
        with pytest.raises(Undone), transaction.atomic():
            SERVICE.send_email(other, "enrollment")
            raise Undone
    assert [sent.to for sent in mail.outbox] == [[ann.email]]


def test_who_wants_none_is_told_so_at_once_and_in_the_log(ann: Any) -> None:
    consent.opt_out(ann.pk, "enrollment", source="test")
    with transaction.atomic():
        assert SERVICE.send_email(ann, "enrollment") is False
    row = EmailLog.objects.get()
    assert (row.status, row.reason) == (words.SKIPPED, "opted_out:enrollment")


def test_a_key_that_is_used_up_says_so(ann: Any) -> None:
    SERVICE.send_email(ann, "enrollment", dedupe_key="k")
    with transaction.atomic():
        assert SERVICE.send_email(ann, "enrollment", dedupe_key="k") is False
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "First"}, dedupe_key="l") is True
        assert SERVICE.send_email(ann, "enrollment", {"custom_message": "Second"}, dedupe_key="l") is False
    assert len(mail.outbox) == 2
    assert "First" in mail.outbox[1].body


def test_a_key_given_back_can_be_used(ann: Any) -> None:
    consent.opt_out(ann.pk, "enrollment", source="test")
    SERVICE.send_email(ann, "enrollment", dedupe_key="k")
    consent.set_preferences(ann.pk, {"enrollment_emails": True}, source="test")
    with transaction.atomic():
        assert SERVICE.send_email(ann, "enrollment", dedupe_key="k") is True
    assert len(mail.outbox) == 1


def test_an_opt_out_in_the_same_transaction_counts(ann: Any) -> None:
    with transaction.atomic():
        assert SERVICE.send_email(ann, "enrollment") is True
        consent.opt_out(ann.pk, "enrollment", source="test")
    assert statuses() == [words.SKIPPED]


def test_many_are_counted_by_whether_they_are_willing() -> None:
    people = factories.UserFactory.create_batch(60)
    consent.opt_out(people[0].pk, "enrollment", source="test")
    with transaction.atomic():
        counts = SERVICE.send_bulk_email(people, "enrollment")
        assert counts == {"success": 59, "failed": 0, "skipped": 1}
        assert mail.outbox == []
    assert len(mail.outbox) == 59


def test_many_are_gone_when_it_rolls_back() -> None:
    with pytest.raises(Undone), transaction.atomic():
        SERVICE.send_bulk_email(factories.UserFactory.create_batch(3), "enrollment")
        raise Undone
    assert not EmailQueue.objects.exists()
    assert mail.outbox == []


def test_what_is_queued_is_queued_or_gone_with_it(ann: Any) -> None:
    later = timezone.now() + timedelta(hours=2)
    with pytest.raises(Undone), transaction.atomic():
        SERVICE.queue_email(ann, "enrollment", later)
        raise Undone
    assert not EmailQueue.objects.exists()
    with transaction.atomic():
        SERVICE.queue_email(ann, "enrollment", later)
    assert EmailQueue.objects.count() == 1


def test_a_mail_that_fails_undoes_nothing(ann: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("email_automation.pipeline.outbox.claim_due", lambda *args, **kwargs: 1 / 0)
    with transaction.atomic():
        person = factories.UserFactory()
        SERVICE.send_email(ann, "enrollment")
    person.refresh_from_db()
    monkeypatch.undo()
    assert sweep.sweep()[words.SENT] == 1


def test_a_broker_that_is_away_costs_time_only(ann: Any, settings: Any, caplog: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("email_automation.pipeline.wake.current_app.send_task", lambda *args, **kwargs: 1 / 0)
        with transaction.atomic():
            assert SERVICE.send_email(ann, "enrollment") is True
    assert "the broker is away" in caplog.text
    assert mail.outbox == []
    assert sweep.sweep()[words.SENT] == 1


def test_outside_of_one_a_mail_is_sent_without_a_worker(ann: Any, settings: Any, monkeypatch: Any) -> None:
    settings.CELERY_BROKER_URL = "memory://"
    woken: list[Any] = []
    monkeypatch.setattr("email_automation.pipeline.wake.current_app.send_task", lambda *a, **kw: woken.append(a))
    assert SERVICE.send_email(ann, "enrollment") is True
    assert (len(mail.outbox), woken) == (1, [])
