"""The consumer of Open edX's event bus, a process of its own on a real Redis stream, …"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey
from openedx_events.content_authoring.data import CourseCatalogData, CourseScheduleData
from openedx_events.content_authoring.signals import COURSE_CATALOG_INFO_CHANGED
from openedx_events.data import EventsMetadata
from openedx_events.event_bus import get_producer
from openedx_events.learning.data import CertificateData, CourseData, CourseEnrollmentData, UserData, UserPersonalData
from openedx_events.learning.signals import (
    CERTIFICATE_CHANGED,
    CERTIFICATE_CREATED,
    CERTIFICATE_REVOKED,
    COURSE_ENROLLMENT_CHANGED,
    COURSE_ENROLLMENT_CREATED,
    COURSE_UNENROLLMENT_COMPLETED,
)
from openedx_events.tooling import OpenEdxPublicSignal

from courses.models import Certificate, Course, Enrollment, LearnerProfile
from schedules.models import Schedule, ScheduleConfig
from tests.factories import platform_site
from tests.processes import Process, Project, project, wait_until

pytestmark = [pytest.mark.redis, pytest.mark.slow]

TOPIC = "cadence"
PREFIX = "campus"
GROUP = "cadence"
KEY = "course-v1:Harbour+NAV1+2026"


@dataclass
class Platform:
    """An Open edX that publishes on the bus; `now` is when it says its events happened."""

    redis: redis.Redis
    now: datetime = field(default_factory=lambda: timezone.now().replace(microsecond=0))

    def publish(self, event: OpenEdxPublicSignal, data: dict[str, Any], metadata: EventsMetadata) -> None:
        """Publish an event as the platform does."""
        get_producer().send(
            signal=event, topic=TOPIC, event_key_field="unused", event_data=data, event_metadata=metadata
        )

    def enrollment(
        self,
        event: OpenEdxPublicSignal,
        learner: str = "ada",
        *,
        minutes: int = 0,
        mode: str = "audit",
        times: int = 1,
    ) -> None:
        """Publish an event about a learner's place in the course."""
        place = CourseEnrollmentData(
            user=user(learner),
            course=CourseData(course_key=CourseKey.from_string(KEY), display_name="Navigation"),
            mode=mode,
            is_active=event is not COURSE_UNENROLLMENT_COMPLETED,
            creation_date=self.now,
        )
        metadata = self._metadata(event, minutes)
        for _ in range(times):
            self.publish(event, {"enrollment": place}, metadata)

    def certificate(self, event: OpenEdxPublicSignal, status: str, *, minutes: int) -> None:
        """Publish an event about Ada's certificate."""
        data = CertificateData(
            user=user("ada"),
            course=CourseData(course_key=CourseKey.from_string(KEY)),
            mode="verified",
            grade="0.9",
            download_url="",
            name="Ada",
            current_status=status,
        )
        self.publish(event, {"certificate": data}, self._metadata(event, minutes))

    def catalog(self, key: str = KEY, *, name: str = "Navigation", minutes: int = 0, pacing: str = "self") -> None:
        """Publish a course's place in the catalogue."""
        dates = CourseScheduleData(
            start=self.now - timedelta(days=30), end=self.now + timedelta(days=90), pacing=pacing
        )
        data = CourseCatalogData(course_key=CourseKey.from_string(key), name=name, schedule_data=dates)
        event = COURSE_CATALOG_INFO_CHANGED
        self.publish(event, {"catalog_info": data}, self._metadata(event, minutes))

    def raw(self, message: dict[str, Any]) -> None:
        """Put something on the stream that no platform of ours has written."""
        self.redis.xadd(f"{PREFIX}-{TOPIC}", message)

    def pending(self) -> int:
        """Count the messages that were handed out and not acknowledged."""
        return self.redis.xpending(f"{PREFIX}-{TOPIC}", GROUP)["pending"]

    def wait_for_the_consumer(self) -> None:
        """Wait until everything published so far was taken in; a consumer takes one after the other."""
        key = f"course-v1:Harbour+END+{self.redis.incr('ends')}"
        self.catalog(key)
        wait_until(lambda: Course.objects.filter(key=key).exists() and not self.pending(), "the consumer is done")

    def _metadata(self, event: OpenEdxPublicSignal, minutes: int) -> EventsMetadata:
        return event.generate_signal_metadata(time=self.now + timedelta(minutes=minutes))


def user(name: str) -> UserData:
    """Return a learner as events tell of one."""
    pii = UserPersonalData(username=name, email=f"{name}@secret.example.com", name=f"{name.title()} Lovelace")
    return UserData(id=sum(name.encode()), is_active=True, pii=pii)


@pytest.fixture
def platform(transactional_db: None, redis_url: str, settings: Any) -> Iterator[Platform]:
    """A platform with a self-paced course, and a site of ours that makes schedules."""
    settings.EVENT_BUS_PRODUCER = "edx_event_bus_redis.create_producer"
    settings.EVENT_BUS_REDIS_CONNECTION_URL = redis_url
    settings.EVENT_BUS_TOPIC_PREFIX = PREFIX
    ScheduleConfig.objects.create(site=platform_site(), create_schedules=True)
    with redis.Redis.from_url(redis_url) as client:
        made = Platform(client)
        made.catalog()
        yield made


@pytest.fixture
def cadence(platform: Platform, redis_url: str) -> Iterator[Project]:
    """The project as processes that know the bus; the mail to new learners goes nowhere, least of all into the log."""
    with project(
        EVENT_BUS_REDIS_CONNECTION_URL=redis_url,
        EVENT_BUS_TOPIC_PREFIX=PREFIX,
        EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    ) as made:
        yield made
        for process in made.running:
            print(process.text)


@pytest.fixture
def consume(cadence: Project) -> Callable[..., Process]:
    """Start the consumer as the documents say."""

    def start(**extra: Any) -> Process:
        options = {"consumer_name": "cadence-1", "check_backlog": True} | extra
        return cadence.command("consume_events", "-t", TOPIC, "-g", GROUP, "--extra", json.dumps(options))

    return start


def test_takes_a_learner_from_enrolment_to_certificate(platform: Platform, consume: Callable[..., Process]) -> None:
    platform.enrollment(COURSE_ENROLLMENT_CREATED)
    platform.enrollment(COURSE_ENROLLMENT_CHANGED, minutes=1, mode="verified")
    platform.certificate(CERTIFICATE_CREATED, "generating", minutes=2)
    platform.certificate(CERTIFICATE_CHANGED, "downloadable", minutes=3)
    platform.enrollment(COURSE_ENROLLMENT_CREATED, "bob")
    platform.enrollment(COURSE_UNENROLLMENT_COMPLETED, "bob", minutes=4)
    consume()
    platform.wait_for_the_consumer()
    course = Course.objects.get(key=KEY)
    assert (course.title, course.self_paced, course.org) == ("Navigation", True, "Harbour")
    assert (course.start, course.end) == (platform.now - timedelta(days=30), platform.now + timedelta(days=90))
    places = Enrollment.objects.values_list("user__username", "mode", "is_active", "created_at")
    assert set(places) == {("ada", "verified", True, platform.now), ("bob", "audit", False, platform.now)}
    ada = Enrollment.objects.get(user__username="ada").user
    assert (ada.email, ada.first_name, ada.last_name) == ("ada@secret.example.com", "Ada", "Lovelace")
    assert LearnerProfile.objects.get(user=ada).lms_user_id == user("ada").id
    assert Certificate.objects.get().status == "downloadable"
    schedules = Schedule.objects.values_list("enrollment__user__username", "start_date")
    assert set(schedules) == {("ada", platform.now), ("bob", platform.now)}
    platform.certificate(CERTIFICATE_REVOKED, "unavailable", minutes=5)
    platform.catalog(minutes=6, pacing="instructor")
    platform.wait_for_the_consumer()
    assert Certificate.objects.get().status == "unavailable"
    assert not Course.objects.get(key=KEY).self_paced


def test_takes_events_twice_and_in_any_order(platform: Platform, consume: Callable[..., Process]) -> None:
    consume()
    platform.enrollment(COURSE_ENROLLMENT_CREATED, times=2)
    platform.enrollment(COURSE_ENROLLMENT_CHANGED, minutes=9, mode="verified")
    platform.enrollment(COURSE_ENROLLMENT_CHANGED, minutes=8, mode="honor")
    platform.enrollment(COURSE_UNENROLLMENT_COMPLETED, "bob", minutes=5)
    platform.enrollment(COURSE_ENROLLMENT_CREATED, "bob", times=2)
    platform.certificate(CERTIFICATE_REVOKED, "unavailable", minutes=7)
    platform.certificate(CERTIFICATE_CREATED, "downloadable", minutes=6)
    platform.catalog(minutes=5, name="Newer")
    platform.catalog(minutes=4, name="Older")
    platform.wait_for_the_consumer()
    places = Enrollment.objects.values_list("user__username", "mode", "is_active")
    assert sorted(places) == [("ada", "verified", True), ("bob", "audit", False)]
    assert [row.enrollment.user.username for row in Schedule.objects.all()] == ["ada"]
    assert Certificate.objects.get().status == "unavailable"
    assert Course.objects.get(key=KEY).title == "Newer"


def test_goes_on_after_what_it_cannot_take_in(platform: Platform, consume: Callable[..., Process]) -> None:
    consumer = consume()
    platform.enrollment(COURSE_ENROLLMENT_CREATED, "mallory", mode="x" * 200)
    last = platform.redis.xrevrange(f"{PREFIX}-{TOPIC}", count=1)[0][1]
    platform.raw({"hello": "world"})
    platform.raw(last | {b"type": b"org.openedx.learning.nothing.known.v1"})
    platform.raw(last | {b"event_data": last[b"event_data"][:-30]})
    platform.raw(last | {b"event_data": b"mallory@secret.example.com \xff\xfe"})
    platform.raw(last | {b"time": b"yesterday"})
    platform.raw(last | {b"id": b"1; DROP TABLE"})
    platform.enrollment(COURSE_ENROLLMENT_CREATED)
    platform.wait_for_the_consumer()
    assert [row.user.username for row in Enrollment.objects.all()] == ["ada"]
    assert Schedule.objects.count() == 1
    assert consumer.popen.poll() is None
    log = consumer.text
    assert log.count("event could not be taken in: ") == 4
    assert "event could not be taken in: ReceiverError: org.openedx.learning.course.enrollment.created.v1 UUID(" in log
    assert "secret.example.com" not in log
    assert "Mallory" not in log


def test_takes_up_what_came_while_it_was_away(platform: Platform, consume: Callable[..., Process]) -> None:
    first = consume()
    platform.wait_for_the_consumer()
    first.kill()
    platform.enrollment(COURSE_ENROLLMENT_CREATED)
    consume()
    platform.wait_for_the_consumer()
    assert Enrollment.objects.get().user.username == "ada"


def test_takes_again_what_it_was_killed_with(platform: Platform, consume: Callable[..., Process]) -> None:
    platform.enrollment(COURSE_ENROLLMENT_CREATED)
    stream = f"{PREFIX}-{TOPIC}"
    platform.redis.xgroup_create(stream, GROUP, id="0")
    platform.redis.xreadgroup(GROUP, "cadence-1", {stream: ">"})
    assert platform.pending() == 2
    consume()
    platform.wait_for_the_consumer()
    assert (Enrollment.objects.count(), Schedule.objects.count()) == (1, 1)


def test_ends_when_it_cannot_reach_redis(platform: Platform) -> None:
    with project(EVENT_BUS_REDIS_CONNECTION_URL="redis://127.0.0.1:9/0") as cadence:
        extra = json.dumps({"consumer_name": "cadence-1", "check_backlog": True})
        assert "Error consuming events" in cadence.run("consume_events", "-t", TOPIC, "-g", GROUP, "--extra", extra)


def test_repeats_what_came_after_a_message_when_told(platform: Platform, consume: Callable[..., Process]) -> None:
    platform.enrollment(COURSE_ENROLLMENT_CREATED)
    first = consume()
    platform.wait_for_the_consumer()
    first.kill()
    Enrollment.objects.all().delete()
    Course.objects.filter(key=KEY).update(title="Damaged", reported_at=None)
    consume(last_read_msg_id="0-0")
    platform.wait_for_the_consumer()
    assert (Enrollment.objects.get().course.title, Schedule.objects.count()) == ("Navigation", 1)
