"""Looking after approvals of which nothing is heard …"""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from courses import beats
from courses.eventbus import relay
from courses.models import EventInbox, EventOutbox
from subsidy_requests import services
from subsidy_requests.tasks import sweep_subsidy_requests
from tests.subsidy_requests.scene import NOON, Scene, at, carry, fresh, outbox

pytestmark = pytest.mark.django_db

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def unheard(licences: Scene) -> Any:
    """A request whose approval was published at noon, and then got lost."""
    with at(NOON):
        request = licences.asked()
        licences.approve(request)
        relay.run()
    EventInbox.objects.all().delete()
    return request


def published() -> None:
    """Publish what stands in the outbox, and lose it."""
    from courses.models import EventInbox

    relay.run()
    EventInbox.objects.all().delete()


def test_it_is_published_again_after_half_an_hour(unheard: Any) -> None:
    with at(NOON + HALF_AN_HOUR - timedelta(seconds=1)):
        assert services.sweep()["republished"] == 0
    with at(NOON + HALF_AN_HOUR):
        assert services.sweep()["republished"] == 1
        assert services.sweep()["republished"] == 0
        first, second = EventOutbox.objects.order_by("pk")
        assert first.event_id != second.event_id
        assert (fresh(unheard).attempt, unheard.republish_count, unheard.last_event_id) == (1, 1, second.event_id)
        carry()
    assert fresh(unheard).state == "fulfilled"


def test_what_is_not_published_yet_does_not_count(licences: Scene) -> None:
    with at(NOON):
        licences.approve(licences.asked())
    with at(NOON + timedelta(hours=5)):
        assert services.sweep()["republished"] == 0
        relay.run()
        assert services.sweep()["republished"] == 0
    assert outbox() == 1


def test_three_times_and_then_somebody_is_told_once(unheard: Any, told: list[Any]) -> None:
    for number in range(1, 4):
        with at(NOON + number * HALF_AN_HOUR):
            assert services.sweep() == {"republished": 1, "stuck": 0, "released": 0, "enrolments": 0}
            published()
    for number in (4, 5):
        with at(NOON + number * HALF_AN_HOUR):
            assert services.sweep()["stuck"] == (number == 4)
    assert (fresh(unheard).state, unheard.republish_count) == ("approved", 3)
    assert unheard.stuck_since == NOON + 4 * HALF_AN_HOUR
    assert len(told) == 1
    assert str(unheard.uuid) in str(told[0])
    admin = unheard.reviewer or unheard.user
    assert services.give_up("license", [unheard.uuid], by=admin) == [unheard.uuid]
    assert (fresh(unheard).state, unheard.error_reason, unheard.stuck_since) == ("error", "given_up", None)


def test_a_new_approval_begins_anew(unheard: Any, licences: Scene) -> None:
    type(unheard).objects.update(state="error", republish_count=3, stuck_since=timezone.now(), error_reason="given_up")
    licences.approve(unheard)
    assert (fresh(unheard).republish_count, unheard.stuck_since, unheard.attempt) == (0, None, 2)


def test_an_event_that_retention_has_taken_was_published(unheard: Any) -> None:
    EventOutbox.objects.all().delete()
    with at(NOON + timedelta(days=31)):
        assert services.sweep()["republished"] == 1


def test_what_has_an_outcome_is_left_alone(licences: Scene) -> None:
    with at(NOON):
        licences.approve(licences.asked())
        carry()
    with at(NOON + timedelta(days=1)):
        assert services.sweep()["republished"] == 0


def test_command_task_and_beat_do_it(unheard: Any) -> None:
    out = StringIO()
    call_command("sweep_subsidy_requests", stdout=out)
    assert out.getvalue().split()[0] == "sweep_subsidy_requests"
    assert set(sweep_subsidy_requests()) >= {"republished", "stuck", "released"}
    [entry] = [entry for entry in beats.entries() if entry.task == sweep_subsidy_requests.name]
    assert entry.crontab == "*/5 * * * *"
