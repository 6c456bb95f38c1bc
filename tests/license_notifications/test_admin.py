"""The admin pages of licences …"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from license_notifications.models import (
    THRESHOLD_75,
    THRESHOLD_100,
    WEEKLY,
    CustomerAgreement,
    EnterpriseAdmin,
    License,
    NotificationTimestamp,
    SubscriptionPlan,
)
from tests.factories import (
    CustomerAgreementFactory,
    EnterpriseAdminFactory,
    LicenseFactory,
    NotificationRunFactory,
    NotificationTimestampFactory,
    SubscriptionPlanFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def list_of(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def shown(client: Client, model: Any, query: str = "") -> list[Any]:
    """Return the rows on a page of a list."""
    response = client.get(list_of(model) + query)
    assert response.status_code == 200, response
    return list(response.context["cl"].result_list)


def cells(client: Client, model: Any, column: str) -> list[str]:
    """Return the texts of one column."""
    html = client.get(list_of(model)).content.decode()
    pieces = html.split(f'class="field-{column}')[1:]
    return [piece.partition(">")[2].partition("</td>")[0] for piece in pieces]


class TestPlans:
    """… show how far plans are used up."""

    def test_with_the_numbers_of_their_licences(self, root: Client) -> None:
        SubscriptionPlanFactory(licenses={"activated": 2, "assigned": 1, "unassigned": 1, "revoked": 5})
        columns = {name: cells(root, SubscriptionPlan, name) for name in ("total", "allocated", "percentage")}
        assert columns == {"total": ["4"], "allocated": ["3"], "percentage": ["75 %"]}

    def test_and_which_one_decides_today(self, root: Client) -> None:
        agreement, now = CustomerAgreementFactory(), timezone.now()
        first, _later, _ended, _off = (
            SubscriptionPlanFactory(customer_agreement=agreement, expiration_date=now + days * DAY, is_active=active)
            for days, active in ((10, True), (20, True), (-1, True), (5, False))
        )
        rows = shown(root, SubscriptionPlan)
        assert [row.pk for row in rows if row.looked_up[1]] == [first.pk]
        assert "decides today" in root.get(page_of(first)).content.decode().lower()

    @pytest.mark.parametrize("by", ["uuid", "name", "slug", "enterprise", "agreement", "nothing"])
    def test_and_are_found_by_their_enterprise(self, root: Client, by: str) -> None:
        plan, _other = SubscriptionPlanFactory.create_batch(2)
        agreement = plan.customer_agreement
        term = {
            "uuid": plan.pk,
            "name": agreement.enterprise_customer_name,
            "slug": agreement.enterprise_customer_slug,
            "enterprise": agreement.enterprise_customer_uuid,
            "agreement": agreement.pk,
            "nothing": uuid4(),
        }[by]
        assert shown(root, SubscriptionPlan, f"?q={term}") == ([] if by == "nothing" else [plan])

    def test_and_make_the_licences_that_are_missing(self, root: Client) -> None:
        wanting = SubscriptionPlanFactory(desired_num_licenses=3, licenses={"activated": 1})
        content = SubscriptionPlanFactory(licenses={"activated": 1})
        data = {"action": "provision", "_selected_action": [wanting.pk, content.pk]}
        page = root.post(list_of(SubscriptionPlan), data, follow=True).content.decode()
        assert f"{wanting}: 2 licences were made." in page
        assert f"{content}: no licence is missing." in page
        wanting.refresh_from_db()
        assert (wanting.licenses.count(), wanting.provisioning_since) == (3, None)
        assert LogEntry.objects.get().change_message == "Made 2 licences."

    def test_but_not_too_many_while_somebody_waits(self, root: Client) -> None:
        plan = SubscriptionPlanFactory(desired_num_licenses=20_001)
        data = {"action": "provision", "_selected_action": [plan.pk]}
        assert "too many for a page" in root.post(list_of(SubscriptionPlan), data, follow=True).content.decode()
        assert not plan.licenses.exists()

    def test_and_refuse_a_plan_that_ends_before_it_starts(self, root: Client) -> None:
        form = {
            "customer_agreement": CustomerAgreementFactory().pk,
            "title": "Plan",
            "start_date_0": "2026-03-02",
            "start_date_1": "06:00:00",
            "expiration_date_0": "2026-03-02",
            "expiration_date_1": "06:00:00",
        }
        address = reverse("admin:license_notifications_subscriptionplan_add")
        page = root.post(address, form)
        assert "expiration_date: must be after start_date" in page.content.decode()
        assert root.post(address, {**form, "expiration_date_0": "2027-03-02"}).status_code == 302
        assert not SubscriptionPlan.objects.get().is_active

    def test_and_of_enterprises_by_the_beginning_of_a_name(self, root: Client) -> None:
        acme = CustomerAgreementFactory(enterprise_customer_name="Acme Ltd", enterprise_customer_slug="acme")
        CustomerAgreementFactory(enterprise_customer_name="Other")
        for term in ("Acme", "acme", acme.pk, acme.enterprise_customer_uuid):
            assert shown(root, CustomerAgreement, f"?q={term}") == [acme]

    def test_and_two_enterprises_may_be_without_slug(self, root: Client) -> None:
        for name in ("A", "B"):
            form = {"enterprise_customer_uuid": uuid4(), "enterprise_customer_name": name}
            response = root.post(reverse("admin:license_notifications_customeragreement_add"), form)
            assert response.status_code == 302
        assert CustomerAgreement.objects.filter(enterprise_customer_slug=None).count() == 2


class TestLicenses:
    """… page through any number of licences."""

    def test_by_when_they_were_made(self, root: Client) -> None:
        plan = SubscriptionPlanFactory()
        moments = [NOW - number // 3 * DAY for number in range(120)]
        License.objects.bulk_create(License(subscription_plan=plan, created=moment) for moment in moments)
        seen, query = [], ""
        for _ in range(3):
            page = root.get(list_of(License) + query)
            seen += page.context["cl"].result_list
            query = page.context["cl"].older_url
        assert query == ""
        assert len({row.pk for row in seen}) == len(seen) == 120
        assert [row.created for row in seen] == sorted(moments, reverse=True)

    @pytest.mark.parametrize("mark", ["5", "~", "2026-03-02~x", "0001-01-01T00:00:00+14:00~" + "0" * 32])
    def test_not_by_what_is_no_mark(self, root: Client, mark: str) -> None:
        assert root.get(list_of(License), {"before": mark}).status_code == 302

    def test_of_a_plan_by_status(self, root: Client) -> None:
        plan = SubscriptionPlanFactory(licenses={"activated": 2, "revoked": 1})
        LicenseFactory()
        assert len(shown(root, License, f"?plan={plan.pk}")) == 3
        assert [row.status for row in shown(root, License, f"?plan={plan.pk}&status=revoked")] == [License.REVOKED]
        # Without a plan the filter is not offered and does nothing: no index would find a rare status.
        assert len(shown(root, License, "?status=revoked")) == 4
        assert shown(root, License, f"?plan={uuid4()}") == []
        assert shown(root, License, "?plan=x") == []
        assert root.get(page_of(plan)).content.decode().count(f"?plan={plan.pk}") == 1

    def test_of_a_person(self, root: Client) -> None:
        mine = LicenseFactory(lms_user_id=7, user_email="ann@example.com")
        LicenseFactory(lms_user_id=8)
        for term in ("7", "Ann@Example.com", mine.pk):
            assert shown(root, License, f"?q={term}") == [mine]
        assert shown(root, License, f"?q={'9' * 30}") == []

    def test_and_count_none_of_them(self, root: Client) -> None:
        LicenseFactory.create_batch(3)
        with CaptureQueriesContext(connection) as queries:
            root.get(list_of(License))
        assert not [query["sql"] for query in queries if "COUNT(" in query["sql"]]


class TestAdministrators:
    """… show who is told."""

    def test_case_52_with_their_last_mails(self, root: Client) -> None:
        row = EnterpriseAdminFactory()
        link = {"enterprise_customer_uuid": row.enterprise_customer_uuid, "ecu_id": row.ecu_id}
        for kind, slot, moment in (
            (THRESHOLD_75, 0, NOW),
            (THRESHOLD_100, 0, NOW + DAY),
            (WEEKLY, 1, NOW + 2 * DAY),
            (WEEKLY, 2, NOW + 3 * DAY),
            (WEEKLY, 3, None),
        ):
            NotificationTimestampFactory(**link, kind=kind, slot=slot, last_sent_at=moment)
        NotificationTimestampFactory(ecu_id=row.ecu_id, last_sent_at=NOW + 9 * DAY)
        told = NotificationTimestamp.objects.last_mails(row.enterprise_customer_uuid, row.ecu_id)
        assert told == (NOW + DAY, NOW + 3 * DAY)
        assert cells(root, EnterpriseAdmin, "last_utilization") == ["March 3, 2026, 6 a.m."]
        assert cells(root, EnterpriseAdmin, "last_weekly") == ["March 5, 2026, 6 a.m."]
        page = root.get(page_of(row)).content.decode()
        assert "March 3, 2026, 6 a.m." in page
        assert "March 5, 2026, 6 a.m." in page

    def test_and_who_was_never_told(self, root: Client) -> None:
        EnterpriseAdminFactory()
        assert cells(root, EnterpriseAdmin, "last_weekly") == ["-"]

    def test_by_the_name_of_their_enterprise(self, root: Client) -> None:
        agreement = CustomerAgreementFactory(enterprise_customer_name="Acme")
        row = EnterpriseAdminFactory(enterprise_customer_uuid=agreement.enterprise_customer_uuid)
        other = EnterpriseAdminFactory()
        assert cells(root, EnterpriseAdmin, "enterprise") == [str(other.enterprise_customer_uuid), "Acme"]
        for term in (agreement.enterprise_customer_uuid, row.ecu_id, row.lms_user_id):
            assert row in shown(root, EnterpriseAdmin, f"?q={term}")
        assert shown(root, EnterpriseAdmin, "?q=x") == []

    def test_and_take_in_a_new_one_without_number(self, root: Client) -> None:
        form = {
            "enterprise_customer_uuid": uuid4(),
            "lms_user_id": 7,
            "user_name": "ann",
            "email": "ann@example.com",
            "account_active": "on",
            "listed": "on",
            "joined_date_0": "2026-03-02",
            "joined_date_1": "06:00:00",
        }
        address = reverse("admin:license_notifications_enterpriseadmin_add")
        assert root.post(address, form).status_code == 302
        row = EnterpriseAdmin.objects.get()
        assert (row.ecu_id, row.anchor_at, row.anchor_source) == (1, NOW, "joined")
        assert row.account is not None
        assert row.account.learner_profile.lms_user_id == 7
        # Whom a row links with what stays.
        root.post(page_of(row), {**form, "lms_user_id": 8, "user_name": "new"})
        row.refresh_from_db()
        assert (row.lms_user_id, row.user_name) == (7, "new")

    def test_whose_copy_of_the_platforms_is_not_edited(self, root: Client, settings: Any) -> None:
        row = EnterpriseAdminFactory()
        settings.LICENSE_ADMIN_DIRECTORY = "lms"
        assert root.get(reverse("admin:license_notifications_enterpriseadmin_add")).status_code == 403
        root.post(page_of(row), {"user_name": "new", "email": "new@example.com"})
        stored = EnterpriseAdmin.objects.get()
        assert (stored.user_name, stored.email, stored.listed) == (row.user_name, row.email, False)

    def test_and_never_a_way_to_change_an_account(self, root: Client) -> None:
        row = EnterpriseAdminFactory()
        assert row.account is not None
        before = type(row.account).objects.values().get(pk=row.account.pk)
        root.post(page_of(row), {"user_name": "root", "email": "evil@example.com"})
        assert type(row.account).objects.values().get(pk=row.account.pk) == before


class TestNotices:
    """… show what they were told, and send again what is in doubt."""

    def send_again(self, client: Client, *rows: NotificationTimestamp) -> Any:
        data = {"action": "send_again", "_selected_action": [row.pk for row in rows]}
        return client.post(list_of(NotificationTimestamp), data, follow=True)

    def test_by_who_may(self) -> None:
        doubtful, sent = (NotificationTimestampFactory(state=state) for state in ("unknown", "sent"))
        user = UserFactory(is_staff=True)
        client = Client()
        client.force_login(user)
        user.user_permissions.add(Permission.objects.get(codename="view_notificationtimestamp"))
        self.send_again(client, doubtful)
        doubtful.refresh_from_db()
        assert doubtful.state == "unknown"
        user.user_permissions.add(Permission.objects.get(codename="send_again"))
        page = self.send_again(client, doubtful, sent).content.decode()
        assert "1 notice goes out again in the next run" in page
        for row, state in ((doubtful, "failed"), (sent, "sent")):
            row.refresh_from_db()
            assert row.state == state
        entry = LogEntry.objects.get()
        assert (entry.user, entry.object_id) == (user, str(doubtful.pk))
        assert entry.change_message == "To be sent again: from unknown to failed."
        # A second click changes nothing and is not logged.
        assert "None of these is in doubt" in self.send_again(client, doubtful).content.decode()
        assert LogEntry.objects.count() == 1

    def test_by_post_alone(self, root: Client) -> None:
        row = NotificationTimestampFactory(state="unknown")
        root.get(list_of(NotificationTimestamp), {"action": "send_again", "_selected_action": row.pk})
        row.refresh_from_db()
        assert row.state == "unknown"

    def test_and_nothing_else_is_changed(self, root: Client) -> None:
        row = NotificationTimestampFactory(state="unknown")
        assert root.post(page_of(row), {"state": "sent"}).status_code == 403
        page = root.get(list_of(NotificationTimestamp)).content.decode()
        assert "delete_selected" not in page

    def test_by_state_kind_and_link(self, root: Client) -> None:
        row = NotificationTimestampFactory(state="unknown", kind=WEEKLY)
        NotificationTimestampFactory()
        for query in (
            "?state=unknown",
            "?kind=weekly",
            f"?q={row.ecu_id}",
            f"?q={row.enterprise_customer_uuid}",
        ):
            assert shown(root, NotificationTimestamp, query) == [row]

    def test_and_the_runs_that_told_it(self, root: Client) -> None:
        enterprises = {
            str(uuid4()): {"plan": str(uuid4()), "total": 4, "allocated": 3, "administrators": 2} for _ in range(201)
        }
        run = NotificationRunFactory(
            details={
                "as_of": "2026-03-02T06:00:00+00:00",
                "enterprises": enterprises,
                "counters": {"requests": 5, "skipped": {"no_email_address": 2}},
                "failures": [
                    {"severity": "error", "step": "directory", "text": "HTTP <500>", "ids": {"enterprise": "e1"}}
                ],
                "exit_code": 1,
            }
        )
        NotificationRunFactory()
        assert cells(root, type(run), "exit_status") == ["-", "1"]
        assert cells(root, type(run), "counted")[1] == "requests 5, sent 0, failed 0, no_email_address 2"
        page = root.get(page_of(run)).content.decode()
        assert "3 of 4 licences, 2 administrators" in page
        assert "and 1 more" in page
        assert "<strong>error</strong> directory: HTTP &lt;500&gt; enterprise e1" in page

    def test_and_a_list_of_runs_reads_the_enterprises_of_none(self, root: Client) -> None:
        run = NotificationRunFactory(details={"enterprises": {str(uuid4()): {"plan": "secret-plan"}}})
        with CaptureQueriesContext(connection) as queries:
            root.get(list_of(type(run)))
        read = [query["sql"] for query in queries if "email_automation_messagerun" in query["sql"]]
        assert read
        # Parts of it are; the whole of it would stand in the list of columns.
        assert not [
            sql for sql in read if re.search(r'(?:SELECT|,) ["`]email_automation_messagerun["`]\.["`]details', sql)
        ]
