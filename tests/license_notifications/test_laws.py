"""What holds of every administrator and plan, whatever happens: weeks and thresholds against a model of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from email_automation.models import EmailLog, MessageRun
from license_notifications.models import CustomerAgreement, EnterpriseAdmin, NotificationTimestamp
from tests.license_notifications.scene import NOW, Scene

pytestmark = pytest.mark.slow

WEEK = timedelta(days=7)
INSTANT = timedelta(microseconds=1)
MODELS = (NotificationTimestamp, EmailLog, MessageRun, EnterpriseAdmin, CustomerAgreement)

few = hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def worlds(scene: Scene) -> Callable[[], Scene]:
    """A function that empties the world; one test has many."""

    def fresh() -> Scene:
        for model in MODELS:
            model.objects.all().delete()
        scene.braze.clear()
        scene.now = NOW
        return scene

    return fresh


#: How long after the anchor a run happens: anywhere, or as close as can be to the end of a week.
AGES = st.one_of(
    st.integers(-3 * 86_400, 40 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    st.builds(lambda weeks, edge: weeks * WEEK + edge * INSTANT, st.integers(0, 6), st.integers(-1, 1)),
)


@few
@given(ages=st.lists(AGES, min_size=1, max_size=8), source=st.sampled_from(["joined_date", "ecu_created"]))
@example(ages=[WEEK - INSTANT, WEEK, WEEK + INSTANT, 2 * WEEK - INSTANT, 2 * WEEK], source="joined_date")
@example(ages=[3 * WEEK, 2 * WEEK, 4 * WEEK - INSTANT, 4 * WEEK, WEEK], source="ecu_created")
def test_a_run_tells_the_week_it_falls_into_unless_that_or_a_later_one_was_told(
    worlds: Callable[[], Scene], ages: list[timedelta], source: str
) -> None:
    scene = worlds()
    anchor = NOW - timedelta(days=60)
    scene.enterprise(100, 10, admins=0).admins(1, **{"joined_date": None, source: anchor})
    told: list[int] = []
    for age in ages:
        before = len(scene.kinds)
        assert scene.run("--date", (anchor + age).isoformat()).status == 0
        week = age // WEEK
        if week >= 1 and week > max(told, default=0):
            told.append(week)
            before += 1
        assert scene.kinds == ["W"] * before
        assert slots() == told
    assert told == sorted(set(told))


def slots() -> list[int]:
    """The weeks that were told, in the order in which they were."""
    return list(NotificationTimestamp.objects.order_by("pk").values_list("slot", flat=True))


@hypothesis_settings(few, max_examples=5)
@given(offset=st.integers(0, 7 * 86_400 - 1), days=st.integers(1, 16), hours=st.integers(0, 23))
def test_who_is_told_daily_is_told_each_week_once(
    worlds: Callable[[], Scene], offset: int, days: int, hours: int
) -> None:
    scene = worlds()
    anchor = NOW - timedelta(seconds=offset)
    scene.enterprise(100, 10, admins=0).admins(1, joined_date=anchor)
    for day in range(days + 1):
        # Not always at the same hour, as after a failure that somebody has mended.
        scene.run(days=bool(day), seconds=(hours * day % 5) * 60)
    last: datetime = scene.now
    # A run a day falls into every week, if a little later each day.
    assert slots() == list(range(1, (last - anchor) // WEEK + 1))


#: A day: total and allocated licences, and whether the mail service refuses.
DAYS = st.tuples(st.integers(0, 8), st.floats(0, 1), st.booleans() | st.just(False))


@few
@given(days=st.lists(DAYS, min_size=1, max_size=8))
@example(days=[(4, 0.75, False), (4, 1.0, False), (8, 0.8, False), (4, 1.0, False)])
@example(days=[(4, 1.0, True), (4, 0.75, False), (4, 1.0, False)])
@example(days=[(4, 1.0, False), (4, 0.8, False), (0, 0.0, False), (3, 1.0, False)])
def test_each_threshold_is_told_once_and_the_lower_never_after_the_higher(
    worlds: Callable[[], Scene], days: list[tuple[int, float, bool]]
) -> None:
    scene = worlds()
    enterprise = scene.enterprise(1, 0)
    expected: list[str] = []
    for total, share, refused in days:
        allocated = round(total * share)
        enterprise.allocate(allocated, of=total)
        if refused:
            scene.braze.fail_next(1, status=400)
        # Shorter than a week in all, so no weekly figures come between.
        ran = scene.run(seconds=3600)
        due = kind_of(allocated, total, expected)
        assert ran.status == int(bool(due) and refused)
        if due and not refused:
            expected.append(due)
        assert scene.kinds == expected
        with scene.braze.memory.lock:
            scene.braze.memory.faults.clear()
    assert expected in ([], ["M75"], ["M100"], ["M75", "M100"])
    states = dict(NotificationTimestamp.objects.values_list("kind", "state"))
    if "M100" in expected:
        assert states == {"threshold_75": "sent" if "M75" in expected else "superseded", "threshold_100": "sent"}


def kind_of(allocated: int, total: int, told: list[str]) -> str:
    """The rule in three lines."""
    if total and allocated == total:
        return "" if "M100" in told else "M100"
    return "M75" if total and allocated / total >= 0.75 and not told else ""
