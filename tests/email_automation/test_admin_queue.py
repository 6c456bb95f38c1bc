"""The outbox table in the admin: finding an entry, sending it at once, withdrawing it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.core import mail
from django.test import Client
from django.utils import timezone

from email_automation import announcements, words
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import entries, outbox, wake
from email_automation.services import EmailService
from tests import factories

pytestmark = pytest.mark.django_db

QUEUE = "/admin/email_automation/emailqueue/"


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(factories.UserFactory(admin=True))
    return client


def later(**fields: Any) -> EmailQueue:
    """An enrolment mail that waits for tomorrow."""
    person = fields.pop("recipient", None) or factories.UserFactory()
    entry = EmailService().queue_email(
        person, "enrollment", timezone.now() + timedelta(days=1), {"course": factories.CourseFactory()}
    )
    EmailQueue.objects.filter(pk=entry.pk).update(**fields)
    entry.refresh_from_db()
    return entry


def act(client: Client, action: str, *entries: EmailQueue, **more: str) -> Any:
    data = {"action": action, "index": "0", "_selected_action": [str(entry.pk) for entry in entries], **more}
    return client.post(QUEUE, data, follow=True)


def said(page: Any) -> str:
    return " ".join(str(text) for text in page.context["messages"])


def staff(*permissions: str) -> Client:
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="email_automation", codename__in=permissions)
    )
    client = Client()
    client.force_login(user)
    return client


class TestSendNow:
    def test_what_waits_is_sent_at_once_and_its_history_says_who_did_it(self, root: Client) -> None:
        chosen, other = later(), later()
        assert "1 entry was due at once" in said(act(root, "send_now", chosen))
        chosen.refresh_from_db()
        other.refresh_from_db()
        assert (chosen.is_processed, other.is_processed) == (True, False)
        assert EmailLog.objects.get(queued=chosen).status == words.SENT
        assert len(mail.outbox) == 1
        assert [entry.object_id for entry in LogEntry.objects.all()] == [str(chosen.pk)]

    def test_what_was_claimed_already_is_left_alone(self, root: Client) -> None:
        entry = later()
        act(root, "send_now", entry)
        assert "None of these entries is waiting" in said(act(root, "send_now", entry))
        assert len(mail.outbox) == 1

    def test_an_entry_that_is_due_keeps_its_instant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # Mails that were claimed of it before a process died have the instant in their keys.
        due = timezone.now() - timedelta(minutes=5)
        entry = later(scheduled_at=due)
        monkeypatch.setattr(outbox, "process", lambda ids: None)
        assert outbox.hasten([entry.pk]) == 1
        entry.refresh_from_db()
        assert entry.scheduled_at == due

    def test_with_a_broker_it_is_left_to_the_workers(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.CELERY_BROKER_URL = "redis://broker.invalid"
        entry, woken = later(), []
        monkeypatch.setattr(wake, "send", lambda task, ids, queue: woken.append((task, list(ids), queue)))
        assert outbox.hasten([entry.pk]) == 1
        assert woken == [(wake.OUTBOX_TASK, [entry.pk], words.TRANSACTIONAL_QUEUE)]

    def test_an_announcement_goes_to_everybody_it_concerns(self, root: Client) -> None:
        place = factories.EnrollmentFactory()
        announcements.announce([factories.ContentItemFactory(course=place.course)])
        (entry,) = EmailQueue.objects.all()
        assert mail.outbox == []
        act(root, "send_now", entry)
        assert [letter.to for letter in mail.outbox] == [[place.user.email]]

    def test_an_entry_of_a_message_that_no_app_declares_stays(self, root: Client) -> None:
        entry = later(email_type="long_gone")
        assert "None of these entries" in said(act(root, "send_now", entry))
        assert root.get(f"{QUEUE}{entry.pk}/change/").status_code == 200


class TestWithdraw:
    def test_it_is_asked_first_and_then_the_entry_is_gone(self, root: Client) -> None:
        chosen, other = later(), later()
        page = act(root, "withdraw", chosen)
        assert "Withdraw these entries?" in page.content.decode()
        assert EmailQueue.objects.count() == 2
        assert "1 entry was withdrawn" in said(act(root, "withdraw", chosen, confirmed="yes"))
        assert list(EmailQueue.objects.all()) == [other]
        assert [entry.object_id for entry in LogEntry.objects.all()] == [str(chosen.pk)]

    def test_what_was_claimed_stays_with_its_mail(self, root: Client) -> None:
        entry = later()
        act(root, "send_now", entry)
        assert "None of these entries" in said(act(root, "withdraw", entry, confirmed="yes"))
        assert EmailQueue.objects.get() == entry

    def test_an_entry_that_is_claimed_while_somebody_reads_the_question_stays(self, root: Client) -> None:
        entry = later()
        act(root, "withdraw", entry)
        outbox.hasten([entry.pk])
        act(root, "withdraw", entry, confirmed="yes")
        assert EmailQueue.objects.get().log is not None

    def test_a_withdrawn_fact_can_be_told_again(self) -> None:
        entry = later(dedupe_key="enrollment:7")
        assert entries.withdraw([entry.pk]) == [entry.pk]
        again = later(dedupe_key="enrollment:7")
        assert entries.occasion_of(again) == "enrollment:7"


class TestPermissions:
    def test_each_action_takes_a_permission_of_its_own(self) -> None:
        entry = later()
        viewer = staff("view_emailqueue")
        assert 'name="action"' not in viewer.get(QUEUE).content.decode()
        for action in ("send_now", "withdraw", "delete_selected"):
            act(viewer, action, entry, confirmed="yes", post="yes")
        entry.refresh_from_db()
        assert not entry.is_processed
        sender = staff("view_emailqueue", "change_emailqueue")
        page = sender.get(QUEUE).content.decode()
        assert 'value="send_now"' in page
        assert 'value="withdraw"' not in page
        act(sender, "withdraw", entry, confirmed="yes")
        assert EmailQueue.objects.exists()
        act(sender, "send_now", entry)
        assert len(mail.outbox) == 1

    def test_nothing_else_can_be_changed_by_anybody(self, root: Client) -> None:
        entry = later()
        page = root.get(f"{QUEUE}{entry.pk}/change/").content.decode()
        assert 'name="_save"' not in page
        for last in ("change", "delete"):
            assert root.post(f"{QUEUE}{entry.pk}/{last}/", {"post": "yes"}).status_code == 403
        assert root.post(f"{QUEUE}add/", {}).status_code == 403
        act(root, "delete_selected", entry, post="yes")
        assert EmailQueue.objects.exists()

    def test_a_request_for_everything_is_one_page_of_it(self, root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        entries = [later() for _ in range(3)]
        monkeypatch.setattr("email_automation.admin.queue.EmailQueueAdmin.list_per_page", 2)
        act(root, "withdraw", entries[0], select_across="1", confirmed="yes")
        assert EmailQueue.objects.count() == 1


class TestList:
    def found(self, root: Client, **query: str) -> set[int]:
        return {row.pk for row in root.get(QUEUE, query).context["cl"].result_list}

    def test_search_finds_a_person_or_an_entry_and_nothing_similar(self, root: Client) -> None:
        ann, joann = factories.UserFactory(username="ann"), factories.UserFactory(username="joann")
        hers, other = later(recipient=ann), later(recipient=joann)
        far = EmailQueue.objects.create(pk=10_000, recipient=joann, email_type="enrollment", site=other.site)
        for term in ("ann", "ann@example.com", str(ann.pk)):
            assert hers.pk in self.found(root, q=term), term
        assert self.found(root, q="10000") == {far.pk}
        assert self.found(root, q="an") == set()
        assert self.found(root, q="9" * 40) == set()

    def test_filters_find_by_state_message_and_priority(self, root: Client) -> None:
        waiting = later(priority=words.LOW)
        done = later(is_processed=True, email_type="payment_confirmation")
        assert self.found(root, processed="no") == {waiting.pk}
        assert self.found(root, processed="yes") == {done.pk}
        assert self.found(root, email_type="payment_confirmation") == {done.pk}
        assert self.found(root, priority=str(words.LOW)) == {waiting.pk}
        assert self.found(root, priority="x") == set()

    def test_it_is_paged_by_id_and_says_who_an_announcement_is_for(self, root: Client) -> None:
        site = Site.objects.get_current()
        rows = EmailQueue.objects.bulk_create(
            EmailQueue(email_type="new_content", target_id=1, site=site) for _ in range(60)
        )
        page = root.get(QUEUE)
        assert "everybody concerned" in page.content.decode()
        older = root.get(QUEUE + page.context["cl"].older_url)
        shown = [row.pk for answer in (page, older) for row in answer.context["cl"].result_list]
        assert shown == sorted((row.pk for row in rows), reverse=True)

    def test_a_row_shows_what_the_caller_handed_over_escaped(self, root: Client) -> None:
        entry = later()
        EmailQueue.objects.update(context_data={"note": "<script>é"})
        page = root.get(f"{QUEUE}{entry.pk}/change/").content.decode()
        assert "&quot;note&quot;: &quot;&lt;script&gt;é&quot;" in page

    def test_an_entry_leads_to_its_mail(self, root: Client) -> None:
        entry = later()
        act(root, "send_now", entry)
        address = f'href="/admin/email_automation/emaillog/{EmailLog.objects.get().pk}/change/"'
        assert address in root.get(QUEUE).content.decode()
        assert address in root.get(f"{QUEUE}{entry.pk}/change/").content.decode()
