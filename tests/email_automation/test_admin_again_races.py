"""A mail sent again by several at the same moment, and an entry withdrawn while it is claimed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import entries, outbox, repetition, sweep
from email_automation.pipeline.repetition import Hindered, Repeated
from email_automation.services import EmailService
from tests import factories

from .test_ledger_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _site() -> None:
    # Emptied with the other tables after each of these tests.
    factories.platform_site()


def test_several_who_send_a_mail_again_at_once_send_one() -> None:
    assert EmailService().send_email(factories.UserFactory(), "enrollment", course=factories.CourseFactory())
    for number in range(3):
        row = EmailLog.objects.earliest("pk")
        value = repetition.one_time_value(row)

        def again(row: EmailLog = row, value: Any = value) -> str:
            try:
                return repetition.send_again(row, value).status
            except (Hindered, Repeated) as refused:
                return type(refused).__name__

        answers = at_once(again, again, again, sweep.sweep)[:3]
        assert answers.count("sent") == 1, answers
        assert len(mail.outbox) == EmailLog.objects.count() == number + 2


def test_an_entry_that_is_sent_and_withdrawn_at_once_ends_as_one_of_the_two() -> None:
    for _ in range(5):
        mail.outbox.clear()
        entry = EmailService().queue_email(
            factories.UserFactory(),
            "enrollment",
            timezone.now() + timedelta(days=1),
            {"course": factories.CourseFactory()},
        )
        _, gone, _ = at_once(
            lambda pk=entry.pk: outbox.hasten([pk]), lambda pk=entry.pk: entries.withdraw([pk]), sweep.sweep
        )
        assert EmailQueue.objects.filter(pk=entry.pk).exists() is (gone == [])
        assert len(mail.outbox) == (1 if gone == [] else 0)
