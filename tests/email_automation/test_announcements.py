"""New content: what is published within one window shares one mail …"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from waffle.models import Switch

from courses import services
from courses.models import ContentItem
from email_automation import announcements, consent, tasks, words
from email_automation.events import HOLD, STOP
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import dispatch, entries, message, outbox, sweep, wake
from tests import factories

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=900)
KIND = message.get("new_content")

Commit = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Commit:
    """Have a block's transaction commit."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def course() -> Any:
    return factories.CourseFactory(title="Tides")


@pytest.fixture
def learner(course: Any) -> Any:
    return enrolled(course)


def enrolled(course: Any, **fields: Any) -> Any:
    return factories.EnrollmentFactory(course=course, created_at=NOON - timedelta(days=9), **fields).user


def at(moment: datetime) -> Any:
    return time_machine.travel(moment, tick=False)


def publish(course: Any, title: str = "Reading a tide table", **fields: Any) -> Any:
    return factories.ContentItemFactory(course=course, title=title, announce=True, **fields)


def sent_to() -> list[str]:
    return sorted(sent.to[0] for sent in mail.outbox)


def windows() -> list[EmailQueue]:
    return list(EmailQueue.objects.filter(recipient=None).order_by("scheduled_at"))


def test_case_005_three_videos_within_ten_minutes_are_one_mail_to_each_learner_who_goes_on(
    course: Any, committed: Commit
) -> None:
    people = [enrolled(course) for _ in range(40)]
    for _ in range(2):
        factories.CertificateFactory(user=enrolled(course), course=course)
    enrolled(course, is_active=False)
    for minutes, title in ((0, "First"), (4, "Second"), (10, "Third")):
        with at(NOON + timedelta(minutes=minutes)), committed():
            publish(course, title)
    with at(NOON + WINDOW - timedelta(seconds=1)):
        sweep.sweep()
    assert mail.outbox == []
    with at(NOON + WINDOW):
        assert sweep.sweep()[words.SENT] == 40
        assert sweep.sweep()[words.SENT] == 0
    assert sent_to() == sorted(person.email for person in people)
    for sent in mail.outbox:
        for part in (sent.body, sent.alternatives[0][0]):
            positions = [part.index(title) for title in ("First", "Second", "Third")]
            assert positions == sorted(positions)
    assert EmailLog.objects.filter(course=course, category="content", email_type="new_content").count() == 40
    assert EmailLog.objects.filter(enrollment__isnull=True).count() == 0


class TestTheWindow:
    def test_is_opened_by_the_first_item_and_does_not_move(self, course: Any, learner: Any, committed: Commit) -> None:
        for minutes in (0, 5, 14):
            with at(NOON + timedelta(minutes=minutes)), committed():
                publish(course)
        (window,) = windows()
        assert window.scheduled_at == NOON + WINDOW
        assert len(announcements.item_ids(window)) == 3

    def test_holds_what_is_published_in_its_last_moment(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course, "First")
        with at(NOON + WINDOW - timedelta(microseconds=1)), committed():
            publish(course, "Last")
        (window,) = windows()
        assert len(announcements.item_ids(window)) == 2

    @pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), timedelta(hours=5)])
    def test_that_is_over_holds_nothing_more_and_another_is_opened(
        self, course: Any, learner: Any, committed: Commit, late: timedelta
    ) -> None:
        with at(NOON), committed():
            publish(course, "First")
        # Nobody has swept yet, so the first window still waits.
        with at(NOON + WINDOW + late), committed():
            publish(course, "Second")
        first, second = windows()
        assert second.scheduled_at == NOON + WINDOW + late + WINDOW
        with at(second.scheduled_at):
            assert sweep.sweep()[words.SENT] == 2
        bodies = sorted(("First" in sent.body, "Second" in sent.body) for sent in mail.outbox)
        assert bodies == [(False, True), (True, False)]

    def test_found_open_is_looked_at_again_behind_the_lock(self, course: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course)
        (window,) = windows()
        with at(NOON + WINDOW - timedelta(microseconds=1)):
            assert entries.extended(window, announcements.ITEMS, [7])
        with at(NOON + WINDOW):
            assert not entries.extended(window, announcements.ITEMS, [8])
        (window,) = windows()
        assert announcements.item_ids(window)[1:] == [7]

    def test_is_each_courses_own(self, course: Any, learner: Any, committed: Commit) -> None:
        other = factories.CourseFactory()
        with at(NOON), committed():
            publish(course)
            publish(other)
        assert sorted(window.target_id or 0 for window in windows()) == sorted([course.pk, other.pk])
        enrolled(other)
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 2
        assert {row.course_id: row.recipient.enrollments.get().course_id for row in EmailLog.objects.all()} == {
            course.pk: course.pk,
            other.pk: other.pk,
        }

    def test_of_two_courses_at_one_instant_mails_each_by_its_own_site(self, committed: Commit) -> None:
        site = factories.SiteFactory(domain="harbour.example.org")
        factories.SiteConfigurationFactory(site=site, org_filter=["HarbourX"])
        theirs, ours = factories.CourseFactory(org="HarbourX"), factories.CourseFactory()
        people = {enrolled(theirs).pk: "harbour.example.org", enrolled(ours).pk: "example.com"}
        with at(NOON), committed():
            publish(ours)
            publish(theirs)
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 2
        assert dict(EmailLog.objects.values_list("recipient_id", "site__domain")) == people

    def test_hastened_beside_another_sites_mails_each_by_its_own_site(self, committed: Commit) -> None:
        site = factories.SiteFactory(domain="harbour.example.org")
        factories.SiteConfigurationFactory(site=site, org_filter=["HarbourX"])
        theirs, ours = factories.CourseFactory(org="HarbourX", title="Theirs"), factories.CourseFactory(title="Ours")
        people = {enrolled(theirs).email: "Theirs", enrolled(ours).email: "Ours"}
        with committed():
            publish(theirs)
            publish(ours)
        with committed():
            assert outbox.hasten([window.pk for window in windows()]) == 2
        assert {sent.to[0]: next(title for title in people.values() if title in sent.body) for sent in mail.outbox} == (
            people
        )
        assert sorted(EmailLog.objects.values_list("site__domain", flat=True)) == ["example.com", "harbour.example.org"]

    def test_of_no_length_mails_about_each_item_at_once(
        self, course: Any, learner: Any, committed: Commit, settings: Any
    ) -> None:
        settings.NEW_CONTENT_WINDOW_SECONDS = 0
        for title in ("First", "Second"):
            with committed():
                publish(course, title)
            assert title in mail.outbox[-1].body
        assert len(mail.outbox) == 2

    def test_mails_who_is_enrolled_when_it_closes(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course)
        late = enrolled(course)
        factories.CertificateFactory(user=learner, course=course)
        with at(NOON + WINDOW):
            sweep.sweep()
        assert sent_to() == [late.email]

    def test_of_a_course_no_longer_offered_mails_nobody(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course)
        course.is_active = False
        course.save()
        with at(NOON + WINDOW):
            sweep.sweep()
        assert mail.outbox == []
        assert windows()[0].is_processed

    def test_is_as_long_as_it_was_when_it_opened(
        self, course: Any, learner: Any, committed: Commit, settings: Any
    ) -> None:
        with at(NOON), committed():
            publish(course)
        settings.NEW_CONTENT_WINDOW_SECONDS = 60
        with at(NOON + timedelta(seconds=30)), committed():
            publish(course)
        assert [window.scheduled_at for window in windows()] == [NOON + WINDOW]

    def test_costs_a_publisher_the_same_few_statements_each_time(
        self, course: Any, committed: Commit, settings: Any, monkeypatch: Any
    ) -> None:
        settings.CELERY_BROKER_URL = "memory://"
        monkeypatch.setattr(wake.current_app, "send_task", lambda *args, **options: None)
        for _ in range(50):
            enrolled(course)
        with CaptureQueriesContext(connection) as silent:
            factories.ContentItemFactory(course=course)
        costs = []
        for _ in range(3):
            with CaptureQueriesContext(connection) as queries:
                publish(course)
            costs.append(len(queries) - len(silent))
        assert max(costs) <= 18

    def test_that_is_many_mails_is_handed_to_all_workers(
        self, course: Any, committed: Commit, settings: Any, monkeypatch: Any
    ) -> None:
        settings.EMAIL_BATCH_SIZE = 50
        for _ in range(80):
            enrolled(course)
        with at(NOON), committed():
            publish(course)
        woken: list[Any] = []
        monkeypatch.setattr(wake.current_app, "send_task", lambda name, **options: woken.append((name, options)))
        settings.CELERY_BROKER_URL = "memory://"
        with at(NOON + WINDOW):
            assert tasks.process_queued([windows()[0].pk])[words.SENT] == 50
            ((name, options),) = woken
            assert (name, options["queue"], len(options["args"][0])) == (wake.DELIVER_TASK, "lifecycle", 30)
            assert tasks.deliver_mails(options["args"][0])[words.SENT] == 30
        assert len(set(sent_to())) == 80

    def test_closes_with_the_same_statements_for_one_and_for_fifty(self, committed: Commit) -> None:
        costs = []
        for number in (1, 50):
            course = factories.CourseFactory()
            for _ in range(number):
                enrolled(course)
            with at(NOON), committed():
                publish(course)
            with at(NOON + WINDOW), CaptureQueriesContext(connection) as queries:
                assert sweep.sweep()[words.SENT] == number
            # SQLite takes at most so many parameters in a statement.
            costs.append(len([query for query in queries if not query["sql"].startswith("INSERT")]))
        assert costs[1] - costs[0] <= 49


class TestPublishing:
    def test_silently_is_no_news(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            factories.ContentItemFactory(course=course, announce=False)
            services.record_content_item(course, "k", kind="video", title="T", announce=False)
        assert windows() == []

    def test_by_the_service_is_news_once(self, course: Any, learner: Any, committed: Commit) -> None:
        for _ in range(3):
            with at(NOON), committed():
                services.record_content_item(course, "k", kind="video", title="Told by the service")
        (window,) = windows()
        assert len(announcements.item_ids(window)) == 1

    def test_what_was_a_draft_is_news_when_it_comes_out(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            item = publish(course, is_published=False)
        assert windows() == []
        with at(NOON + timedelta(hours=1)), committed():
            item.is_published = True
            item.save()
        assert [window.scheduled_at for window in windows()] == [NOON + timedelta(hours=1) + WINDOW]

    def test_again_what_was_withdrawn_is_no_news(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            item = publish(course)
        with at(NOON + WINDOW):
            sweep.sweep()
        for is_published in (False, True):
            with at(NOON + timedelta(days=1)), committed():
                item.is_published = is_published
                item.save()
        assert len(windows()) == len(mail.outbox) == 1

    def test_every_kind_is_news(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            for kind in ContentItem.Kind.values:
                publish(course, f"A {kind}", kind=kind)
        with at(NOON + WINDOW):
            sweep.sweep()
        assert all(f"A {kind}" in mail.outbox[0].body for kind in ContentItem.Kind.values)

    def test_a_mistake_of_ours_breaks_no_save(self, course: Any, committed: Commit, monkeypatch: Any) -> None:
        monkeypatch.setattr(announcements, "_open", lambda course_id: 1 / 0)
        with committed():
            item = publish(course)
        assert ContentItem.objects.filter(pk=item.pk).exists()

    def test_while_it_is_held_is_no_news_later_either(self, course: Any, learner: Any, committed: Commit) -> None:
        Switch.objects.create(name=HOLD.format("new_content"), active=True)
        with at(NOON), committed():
            publish(course, "Held")
        assert windows() == []
        Switch.objects.update(active=False)
        with at(NOON + timedelta(minutes=1)), committed():
            publish(course, "After")
        with at(NOON + timedelta(hours=1)):
            sweep.sweep()
        (sent,) = mail.outbox
        assert "After" in sent.body
        assert "Held" not in sent.body


class TestWithdrawnBeforeItWasSent:
    def test_an_item_is_left_out(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            first, _second, third = publish(course, "First"), publish(course, "Second"), publish(course, "Third")
        with at(NOON + timedelta(minutes=1)), committed():
            first.is_published = False
            first.save()
            third.delete()
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 1
        (sent,) = mail.outbox
        assert ("First" in sent.body, "Second" in sent.body, "Third" in sent.body) == (False, True, False)

    def test_everything_sends_nothing_and_says_so(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            item = publish(course)
        ContentItem.objects.filter(pk=item.pk).delete()
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 0
        assert mail.outbox == []
        assert set(EmailLog.objects.values_list("reason", flat=True)) <= {words.NO_LONGER_ELIGIBLE}


class TestATaskAboutACourse:
    def test_keeps_its_name_and_tells_the_learners_at_once_what_it_is_given(
        self, course: Any, learner: Any, committed: Commit
    ) -> None:
        with committed():
            assert tasks.send_new_content_notification.delay(course.pk, "A new tutorial series!").get() == {"queued": 1}
        (sent,) = mail.outbox
        assert sent.to == [learner.email]
        assert "A new tutorial series!" in sent.body
        assert tasks.send_new_content_notification.name == "email_automation.tasks.send_new_content_notification"

    def test_without_words_closes_the_open_window_now(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course, "First")
        with at(NOON + timedelta(minutes=3)):
            with committed():
                tasks.send_new_content_notification(course.pk)
            assert len(mail.outbox) == 1
            assert "First" in mail.outbox[0].body
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 0
        with at(NOON + timedelta(minutes=4)), committed():
            publish(course, "Second")
        assert [window.is_processed for window in windows()] == [True, False]

    def test_with_words_leaves_the_open_window_alone(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course, "First")
        with at(NOON + timedelta(minutes=3)), committed():
            tasks.send_new_content_notification(course.pk, "In my own words")
        assert len(mail.outbox) == 1
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 1
        assert "In my own words" in mail.outbox[0].body
        assert "First" in mail.outbox[1].body

    def test_without_words_and_window_says_that_there_is_news(
        self, course: Any, learner: Any, committed: Commit
    ) -> None:
        with committed():
            tasks.send_new_content_notification(course.pk)
        assert len(mail.outbox) == 1
        assert "Tides" in mail.outbox[0].body

    def test_of_which_nothing_is_known_logs_one_line(self, caplog: Any) -> None:
        assert tasks.send_new_content_notification(404) == {"queued": 0}
        (line,) = [record for record in caplog.records if record.name == "email_automation.tasks"]
        assert "course_id=404" in line.getMessage()

    @pytest.mark.parametrize("text", ["a\0b", "half \ud83d"])
    def test_refuses_a_text_that_cannot_be_stored(self, course: Any, text: str) -> None:
        with pytest.raises(ValueError, match="content_description: .*allowed"):
            tasks.send_new_content_notification(course.pk, text)
        assert windows() == []

    @pytest.mark.parametrize("text", ["x" * 50_000, "<b>&amp; 'quoted'", "{{ user.email }}"])
    def test_takes_any_text(self, course: Any, learner: Any, committed: Commit, text: str) -> None:
        with committed():
            tasks.send_new_content_notification(course.pk, text)
        (sent,) = mail.outbox
        assert "<b>" not in sent.alternatives[0][0] or "<b>" not in text
        assert learner.email not in sent.body


class TestWhoDoesNotGetIt:
    @pytest.fixture
    def open_window(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course)

    @pytest.mark.usefixtures("open_window")
    def test_after_an_opt_out_of_the_category(self, learner: Any) -> None:
        consent.opt_out(learner.pk, "content", source="test")
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 0
        assert not EmailLog.objects.exists()

    @pytest.mark.usefixtures("open_window")
    def test_after_an_opt_out_of_the_course(self, course: Any, learner: Any) -> None:
        consent.set_course_opt_out(learner.pk, course, True)
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 0
        assert EmailLog.objects.get().reason == words.OPTED_OUT_COURSE

    @pytest.mark.usefixtures("open_window")
    def test_while_it_is_stopped(self) -> None:
        Switch.objects.create(name=STOP.format("new_content"), active=True)
        with at(NOON + WINDOW):
            assert sweep.sweep()[words.SENT] == 0
        row = EmailLog.objects.get()
        assert (row.reason, row.dedupe_key) == (words.STOPPED, None)


class TestARunOfTheClock:
    def test_tells_of_what_was_published_silently_that_day(self, course: Any, learner: Any) -> None:
        factories.ContentItemFactory(course=course, title="Silent", published_at=NOON)
        factories.ContentItemFactory(course=course, title="Older", published_at=NOON - timedelta(days=1))
        summary = dispatch.run_daily(KIND, 1, day=NOON.date())
        assert summary.sent == 1
        assert "Silent" in mail.outbox[0].body
        assert "Older" not in mail.outbox[0].body
        assert dispatch.run_daily(KIND, 1, day=NOON.date()).sent == 0

    def test_says_nothing_again_of_what_was_announced(self, course: Any, learner: Any, committed: Commit) -> None:
        with at(NOON), committed():
            publish(course)
        with at(NOON + WINDOW):
            sweep.sweep()
        assert dispatch.run_daily(KIND, 1, day=NOON.date()).audience == 0
        assert len(mail.outbox) == 1

    def test_looks_at_its_own_day_only(self, course: Any, learner: Any) -> None:
        factories.ContentItemFactory(course=course, published_at=datetime(2026, 3, 2, tzinfo=UTC))
        factories.ContentItemFactory(course=course, published_at=datetime(2026, 3, 2, 23, 59, 59, 999999, tzinfo=UTC))
        audiences = [dispatch.run_daily(KIND, 1, day=date(2026, 3, day), dry_run=True).audience for day in (1, 2, 3)]
        assert audiences == [0, 1, 0]
