"""Receivers that turn the platform's public events into facts.

Events may come twice and in any order. Each is taken in inside one transaction, and the time in its metadata decides:
what is older than the newest known report changes nothing, so an unenrolment that overtakes its enrolment stands.

An event about an enrolment names the course by key and title only. A course that is not known yet is recorded as it
stands, that is instructor-paced, until its catalogue event or `sync_courses` tells more.

A failure is logged with the ids of the event and raised on, so that the bus's consumer knows of it. What the consumer
then logs itself would show the event with the learner's name and address, so it is cut down to the same ids.
"""

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import transaction
from openedx_events.content_authoring.data import CourseCatalogData
from openedx_events.content_authoring.signals import COURSE_CATALOG_INFO_CHANGED
from openedx_events.data import EventsMetadata
from openedx_events.learning.data import CertificateData, CourseData, CourseEnrollmentData, UserData
from openedx_events.learning.signals import (
    CERTIFICATE_CHANGED,
    CERTIFICATE_CREATED,
    CERTIFICATE_REVOKED,
    COURSE_ENROLLMENT_CHANGED,
    COURSE_ENROLLMENT_CREATED,
    COURSE_UNENROLLMENT_COMPLETED,
)
from openedx_events.tooling import OpenEdxPublicSignal

from courses import services
from courses.bulk import retry_on_deadlock
from courses.models import Course
from courses.signals import without_personal_data

logger = logging.getLogger(__name__)

# The platform tells a new enrolment as "changed" first and as "created" a moment later. A "changed" about an older
# enrolment is one that began before we listened: its learner is not welcomed now.
NEW_ENROLLMENT = timedelta(hours=1)

CONSUMER_LOG = "edx_event_bus_redis.internal.consumer"
EVENT_IN_LOG = " -- event details: "
IDS_IN_LOG = (r"event_type='([^']*)'", r" id=(UUID\('[^']*'\))", r"msg_id=(b'[^']*')", r"full_topic='([^']*)'")

Handler = Callable[..., None]


class EventFailed(RuntimeError):
    """An event could not be taken in; the log line before says why."""


def takes_in(*events: OpenEdxPublicSignal) -> Callable[[Handler], Handler]:
    """Connect a handler to events: one transaction, retried on a deadlock, failures logged without personal data."""

    def decorate(handler: Handler) -> Handler:
        @retry_on_deadlock
        def in_transaction(**kwargs: Any) -> None:
            with transaction.atomic():
                handler(**kwargs)

        # Not `wraps`: Django asks for the receiver's own signature, which takes whatever an event brings.
        def received(signal: OpenEdxPublicSignal, *, metadata: EventsMetadata, **kwargs: Any) -> None:
            data = {name: value for name, value in kwargs.items() if name in signal.init_data}
            try:
                in_transaction(metadata=metadata, **data)
            except Exception as error:
                logger.error(
                    "event %s (%s) failed",
                    metadata.event_type,
                    metadata.id,
                    exc_info=(type(error), without_personal_data(error), error.__traceback__),
                )
                raise EventFailed(f"event {metadata.event_type} ({metadata.id}) failed") from None

        for event in events:
            event.connect(received, weak=False, dispatch_uid=f"{handler.__module__}.{handler.__qualname__}")
        return handler

    return decorate


@takes_in(COURSE_ENROLLMENT_CREATED)
def enrollment_created(*, enrollment: CourseEnrollmentData, metadata: EventsMetadata) -> None:
    """Record a new enrolment; the learner is welcomed."""
    _record_enrollment(enrollment, metadata, is_active=enrollment.is_active, announce=True)


@takes_in(COURSE_ENROLLMENT_CHANGED)
def enrollment_changed(*, enrollment: CourseEnrollmentData, metadata: EventsMetadata) -> None:
    """Record a change of track or state."""
    is_new = metadata.time - _aware(enrollment.creation_date) <= NEW_ENROLLMENT
    _record_enrollment(enrollment, metadata, is_active=enrollment.is_active, announce=is_new)


@takes_in(COURSE_UNENROLLMENT_COMPLETED)
def unenrollment_completed(*, enrollment: CourseEnrollmentData, metadata: EventsMetadata) -> None:
    """Record that a learner has left, also when the enrolment itself has not been heard of yet."""
    _record_enrollment(enrollment, metadata, is_active=False, announce=False)


@takes_in(CERTIFICATE_CREATED, CERTIFICATE_CHANGED, CERTIFICATE_REVOKED)
def certificate_reported(*, certificate: CertificateData, metadata: EventsMetadata) -> None:
    """Record the state of a certificate."""
    services.record_certificate(
        _learner(certificate.user, metadata),
        _course(certificate.course),
        status=certificate.current_status,
        reported_at=metadata.time,
    )


@takes_in(COURSE_CATALOG_INFO_CHANGED)
def catalog_info_changed(*, catalog_info: CourseCatalogData, metadata: EventsMetadata) -> None:
    """Record a course's title, dates, visibility and pacing."""
    schedule = catalog_info.schedule_data
    services.record_course(
        str(catalog_info.course_key),
        reported_at=metadata.time,
        title=catalog_info.name,
        start=_aware(schedule.start),
        end=_aware(schedule.end),
        enrollment_start=_aware(schedule.enrollment_start),
        enrollment_end=_aware(schedule.enrollment_end),
        is_visible=not catalog_info.hidden,
        self_paced=schedule.pacing == "self",
    )


def _record_enrollment(
    enrollment: CourseEnrollmentData, metadata: EventsMetadata, *, is_active: bool, announce: bool
) -> None:
    """Record learner, course and place."""
    services.record_enrollment(
        _learner(enrollment.user, metadata),
        _course(enrollment.course),
        mode=enrollment.mode,
        is_active=is_active,
        created_at=_aware(enrollment.creation_date),
        announce=announce,
        reported_at=metadata.time,
    )


def _learner(data: UserData, metadata: EventsMetadata) -> AbstractUser:
    """Record the learner of an event and return the account."""
    first_name, _, last_name = data.pii.name.strip().partition(" ")
    user, _word = services.record_user(
        data.pii.username,
        email=data.pii.email,
        first_name=first_name or None,
        last_name=last_name.strip() or None,
        is_active=data.is_active,
        lms_user_id=data.id,
        reported_at=metadata.time,
    )
    return user


def _course(data: CourseData) -> Course:
    """Return the course of an event, recorded with its title when it is new."""
    key = str(data.course_key)
    known = Course.objects.filter(key=key).first()
    if known is not None:
        return known
    course, _word = services.record_course(key, title=data.display_name, start=_aware(data.start), end=_aware(data.end))
    return course


def _aware(instant: Any) -> Any:
    """Return an instant with a zone; the platform's own are UTC. None stays None."""
    if isinstance(instant, datetime) and instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    return instant


def without_event_data(record: logging.LogRecord) -> bool:
    """Leave only type and ids of an event in the bus consumer's complaint about it; other records stay as they are."""
    message = record.getMessage()
    if EVENT_IN_LOG in message:
        error = record.exc_info[1] if record.exc_info else None
        cause = error.args[0] if error is not None and error.args else error
        found = (re.search(pattern, message) for pattern in IDS_IN_LOG)
        ids = " ".join(match.group(1) for match in found if match)
        record.msg, record.args = "event could not be taken in: %s: %s", (type(cause).__name__, ids)
        # Messages of exceptions may quote the event; our own receivers have logged theirs already.
        record.exc_info = record.exc_text = None
    return True


logging.getLogger(CONSUMER_LOG).addFilter(without_event_data)
