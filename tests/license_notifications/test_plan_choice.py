"""Acceptance cases 13 to 19: which plan of an enterprise its administrators are told of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from license_notifications import directory
from license_notifications.models import NotificationTimestamp, SubscriptionPlan
from tests.license_notifications.scene import Enterprise, Scene

pytestmark = pytest.mark.every_database
DAY = timedelta(days=1)


@pytest.fixture
def asked(monkeypatch: Any) -> list[UUID]:
    """Record which enterprises' directories are asked."""
    found: list[UUID] = []
    refresh = directory.refresh

    def recording(enterprises: Any, **options: Any) -> Any:
        found.extend(enterprises)
        return refresh(enterprises, **options)

    monkeypatch.setattr(directory, "refresh", recording)
    return found


def told(scene: Scene) -> list[tuple[str, str]]:
    """Return (kind, plan) of everything delivered."""
    return [
        (kind, message.properties["subscription_plan_uuid"])
        for kind, message in zip(scene.kinds, scene.delivered, strict=True)
    ]


@pytest.mark.parametrize("first_is_emptier", [True, False])
def test_case_13_the_plan_that_ends_first_counts(scene: Scene, first_is_emptier: bool) -> None:
    soon, late = (scene.now + 10 * DAY, scene.now + 200 * DAY)[:: 1 if first_is_emptier else -1]
    enterprise = scene.enterprise(100, 50, expiration_date=soon)
    fuller = enterprise.plan(100, 90, expiration_date=late)
    scene.run()
    assert told(scene) == ([] if first_is_emptier else [("M75", str(fuller.uuid))])
    assert all(message.properties["allocated_license_count"] == 90 for message in scene.delivered)


@pytest.mark.parametrize("reverse", [False, True])
def test_case_14_ties_are_broken_the_same_way_every_time(scene: Scene, reverse: bool) -> None:
    one, two = UUID(int=1 << 100), UUID(int=2 << 100)
    enterprise = Enterprise(scene, scene.enterprise(0, 0, is_active=False).uuid)
    for uuid in (two, one) if reverse else (one, two):
        created = scene.now - 10 * DAY
        enterprise.plan(100, 80, uuid=uuid, expiration_date=scene.now + 10 * DAY, created=created)
    for _ in range(5):
        scene.run(days=1)
    assert told(scene) == [("M75", str(one))]
    SubscriptionPlan.objects.filter(pk=two).update(start_date=scene.now - 3000 * DAY)
    scene.run()
    assert told(scene)[1:] == [("M75", str(two))]


@pytest.mark.parametrize(
    ("dates", "kinds"),
    [
        ({"expiration_date": -timedelta(seconds=1)}, []),
        ({"expiration_date": timedelta(0)}, ["M75"]),
        ({"start_date": timedelta(0)}, ["M75"]),
        ({"start_date": timedelta(seconds=1)}, []),
    ],
)
def test_case_15_both_ends_belong_to_the_plan(scene: Scene, dates: dict[str, timedelta], kinds: list[str]) -> None:
    scene.enterprise(100, 75, **{name: scene.now + shift for name, shift in dates.items()})
    scene.run()
    assert scene.kinds == kinds


@pytest.mark.parametrize(
    "values",
    [
        {"is_active": False},
        {"should_auto_apply_licenses": False},
        {"should_auto_apply_licenses": None},
        {"start": True},
    ],
)
def test_case_16_a_plan_that_does_not_count_asks_no_directory(
    scene: Scene, asked: list[UUID], values: dict[str, Any]
) -> None:
    if values.pop("start", False):
        values = {"start_date": scene.now + DAY}
    scene.enterprise(100, 75, days=7, **values)
    assert scene.run().status == 0
    assert (scene.kinds, asked) == ([], [])
    assert not NotificationTimestamp.objects.exists()


def test_case_17_a_plan_that_took_over_the_licences_tells_anew(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 90, admins=3, expiration_date=scene.now + 5 * DAY)
    scene.run()
    renewed = enterprise.plan(100, 90, start_date=scene.now + 5 * DAY, expiration_date=scene.now + 365 * DAY)
    scene.run(days=5, seconds=60)
    assert told(scene)[3:] == [("M75", str(renewed.uuid))] * 3


def test_case_18_after_the_last_plan_nothing_is_told(scene: Scene) -> None:
    scene.enterprise(100, 75, days=6, expiration_date=scene.now + DAY)
    scene.run()
    with scene.nothing_more():
        assert {scene.run(days=2).status for _ in range(4)} == {0}


def test_case_19_the_next_plan_is_told_of_when_it_becomes_the_choice(scene: Scene) -> None:
    enterprise = scene.enterprise(10, 10, expiration_date=scene.now + DAY)
    following = enterprise.plan(20, 20, expiration_date=scene.now + 100 * DAY)
    scene.run()
    scene.run(days=2)
    assert told(scene) == [("M100", str(enterprise.plans[0].uuid)), ("M100", str(following.uuid))]


def test_a_plan_that_is_still_being_provisioned_tells_nothing_for_a_day(scene: Scene) -> None:
    enterprise = scene.enterprise(100, 80, days=7)
    SubscriptionPlan.objects.update(desired_num_licenses=200, provisioning_since=scene.now - timedelta(hours=23))
    with scene.nothing_more():
        assert scene.run().alert is None
    assert not NotificationTimestamp.objects.exists()
    ran = scene.run(seconds=3600)
    assert scene.kinds == ["M75", "W"]
    assert ran.alert is not None and ran.status == 0
    (entry,) = ran.alert.entries
    assert (entry.severity, entry.text) == ("warning", "provisioning stuck")
    assert entry.ids == {"enterprise": (str(enterprise.uuid),), "plan": (str(enterprise.plans[0].uuid),)}
