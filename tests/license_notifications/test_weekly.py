"""Acceptance cases 27 to 32: the weekly figures, by the week of each administrator."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from license_notifications.models import EnterpriseAdmin, NotificationTimestamp
from tests.factories import EnterpriseAdminFactory
from tests.license_notifications.scene import Scene

pytestmark = pytest.mark.every_database
SECOND = 1 / 86_400


@pytest.mark.parametrize(
    ("days", "slots"), [(7 - SECOND, []), (7, [1]), (8, [1]), (13.9, [1]), (14, [2]), (700, [100])]
)
def test_case_27_the_first_week_has_to_be_over(scene: Scene, days: float, slots: list[int]) -> None:
    scene.enterprise(100, 10, days=days)
    scene.run()
    assert scene.kinds == ["W"] * len(slots)
    assert [row.slot for row in NotificationTimestamp.objects.all()] == slots


def test_case_28_four_weeks_have_four_digests(scene: Scene) -> None:
    scene.enterprise(100, 10, days=0)
    days = []
    for day in range(29):
        before = len(scene.kinds)
        scene.run(days=bool(day))
        days += [day] * (len(scene.kinds) - before)
    assert days == [7, 14, 21, 28]


def test_case_29_two_runs_in_a_row_tell_once(scene: Scene) -> None:
    scene.enterprise(100, 75, days=7)
    scene.run()
    scene.run(seconds=10)
    assert Counter(scene.kinds) == {"W": 1, "M75": 1}


def test_case_30_a_week_and_a_threshold_are_two_requests(scene: Scene) -> None:
    scene.enterprise(100, 75, days=7)
    scene.run()
    assert len(scene.braze.requests) == 2
    assert scene.kinds == ["M75", "W"]


def test_case_31_each_administrator_has_weeks_of_their_own(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 10, admins=0)
    (first,) = enterprise.admins(1, days=3)
    (second,) = enterprise.admins(1, days=0)
    told = {}
    for day in range(8):
        before = len(scene.delivered)
        scene.run(days=bool(day))
        told[day] = [message.user for message in scene.delivered[before:]]
    assert {day: users for day, users in told.items() if users} == {
        4: [str(first.lms_user_id)],
        7: [str(second.lms_user_id)],
    }


def test_case_32_the_link_counts_where_no_joining_is_known(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75, admins=0)
    (linked,) = enterprise.admins(1, joined_date=None, ecu_created=scene.now - timedelta(days=8))
    (neither,) = enterprise.admins(1, joined_date=None)
    ran = scene.run()
    linked.refresh_from_db()
    assert (linked.anchor_source, linked.anchor_at) == (EnterpriseAdmin.CREATED, linked.ecu_created)
    assert Counter(scene.kinds) == {"M75": 2, "W": 1}
    assert ran.alert is not None and ran.status == 0
    (warning,) = ran.alert.entries
    assert (warning.severity, warning.ids["ecu"]) == ("warning", (str(neither.ecu_id),))


def test_an_anchor_in_the_future_tells_nothing_and_is_no_error(scene: Scene) -> None:
    scene.enterprise(100, 10, days=-3)
    ran = scene.run()
    assert (scene.kinds, ran.status, ran.alert) == ([], 0, None)


def test_a_week_missed_is_not_made_up(scene: Scene) -> None:
    scene.enterprise(100, 10, days=6)
    scene.run()
    scene.run(days=22)
    assert scene.kinds == ["W"]
    assert scene.row("weekly").slot == 4
    scene.run(days=1)
    assert scene.kinds == ["W"]


def test_a_week_that_failed_until_the_next_began_stays_failed(scene: Scene) -> None:
    scene.enterprise(100, 10, days=7)
    scene.braze.fail_next(2, status=400)
    scene.run()
    scene.run(days=1)
    assert [(row.slot, row.state, row.attempts) for row in NotificationTimestamp.objects.all()] == [(1, "failed", 2)]
    scene.run(days=6)
    rows = NotificationTimestamp.objects.order_by("slot")
    assert [(row.slot, row.state) for row in rows] == [(1, "failed"), (2, "sent")]


def test_the_week_belongs_to_the_person_and_not_to_the_plan(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 10, days=7)
    scene.run()
    enterprise.plan(10, 1, expiration_date=scene.now + timedelta(days=20))
    scene.run(days=1)
    assert scene.kinds == ["W"]


def test_an_earlier_date_tells_no_week_that_is_over(scene: Scene) -> None:
    scene.enterprise(100, 10, days=15)
    scene.run()
    with scene.nothing_more():
        scene.run("--date", (scene.now - timedelta(days=7)).date().isoformat())


def test_one_person_under_two_numbers_of_one_enterprise_gets_one(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 75, admins=0)
    (first,) = enterprise.admins(1, days=8)
    EnterpriseAdminFactory(
        enterprise_customer_uuid=enterprise.uuid,
        lms_user_id=first.lms_user_id,
        user_name=first.user_name,
        joined_date=first.joined_date,
    )
    scene.run()
    assert scene.kinds == ["M75", "W"]
    assert set(NotificationTimestamp.objects.values_list("ecu_id", flat=True)) == {first.ecu_id}
