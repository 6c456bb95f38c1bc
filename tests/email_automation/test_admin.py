"""The engine's admin pages and the outbox: who may see them, what they say, and how many queries they take."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from email_automation import consent, words
from email_automation.models import CourseOptOut, EmailLog, EmailPreference, MessageRun, pack_content
from email_automation.pipeline import ledger
from tests import factories

pytestmark = pytest.mark.django_db

LOG = "/admin/email_automation/emaillog/"
HTML = '<!DOCTYPE html><html lang="en"><body><p>Dear Ada</p><script>alert(1)</script></body></html>'


def log_row(**fields: Any) -> EmailLog:
    now = timezone.now()
    user = fields.pop("recipient", None) or factories.UserFactory()
    content = fields.pop(
        "content", {"subject": "Hi", "html": HTML, "text": "Dear <Ada>", "headers": {"List-Id": "<x>"}}
    )
    return EmailLog.objects.create(
        **{
            "recipient": user,
            "email_type": "recurringnudge_day3",
            "to_address": user.email,
            "target_id": user.pk,
            "category": "reminder",
            "subject": "Keep <going>",
            "status": words.SENT,
            "site": Site.objects.get_current(),
            "day": now.date(),
            "instant": now,
            "expires_at": now + timedelta(days=1),
            "content": pack_content(content) if content else None,
        }
        | fields
    )


def run_record(**fields: Any) -> MessageRun:
    defaults = {"message": "schedules.recurringnudge_day3", "site": Site.objects.get_current(), "slot": "2017-08-01"}
    return MessageRun.objects.create(**defaults | fields)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(factories.UserFactory(admin=True))
    return client


def staff(*permissions: str) -> Client:
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="email_automation", codename__in=permissions)
    )
    client = Client()
    client.force_login(user)
    return client


class TestPermissions:
    def test_a_learner_with_mails_can_still_be_deleted(self, root: Client) -> None:
        row = log_row()
        page = root.get(f"/admin/accounts/user/{row.recipient_id}/delete/").content.decode()
        assert "account doesn’t have permission" not in page
        root.post(f"/admin/accounts/user/{row.recipient_id}/delete/", {"post": "yes"})
        assert not EmailLog.objects.exists()

    def test_who_has_the_permission_sees_the_explanation_and_no_more(self) -> None:
        explainer = staff("explain_email")
        assert explainer.get(f"{LOG}explain/").status_code == 200
        assert explainer.get(LOG).status_code == 403


class TestLogList:
    def test_case_021_its_first_page_is_few_queries_whatever_its_length_and_counts_nothing(self, root: Client) -> None:
        counts = {}
        for number in (1, 50, 60):
            EmailLog.objects.all().delete()
            for index in range(number):
                log_row(run=run_record(slot=f"{number}-{index}"), course=factories.CourseFactory())
            root.get(LOG)
            with CaptureQueriesContext(connection) as queries:
                assert root.get(LOG).status_code == 200
            assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
            assert not [query["sql"] for query in queries if '"content"' in query["sql"]]
            counts[number] = len(queries)
        assert counts[1] == counts[50] == counts[60] <= 12

    @pytest.mark.parametrize(
        "query", ["?q=7", "?status=sent", "?day=2017-08-01", "?email_type=x", "?_facets=True", "?all="]
    )
    def test_nothing_on_it_counts_the_table(self, root: Client, query: str) -> None:
        for _ in range(3):
            log_row()
        with CaptureQueriesContext(connection) as queries:
            assert root.get(LOG + query).status_code == 200
        assert not [entry["sql"] for entry in queries if "COUNT(" in entry["sql"].upper()]

    def test_it_is_paged_by_id_newest_first(self, root: Client) -> None:
        rows = [log_row() for _ in range(120)]
        seen: list[int] = []
        url = LOG
        for _ in range(3):
            page = root.get(url)
            cl = page.context["cl"]
            seen += [row.pk for row in cl.result_list]
            url = LOG + cl.older_url
        assert seen == [row.pk for row in reversed(rows)]
        assert cl.older_url == ""
        assert cl.newest_url == "?"

    def test_pages_keep_the_filter_and_filters_leave_the_page(self, root: Client) -> None:
        for _ in range(51):
            log_row(status=words.FAILED)
            log_row()
        page = root.get(f"{LOG}?status=failed")
        assert "status=failed" in page.context["cl"].older_url
        older = root.get(LOG + page.context["cl"].older_url)
        assert len(older.context["cl"].result_list) == 1
        assert "before=" not in older.context["cl"].get_query_string({"status": "sent"})

    @pytest.mark.parametrize("before", ["x", "-1", "1.5", "٣"])
    def test_a_page_that_does_not_exist_leads_back(self, root: Client, before: str) -> None:
        response = root.get(LOG, {"before": before})
        assert (response.status_code, response["Location"]) == (302, f"{LOG}?e=1")

    def test_an_id_beyond_all_numbers_is_harmless(self, root: Client) -> None:
        log_row()
        assert root.get(f"{LOG}?before={'9' * 40}").status_code == 200
        assert root.get(f"{LOG}?q={'9' * 40}").status_code == 200

    def found(self, root: Client, query: str) -> set[int]:
        return {row.pk for row in root.get(LOG + query).context["cl"].result_list}

    def test_search_finds_an_exact_address_or_id_and_nothing_similar(self, root: Client) -> None:
        row, other = log_row(to_address="ann@example.com"), log_row(to_address="joann@example.com")
        assert self.found(root, "?q=ann@example.com") == {row.pk}
        assert self.found(root, "?q=ANN@example.com") == {row.pk}
        assert self.found(root, "?q=ann") == set()
        assert self.found(root, f"?q={other.pk}") == {other.pk}

    def test_filters_find_by_status_message_and_utc_day(self, root: Client) -> None:
        edge = datetime(2017, 8, 1, 23, 59, 59, tzinfo=UTC)
        failed = log_row(status=words.FAILED, created_at=edge)
        later = log_row(created_at=edge + timedelta(seconds=1), email_type="recurringnudge_day10")
        assert self.found(root, "?status=failed") == {failed.pk}
        assert self.found(root, "?email_type=recurringnudge_day10") == {later.pk}
        assert self.found(root, "?day=2017-08-01") == {failed.pk}
        assert self.found(root, "?day=2017-08-02") == {later.pk}
        assert self.found(root, "?day=nonsense") == set()

    def test_a_message_that_no_app_declares_any_more_is_shown_by_its_name(self, root: Client) -> None:
        row = log_row(email_type="long_gone")
        assert "long_gone" in root.get(LOG).content.decode()
        assert root.get(f"{LOG}{row.pk}/change/").status_code == 200
        assert root.get(f"/email/outbox/{row.pk}/").status_code == 200


class TestLogRow:
    def test_it_shows_the_mail_in_a_frame_its_text_and_headers_escaped(self, root: Client) -> None:
        row = log_row()
        page = root.get(f"{LOG}{row.pk}/change/").content.decode()
        assert re.search(rf'<iframe sandbox [^>]*src="/email/outbox/{row.pk}/html/"', page)
        assert "Dear &lt;Ada&gt;" in page
        assert "List-Id" in page
        assert "alert(1)" not in page
        assert f"{LOG}explain/?message=schedules.recurringnudge_day3&amp;user={row.recipient.get_username()}" in page
        assert 'name="_save"' not in page

    def test_it_says_when_the_content_is_not_kept(self, root: Client) -> None:
        page = root.get(f"{LOG}{log_row(content=None).pk}/change/").content.decode()
        assert "not kept" in page
        assert "<iframe" not in page


class TestPreferences:
    def form(self, root: Client, row: EmailPreference) -> dict[str, str]:
        """What a browser would post of the page as it stands."""
        page = root.get(self.url(row)).content.decode()
        fields = re.findall(r"<input type=\"(\w+)\" name=\"([^\"]+)\"([^>]*)>", page)
        form = {}
        for kind, name, rest in fields:
            if kind == "checkbox" and "checked" not in rest:
                continue
            value = re.search(r'value="([^"]*)"', rest)
            form[name] = value[1] if value else "on"
        form.pop("csrfmiddlewaretoken", None)
        return {name: value for name, value in form.items() if not name.startswith("_")}

    def url(self, row: EmailPreference) -> str:
        return f"/admin/email_automation/emailpreference/{row.pk}/change/"

    def test_a_change_takes_effect_with_source_admin(self, root: Client) -> None:
        row = EmailPreference.objects.create(user=factories.UserFactory())
        waiting = log_row(recipient=row.user, status=words.PENDING, dedupe_key="k")
        form = self.form(root, row)
        assert form.pop("reminder_emails")
        assert root.post(self.url(row), form).status_code == 302
        row.refresh_from_db()
        waiting.refresh_from_db()
        assert (row.reminder_emails, row.goal_emails) == (False, True)
        assert (waiting.status, waiting.reason) == ("skipped", "opted_out:reminder")
        newest = EmailPreference.history.latest("history_id")
        assert (newest.history_change_reason, newest.history_user_id) == ("admin", int(root.session["_auth_user_id"]))

    def test_what_the_person_changed_meanwhile_stays(self, root: Client) -> None:
        row = EmailPreference.objects.create(user=factories.UserFactory())
        form = self.form(root, row)
        form.pop("goal_emails")
        consent.opt_out(row.user_id, "reminder", source="one-click")
        root.post(self.url(row), form)
        row.refresh_from_db()
        assert (row.goal_emails, row.reminder_emails) == (False, False)

    def test_a_suppression_can_be_cleared_and_shows_only_where_there_is_one(self, root: Client) -> None:
        row = EmailPreference.objects.create(user=factories.UserFactory())
        assert "clear_suppression" not in root.get(self.url(row)).content.decode()
        EmailPreference.objects.filter(pk=row.pk).update(suppressed_at=timezone.now(), suppression_reason="hard_bounce")
        form = self.form(root, row)
        root.post(self.url(row), form)
        row.refresh_from_db()
        assert row.suppression_reason == "hard_bounce"
        root.post(self.url(row), form | {"clear_suppression": "on"})
        row.refresh_from_db()
        assert (row.suppressed_at, row.suppression_reason) == (None, "")
        assert EmailPreference.history.latest("history_id").history_change_reason == "admin"

    def test_a_row_can_be_made(self, root: Client) -> None:
        user = factories.UserFactory()
        root.post("/admin/email_automation/emailpreference/add/", {"user": user.pk, "is_subscribed": "on"})
        row = EmailPreference.objects.get()
        assert (row.user_id, row.is_subscribed, row.reminder_emails) == (user.pk, True, False)

    def test_the_history_shows_the_source_and_brings_nothing_back(self, root: Client) -> None:
        user = factories.UserFactory()
        consent.opt_out(user.pk, "goal", source="one-click")
        consent.opt_out(user.pk, "reminder", source="preference page")
        row = EmailPreference.objects.get()
        url = f"/admin/email_automation/emailpreference/{row.pk}/history/"
        page = root.get(url).content.decode()
        assert "one-click" in page
        oldest = EmailPreference.history.earliest("history_id")
        assert root.post(f"{url}{oldest.pk}/", {"reminder_emails": "on"}).status_code == 403
        assert not EmailPreference.of(user.pk).reminder_emails

    def test_search_finds_one_person(self, root: Client) -> None:
        row = EmailPreference.objects.create(user=factories.UserFactory(username="ann"))
        EmailPreference.objects.create(user=factories.UserFactory(username="joann"))
        for term in ("ann", "ann@example.com", str(row.user_id)):
            page = root.get("/admin/email_automation/emailpreference/", {"q": term})
            assert [found.pk for found in page.context["cl"].result_list] == [row.pk]


@pytest.mark.parametrize("name", ["emailpreference", "courseoptout", "messagerun"])
def test_the_other_lists_take_constant_queries_and_count_nothing(root: Client, name: str) -> None:
    counts = {}
    for number in (1, 50):
        for index in range(number):
            user = factories.UserFactory()
            EmailPreference.objects.create(user=user)
            CourseOptOut.objects.create(user=user, course=factories.CourseFactory())
            run_record(slot=f"{number}-{index}", skipped={"unsubscribed": 2})
        root.get(f"/admin/email_automation/{name}/")
        with CaptureQueriesContext(connection) as queries:
            assert root.get(f"/admin/email_automation/{name}/").status_code == 200
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
        counts[number] = len(queries)
    assert counts[1] == counts[50] <= 12


def test_runs_are_found_by_message_day_and_status(root: Client) -> None:
    run, other = run_record(skipped={"unsubscribed": 2}), run_record(slot="2017-08-02", status=MessageRun.DONE)

    def found(query: str) -> set[int]:
        page = root.get(f"/admin/email_automation/messagerun/{query}")
        return {row.pk for row in page.context["cl"].result_list}

    assert found("?q=2017-08-01") == {run.pk}
    assert found("?q=schedules.recurringnudge_day3") == {run.pk, other.pk}
    assert found("?status=done") == {other.pk}
    assert "unsubscribed 2" in root.get("/admin/email_automation/messagerun/").content.decode()


def test_a_course_opt_out_made_in_the_admin_puts_leased_rows_back(root: Client) -> None:
    row = log_row(status=words.PENDING, next_attempt_at=timezone.now() - timedelta(seconds=1))
    (leased,) = ledger.lease([row.pk])
    form = {"user": row.recipient_id, "course": factories.CourseFactory().pk}
    assert root.post("/admin/email_automation/courseoptout/add/", form).status_code == 302
    row.refresh_from_db()
    assert row.claim_token != leased.claim_token
    for term in (row.recipient.username, CourseOptOut.objects.get().course.key):
        page = root.get("/admin/email_automation/courseoptout/", {"q": term})
        assert len(page.context["cl"].result_list) == 1


class TestOutbox:
    def test_it_is_for_who_may_see_the_log(self) -> None:
        row = log_row()
        urls = ["/email/outbox/", f"/email/outbox/{row.pk}/", f"/email/outbox/{row.pk}/html/"]
        learner = Client()
        learner.force_login(factories.UserFactory())
        for url in urls:
            assert "/login/" in Client().get(url)["Location"]
            assert learner.get(url).status_code == 404
            assert staff().get(url).status_code == 404
            assert staff("view_emaillog").get(url).status_code == 200
            assert staff("view_emaillog").post(url).status_code == 405

    def test_a_permission_without_the_staff_flag_is_not_enough(self) -> None:
        user = factories.UserFactory()
        user.user_permissions.set(Permission.objects.filter(codename="view_emaillog"))
        client = Client()
        client.force_login(user)
        assert client.get("/email/outbox/").status_code == 404

    @override_settings(DEBUG=True)
    def test_anybody_sees_it_while_developing(self) -> None:
        assert Client().get("/email/outbox/").status_code == 200

    def test_it_shows_one_mail_with_its_ways_on(self, root: Client) -> None:
        row = log_row(reason="", status=words.SENT, sent_at=timezone.now())
        page = root.get(f"/email/outbox/{row.pk}/").content.decode()
        assert "Keep &lt;going&gt;" in page
        assert "Dear &lt;Ada&gt;" in page
        assert f'href="{LOG}{row.pk}/change/"' in page
        assert f"{LOG}explain/?" in page
        assert f'<iframe class="frame" sandbox src="/email/outbox/{row.pk}/html/"' in page
        assert "✓ sent" in page

    def test_the_frame_can_run_and_fetch_nothing(self, root: Client) -> None:
        response = root.get(f"/email/outbox/{log_row().pk}/html/")
        policy = response["Content-Security-Policy"]
        assert "sandbox;" in policy
        assert "default-src 'none'" in policy
        assert "allow-" not in policy
        assert "https:" not in policy
        assert response["X-Frame-Options"] == "SAMEORIGIN"
        assert response.content.decode() == HTML

    def test_it_says_when_the_content_is_not_kept(self, root: Client) -> None:
        row = log_row(content=None, status=words.FAILED, reason="refused")
        page = root.get(f"/email/outbox/{row.pk}/").content.decode()
        assert "is not kept" in page
        assert "✗ failed (refused)" in page
        assert root.get(f"/email/outbox/{row.pk}/html/").status_code == 404

    def test_it_is_paged_by_id_newest_first_in_constant_queries(self, root: Client) -> None:
        def ids(html: str) -> list[int]:
            return [int(found) for found in re.findall(r'href="/email/outbox/(\d+)/"', html)]

        rows = [log_row()]
        root.get("/email/outbox/")
        with CaptureQueriesContext(connection) as one:
            root.get("/email/outbox/")
        rows += [log_row() for _ in range(60)]
        with CaptureQueriesContext(connection) as many:
            first = root.get("/email/outbox/").content.decode()
        assert len(one) == len(many)
        older = re.search(r'href="(\?before=\d+)"', first)
        assert older
        second = root.get(f"/email/outbox/{older[1]}").content.decode()
        assert ids(first) + ids(second) == [row.pk for row in reversed(rows)]
        assert 'rel="next"' not in second

    @pytest.mark.parametrize("before", ["x", "-1", "9" * 40, ""])
    def test_a_strange_page_is_harmless(self, root: Client, before: str) -> None:
        log_row()
        assert root.get("/email/outbox/", {"before": before}).status_code == 200

    def test_a_mail_that_is_not_there_is_not_found(self, root: Client) -> None:
        assert root.get("/email/outbox/999999/").status_code == 404
        assert root.get(f"/email/outbox/{'9' * 30}/").status_code == 404
