"""Publishing in one course at the same moment, and while its window closes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.core import mail
from django.db import transaction

from email_automation import announcements
from email_automation.models import EmailQueue
from email_automation.pipeline import outbox, sweep
from tests import factories

from .test_ledger_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _site() -> None:
    # Emptied with the other tables after each of these tests.
    factories.platform_site()


@pytest.fixture
def course() -> Any:
    return factories.EnrollmentFactory(course=factories.CourseFactory()).course


def publish(course: Any, title: str = "An item") -> Any:
    return factories.ContentItemFactory(course=course, title=title, announce=True)


def test_several_who_publish_at_once_open_one_window(course: Any) -> None:
    for _ in range(3):
        items = at_once(*[lambda: publish(course)] * 4)
        window = EmailQueue.objects.get()
        assert sorted(announcements.item_ids(window)) == sorted(item.pk for item in items)
        EmailQueue.objects.all().delete()


def test_two_who_publish_in_the_same_two_courses_block_nobody() -> None:
    courses = factories.CourseFactory.create_batch(2)

    def publish_in(order: list[Any]) -> None:
        with transaction.atomic():
            items = [factories.ContentItemFactory(course=course) for course in order]
            announcements.announce(items)

    at_once(lambda: publish_in(courses), lambda: publish_in(courses[::-1]), lambda: publish_in(courses))
    assert sorted(len(announcements.item_ids(window)) for window in EmailQueue.objects.all()) == [3, 3]


def test_nothing_that_is_published_while_windows_close_is_lost_or_told_twice(course: Any, settings: Any) -> None:
    settings.NEW_CONTENT_WINDOW_SECONDS = 0.05
    over = threading.Event()
    titles = [f"Item {number:03}." for number in range(40)]

    def publish_some(some: list[str]) -> None:
        for title in some:
            publish(course, title)
            time.sleep(0.01)

    def publish_all() -> None:
        try:
            publish_some(titles[:20])
        finally:
            over.set()

    def sweep_on() -> None:
        while not over.is_set():
            sweep.sweep()

    at_once(publish_all, lambda: publish_some(titles[20:]), sweep_on, sweep_on)
    time.sleep(0.1)
    sweep.sweep()
    told = Counter(title for sent in mail.outbox for title in titles if title in sent.body)
    assert told == Counter(titles)
    assert len(mail.outbox) > 1
    assert not EmailQueue.objects.filter(is_processed=False).exists()


def test_a_window_hastened_while_it_closes_is_mailed_about_once(course: Any, settings: Any) -> None:
    settings.NEW_CONTENT_WINDOW_SECONDS = 0.3
    for number in range(5):
        publish(course, f"Item {number}.")
        (window,) = EmailQueue.objects.filter(is_processed=False)
        time.sleep(0.29)
        at_once(lambda pk=window.pk: outbox.hasten([pk]), sweep.sweep, sweep.sweep)
        sweep.sweep()
        time.sleep(0.02)
        sweep.sweep()
        assert len(mail.outbox) == number + 1
        assert f"Item {number}." in mail.outbox[-1].body


def test_a_publisher_who_commits_late_has_the_window_wait_and_loses_nothing(course: Any, settings: Any) -> None:
    settings.NEW_CONTENT_WINDOW_SECONDS = 0.3
    publish(course, "First.")
    added = threading.Event()

    def publish_slowly() -> None:
        with transaction.atomic():
            publish(course, "Second.")
            added.set()
            # The window's time is over before this transaction is.
            time.sleep(0.6)

    def sweep_at_the_end() -> Any:
        assert added.wait(10)
        time.sleep(0.4)
        return sweep.sweep()

    at_once(publish_slowly, sweep_at_the_end)
    sweep.sweep()
    assert sum("Second." in sent.body for sent in mail.outbox) == 1
    assert sum("First." in sent.body for sent in mail.outbox) == 1
    assert not EmailQueue.objects.filter(is_processed=False).exists()
    assert set(EmailQueue.objects.values_list("email_type", flat=True)) == {"new_content"}
