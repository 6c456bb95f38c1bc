"""Sending a mail of the log again: to whom it is offered, what goes out, and that nobody gets two by a double click."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.core import mail
from django.test import Client
from django.utils import timezone

from courses.models import Enrollment
from email_automation import consent, words
from email_automation.models import EmailLog, EmailQueue
from email_automation.pipeline import dispatch, message, repetition, waiting
from email_automation.pipeline.repetition import LONGEST_KEY, Hindered, Hindrance, Repeated
from email_automation.services import EmailService
from tests import factories
from tests.message_factories import FACTORIES

pytestmark = pytest.mark.django_db

DAY = date(2026, 3, 2)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(factories.UserFactory(admin=True))
    return client


@pytest.fixture
def site() -> Site:
    config = factories.SiteConfigurationFactory(site=factories.platform_site(), org_filter=["edX"])
    return config.site


def sent(site: Site, label: str = "schedules.recurringnudge_day3") -> EmailLog:
    """A mail that a run of the clock has sent."""
    factory = FACTORIES[label]()
    factory.switch(site, enqueue=True, deliver=True)
    factory.due(1, day=DAY, site=site)
    assert dispatch.run_daily(message.get(label), site.pk, day=DAY).sent == 1
    return EmailLog.objects.latest("pk")


def called(**arguments: Any) -> EmailLog:
    """A mail that somebody's code has asked for."""
    person, course = factories.UserFactory(), factories.CourseFactory(title="Basket weaving")
    assert EmailService().send_email(person, "enrollment", {"custom_message": "Bring reeds."}, course, **arguments)
    return EmailLog.objects.latest("pk")


def path(row: EmailLog, last: str = "change") -> str:
    return f"/admin/email_automation/emaillog/{row.pk}/{last}/"


def form(client: Client, row: EmailLog) -> dict[str, str]:
    """What the page's form would post, once its box is ticked."""
    found = re.search(r'name="value" value="([0-9a-f]{32})"', client.get(path(row)).content.decode())
    assert found
    return {"value": found[1], "confirmed": "yes"}


def said(client: Client, row: EmailLog, data: dict[str, str]) -> str:
    """Post a form, and return what the page it leads to says."""
    page = client.post(path(row, "again"), data, follow=True)
    assert page.status_code == 200
    return " ".join(str(text) for text in page.context["messages"])


@pytest.mark.parametrize("label", sorted(FACTORIES))
def test_every_message_goes_out_once_more_as_the_same_mail(root: Client, site: Site, label: str) -> None:
    row = sent(site, label)
    data = form(root, row)
    response = root.post(path(row, "again"), data)
    new = EmailLog.objects.latest("pk")
    assert response["Location"] == path(new)
    assert (new.status, new.reason) == (words.SENT, "")
    assert new.dedupe_key == f"{row.occasion}:again:{data['value']}"
    names = ("recipient_id", "target_id", "site_id", "day", "instant", "occasion", "subject", "to_address", "priority")
    assert [getattr(new, name) for name in names] == [getattr(row, name) for name in names]
    assert (new.run_id, new.is_test) == (None, False)
    first, second = mail.outbox
    assert (first.subject, first.to) == (second.subject, second.to)
    assert first.extra_headers["Message-ID"] != second.extra_headers["Message-ID"]


class TestOnlyOnce:
    def test_a_second_click_sends_nothing_and_leads_to_the_mail(self, root: Client, site: Site) -> None:
        row = sent(site)
        data = form(root, row)
        assert "sent again" in said(root, row, data)
        new = EmailLog.objects.latest("pk")
        response = root.post(path(row, "again"), data)
        assert response["Location"] == path(new)
        assert "Nothing more was sent" in said(root, row, data)
        assert len(mail.outbox) == 2

    def test_two_people_who_look_at_the_same_page_send_one(self, root: Client, site: Site) -> None:
        row, other = sent(site), Client()
        other.force_login(factories.UserFactory(admin=True))
        forms = form(root, row), form(other, row)
        assert "sent again" in said(root, row, forms[0])
        assert "Nothing more was sent" in said(other, row, forms[1])
        assert len(mail.outbox) == 2

    def test_the_row_of_the_new_mail_is_no_second_way(self, root: Client, site: Site) -> None:
        row = sent(site)
        root.post(path(row, "again"), form(root, row))
        new = EmailLog.objects.latest("pk")
        assert form(root, row) == form(root, new)

    def test_whoever_loses_the_race_for_the_key_is_shown_the_winner(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = sent(site)
        value = repetition.one_time_value(row)
        claim = repetition._claim

        def overtaken(*args: Any) -> Any:
            assert claim(*args) is not None
            return claim(*args)

        monkeypatch.setattr(repetition, "_claim", overtaken)
        with pytest.raises(Repeated) as caught:
            repetition.send_again(row, value)
        assert caught.value.row == EmailLog.objects.latest("pk")
        assert EmailLog.objects.count() == 2

    def test_a_mail_on_its_way_is_waited_for(self, root: Client, site: Site) -> None:
        row = sent(site)
        repetition._claim(message.get(row.email_type), row, repetition.one_time_value(row))
        assert waiting.due_ids(9) == []
        page = root.get(path(row)).content.decode()
        assert "still on its way" in page
        assert 'name="value"' not in page
        with pytest.raises(Hindered) as caught:
            repetition.send_again(row, repetition.one_time_value(row))
        assert caught.value.hindrance is Hindrance.NOT_ENDED

    def test_it_can_be_sent_a_third_time_on_purpose(self, root: Client, site: Site) -> None:
        row = sent(site)
        for _ in range(2):
            assert "sent again" in said(root, row, form(root, row))
        assert len(mail.outbox) == 3
        assert "There is a newer mail of this occasion" in root.get(path(row)).content.decode()

    def test_its_key_fits_whatever_the_occasions_length(self, root: Client) -> None:
        row = called(dedupe_key="k" * LONGEST_KEY)
        assert "sent again" in said(root, row, form(root, row))
        key = EmailLog.objects.latest("pk").dedupe_key
        assert key is not None
        assert len(key) == LONGEST_KEY


class TestWhatIsAsked:
    def test_consent_withdrawn_since_skips_it_and_says_why(self, root: Client, site: Site) -> None:
        row = sent(site)
        consent.opt_out(row.recipient_id, "reminder", source="one-click")
        text = said(root, row, form(root, row))
        assert "skipped: opted_out:reminder The person wants no mail of this kind." in text
        assert len(mail.outbox) == 1
        consent.set_preferences(row.recipient_id, {"reminder_emails": True}, source="preference page")
        assert "sent again" in said(root, row, form(root, row))

    def test_a_condition_that_fails_by_now_skips_it_and_says_which(self, root: Client, site: Site) -> None:
        row = sent(site)
        Enrollment.objects.update(is_active=False)
        assert "active_enrollment Not true: The enrolment is active." in said(root, row, form(root, row))
        assert len(mail.outbox) == 1

    def test_a_switch_stops_it(self, root: Client, site: Site) -> None:
        row = sent(site)
        FACTORIES["schedules.recurringnudge_day3"]().switch(site, enqueue=True, deliver=False)
        assert "skipped: stopped The message is switched off." in said(root, row, form(root, row))

    def test_it_goes_to_the_address_the_account_has_now(self, root: Client, site: Site) -> None:
        row = sent(site)
        type(row.recipient).objects.update(email="new@example.com")
        assert "new@example.com" in root.get(path(row)).content.decode()
        root.post(path(row, "again"), form(root, row))
        assert EmailLog.objects.latest("pk").to_address == "new@example.com"

    def test_a_provider_that_is_away_leaves_it_for_the_sweep(self, root: Client, site: Site, settings: Any) -> None:
        row = sent(site)
        data = form(root, row)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_PORT = 9
        assert "another attempt follows" in said(root, row, data)
        new = EmailLog.objects.latest("pk")
        assert new.status == words.PENDING
        assert new.expires_at > timezone.now() + timedelta(hours=23)


class TestCalls:
    def test_it_is_made_of_a_copy_of_the_call(self, root: Client) -> None:
        row = called()
        assert "sent again" in said(root, row, form(root, row))
        new = EmailLog.objects.latest("pk")
        first, second = row.queued, new.queued
        assert (second.is_processed, second.dedupe_key, second.context_data) == (True, None, first.context_data)
        assert (new.target_id, new.occasion) == (None, row.occasion)
        assert [mail.body.count("Bring reeds.") for mail in mail.outbox] == [1, 1]

    def test_without_the_call_there_is_nothing_to_make_it_of(self, root: Client) -> None:
        row = called()
        EmailQueue.objects.all().delete()
        page = root.get(path(row)).content.decode()
        assert "is not kept any more" in page
        assert 'name="value"' not in page
        assert "is not kept any more" in said(root, row, {"value": "0" * 32, "confirmed": "yes"})
        assert len(mail.outbox) == 1


class TestOffer:
    @pytest.mark.parametrize(
        ("change", "words_on_page"),
        [
            ({"is_test": True}, "This is a test mail"),
            ({"status": words.PENDING}, "still on its way"),
            ({"status": words.SENDING}, "still on its way"),
            ({"email_type": "long_gone"}, "No app declares this message"),
        ],
    )
    def test_it_is_not_offered(self, root: Client, site: Site, change: dict[str, Any], words_on_page: str) -> None:
        row = sent(site)
        value = repetition.one_time_value(row).hex
        EmailLog.objects.update(**change)
        page = root.get(path(row)).content.decode()
        assert words_on_page in page
        assert 'name="value"' not in page
        assert words_on_page in said(root, row, {"value": value, "confirmed": "yes"})
        assert EmailLog.objects.count() == len(mail.outbox) == 1

    @pytest.mark.parametrize(
        "data", [{}, {"confirmed": "yes"}, {"confirmed": "yes", "value": "x"}, {"confirmed": "no", "value": "ok"}]
    )
    def test_half_a_form_sends_nothing(self, root: Client, site: Site, data: dict[str, str]) -> None:
        row = sent(site)
        if data.get("value") == "ok":
            data["value"] = form(root, row)["value"]
        assert "Nothing was sent" in said(root, row, data)
        assert len(mail.outbox) == 1

    def test_it_takes_the_permission_and_a_post(self, root: Client, site: Site) -> None:
        row = sent(site)
        data = form(root, row)
        assert root.get(path(row, "again")).status_code == 405
        for names, shown in ((["view_emaillog"], 200), (["resend_email"], 403)):
            agent = Client()
            user = factories.UserFactory(is_staff=True)
            user.user_permissions.set(Permission.objects.filter(codename__in=names))
            agent.force_login(user)
            page = agent.get(path(row))
            assert page.status_code == shown
            assert "email-again" not in re.sub(r"<style>.*?</style>", "", page.content.decode(), flags=re.DOTALL)
            assert agent.post(path(row, "again"), data).status_code == 403
        assert len(mail.outbox) == 1

    def test_a_form_of_another_site_is_refused(self, site: Site) -> None:
        row, agent = sent(site), Client(enforce_csrf_checks=True)
        agent.force_login(factories.UserFactory(admin=True))
        assert agent.post(path(row, "again"), form(agent, row)).status_code == 403
        assert len(mail.outbox) == 1

    def test_the_rows_history_says_who_did_it(self, root: Client, site: Site) -> None:
        row = sent(site)
        root.post(path(row, "again"), form(root, row))
        (entry,) = LogEntry.objects.all()
        new = EmailLog.objects.latest("pk")
        assert (entry.object_id, entry.change_message) == (str(row.pk), f"Sent again as row {new.pk}: sent.")
        assert entry.change_message in root.get(path(row, "history")).content.decode()


def test_a_row_leads_to_what_it_is_about(root: Client) -> None:
    payment = factories.PaymentFactory(is_successful=True)
    place = factories.EnrollmentFactory(user=payment.user, course=payment.course)
    assert EmailService().send_email(payment.user, "payment_confirmation", enrollment=place, payment=payment)
    row = EmailLog.objects.latest("pk")
    page = root.get(path(row)).content.decode()
    for address in (
        f"/admin/courses/enrollment/{place.pk}/change/",
        f"/admin/courses/payment/{payment.pk}/change/",
        f"/admin/email_automation/emailqueue/{row.queued.pk}/change/",
    ):
        assert f'href="{address}' in page
