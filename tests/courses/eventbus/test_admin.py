"""The pages of events in the admin …"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from courses.eventbus import inbox, relay
from courses.eventbus.inbox import Arrival
from courses.models import AutoEnrolment, EventInbox, EventOutbox
from tests.courses.eventbus.helpers import ACCESS, assignment, emit_all, emit_code
from tests.factories import UserFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_pokes", "taken")]

OUTBOX = "/admin/courses/eventoutbox/"
INBOX = "/admin/courses/eventinbox/"
ENROLMENTS = "/admin/courses/autoenrolment/"


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def staff(*permissions: str) -> Client:
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="courses", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def rows(client: Client, url: str) -> list[Any]:
    return list(client.get(url).context["cl"].result_list)


def dead(number: int = 1) -> list[EventInbox]:
    """Events without headers, which nobody can read."""
    stored = [inbox.store(Arrival(headers={}, payload=b"", entry=f"{uuid4()}"), [ACCESS]) for _ in range(number)]
    return [row for (row,) in stored]


def requeue(client: Client, *chosen: EventInbox) -> Any:
    data = {"action": "requeue", "index": "0", "_selected_action": [str(row.pk) for row in chosen]}
    return client.post(INBOX, data, follow=True)


def test_show_unpublished_events_first(root: Client) -> None:
    old, published, new = emit_all(*(assignment() for _ in range(3)))
    EventOutbox.objects.filter(pk=published.pk).update(published_at=timezone.now())
    assert [row.pk for row in rows(root, OUTBOX)] == [new.pk, old.pk, published.pk]
    assert [row.pk for row in rows(root, f"{OUTBOX}?published=yes")] == [published.pk]
    assert [row.pk for row in rows(root, f"{OUTBOX}?q={old.event_id}")] == [old.pk]
    assert rows(root, f"{OUTBOX}?q=nothing") == []


def test_show_dead_events_first(root: Client) -> None:
    (buried,) = dead()
    (row,) = emit_all(assignment())
    relay.run()
    assert [found.state for found in rows(root, INBOX)] == [EventInbox.DEAD, EventInbox.RECEIVED]
    assert [found.pk for found in rows(root, f"{INBOX}?state=dead")] == [buried.pk]
    assert [found.event_id for found in rows(root, f"{INBOX}?q={row.event_id}")] == [str(row.event_id)]


def test_show_of_a_coupon_code_only_the_last_four_characters(root: Client) -> None:
    row = emit_code("SAVE-ALL-4711")
    arrival = Arrival(headers=row.headers, payload=bytes(row.payload))
    (stored,) = inbox.store(arrival, [ACCESS])
    for url in (f"{OUTBOX}{row.pk}/change/", f"{INBOX}{stored.pk}/change/"):
        page = root.get(url).content.decode()
        assert "…4711" in page
        assert "SAVE-ALL" not in page


def test_show_what_an_event_says(root: Client) -> None:
    (row,) = emit_all(assignment(course_id="edX+<b>DemoX"))
    page = root.get(f"{OUTBOX}{row.pk}/change/").content.decode()
    assert "edX+&lt;b&gt;DemoX" in page
    assert str(UUID(int=3)) in page


def test_make_dead_events_due_again_and_write_it_down(root: Client) -> None:
    (buried,) = dead()
    page = requeue(root, buried)
    buried.refresh_from_db()
    assert (buried.state, buried.attempts) == (EventInbox.RECEIVED, 0)
    assert "1 event is due again." in page.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == (str(buried.pk), "Made due again.")
    assert "None of these events is dead." in requeue(root, buried).content.decode()


def test_want_a_permission_of_its_own_for_that() -> None:
    (buried,) = dead()
    requeue(staff("view_eventinbox"), buried)
    assert EventInbox.objects.get().state == EventInbox.DEAD
    assert requeue(staff("requeue_eventinbox"), buried).status_code == 403
    staff("view_eventinbox", "requeue_eventinbox").get(f"{INBOX}?action=requeue&_selected_action={buried.pk}")
    assert EventInbox.objects.get().state == EventInbox.DEAD
    requeue(staff("view_eventinbox", "requeue_eventinbox"), buried)
    assert EventInbox.objects.get().state == EventInbox.RECEIVED


def test_find_an_enrolment_by_request_or_learner(root: Client) -> None:
    made = [
        AutoEnrolment.objects.create(
            subsidy_request_uuid=uuid4(),
            enterprise_customer_uuid=UUID(int=1),
            lms_user_id=lms_user_id,
            state=AutoEnrolment.SKIPPED,
            reason="run_not_open",
            created_at=timezone.now(),
        )
        for lms_user_id in (7, 8)
    ]
    assert [row.pk for row in rows(root, f"{ENROLMENTS}?q=8")] == [made[1].pk]
    assert [row.pk for row in rows(root, f"{ENROLMENTS}?q={made[0].subsidy_request_uuid}")] == [made[0].pk]
    assert rows(root, f"{ENROLMENTS}?q=nothing") == rows(root, f"{ENROLMENTS}?q={'9' * 40}") == []
    assert "run_not_open" in root.get(f"{ENROLMENTS}?state=skipped").content.decode()


@pytest.mark.parametrize("url", [OUTBOX, INBOX])
def test_cost_the_same_for_one_row_and_for_fifty(root: Client, url: str) -> None:
    counts = []
    for number in (1, 49):
        emit_all(*(assignment() for _ in range(number)))
        relay.run()
        root.get(url)
        with CaptureQueriesContext(connection) as queries:
            root.get(url)
        counts.append(len(queries))
    assert counts[0] == counts[1]
