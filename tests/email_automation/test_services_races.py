"""Calls, sweeps and deletions at the same moment …"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection
from django.utils import timezone

from email_automation import words
from email_automation.models import EmailLog
from email_automation.pipeline import ledger, outbox, sweep, waiting
from email_automation.services import EmailService
from tests import factories

from .test_ledger_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)

User = get_user_model()
SERVICE = EmailService()


@pytest.fixture(autouse=True)
def _site() -> None:
    # Emptied with the other tables after each of these tests.
    factories.platform_site()


def test_send_one_key_once() -> None:
    ann = factories.UserFactory()
    for number in range(5):
        key = f"k{number}"
        found = at_once(*[lambda key=key: SERVICE.send_email(ann, "enrollment", dedupe_key=key)] * 4)
        assert len(mail.outbox) == number + 1
        assert found.count(True) <= 1
    assert EmailLog.objects.filter(status=words.SENT).count() == 5


def test_are_told_the_truth_of_each_mail_while_others_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = outbox.deliver

    def take_what_is_free() -> None:
        outbox.claim_due(1000)
        ledger.lease(waiting.due_ids(1000))

    def after_the_others(*args: Any, **options: Any) -> Any:
        at_once(take_what_is_free, take_what_is_free)
        return deliver(*args, **options)

    monkeypatch.setattr(outbox, "deliver", after_the_others)
    people = factories.UserFactory.create_batch(120)
    assert SERVICE.send_bulk_email(people, "enrollment") == {"success": 120, "failed": 0, "skipped": 0}
    assert max(Counter(sent.to[0] for sent in mail.outbox).values()) == 1
    assert EmailLog.objects.filter(status=words.SENT).count() == 120


def test_send_now_what_a_process_that_died_was_holding_once_its_lease_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*args: Any, **options: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(outbox, "deliver", die)
        SERVICE.send_email(factories.UserFactory(), "enrollment")
    assert sweep.sweep()[words.SENT] == 0
    EmailLog.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep.sweep()[words.SENT] == 1


def test_read_a_queryset_while_others_write_and_after_the_connection_was_lost() -> None:
    # More than any cursor reads at once; who is inactive costs least.
    User.objects.bulk_create(User(username=f"u{number}", is_active=False) for number in range(1050))
    some = list(User.objects.order_by("-pk").values_list("pk", flat=True)[:5])
    User.objects.filter(pk__in=some).update(is_active=True, email="ann@example.com")
    send_now = outbox.send_now

    def with_company(entries: Any) -> list[str]:
        at_once(factories.CourseFactory)
        connection.close()
        return send_now(entries)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "send_now", with_company)
        counts = SERVICE.send_bulk_email(User.objects.order_by("pk"), "enrollment")
    assert counts == {"success": 5, "failed": 0, "skipped": 1045}


def test_an_account_deleted_between_two_batches_ends_nothing() -> None:
    people = factories.UserFactory.create_batch(120)

    def one_by_one() -> Iterator[Any]:
        for number, person in enumerate(people):
            if number == 55:
                User.objects.filter(pk__in=[people[54].pk, people[100].pk]).delete()
            yield person

    assert SERVICE.send_bulk_email(one_by_one(), "enrollment") == {"success": 118, "failed": 0, "skipped": 2}
