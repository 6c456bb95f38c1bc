"""Bringing the table of administrators up to date, enterprise by enterprise."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db.models import Count

from ..conf import LMS, setting
from ..models import EnterpriseAdmin
from . import rows
from .errors import DirectoryError
from .platform import Platform, Sleep
from .records import AdminRecord, administrators

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """An enterprise whose administrators could not be found out, and why; the text names no person."""

    enterprise_uuid: UUID
    text: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the directory says of some enterprises: a complete answer or a failure; of the embedded one, nothing."""

    enterprise_uuids: list[UUID]
    answers: dict[UUID, list[AdminRecord]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The number of listed administrators of each enterprise that is up to date, and the failures of the others."""

    counts: dict[UUID, int]
    failures: list[Failure]


def refresh(enterprise_uuids: Collection[UUID], *, now: datetime, sleep: Sleep = time.sleep) -> Refreshed:
    """Bring the administrators of these enterprises up to date. One that fails never stops the others."""
    return store_each(fetch_each(enterprise_uuids, sleep=sleep), now=now)


def fetch_each(enterprise_uuids: Collection[UUID], *, sleep: Sleep = time.sleep) -> Fetched:
    """Ask the directory once about each enterprise, in the order of their uuids; writes nothing."""
    fetched = Fetched(sorted(set(enterprise_uuids)))
    if setting("LICENSE_ADMIN_DIRECTORY") != LMS:
        return fetched
    platform = Platform.of_settings(sleep=sleep)
    for uuid in fetched.enterprise_uuids:
        answer = _or_failure(uuid, fetched.failures, fetch, uuid, platform=platform)
        if answer is not None:
            fetched.answers[uuid] = answer
    return fetched


def fetch(enterprise_uuid: UUID, *, platform: Platform | None = None) -> list[AdminRecord]:
    """Return the administrators of an enterprise as the platform names them. Raises DirectoryError."""
    platform = platform or Platform.of_settings()
    pages = list(platform.rows(enterprise_uuid))
    return administrators(pages, enterprise_uuid, service_username=setting("LICENSE_LMS_SERVICE_USERNAME"))


def store_each(fetched: Fetched, *, now: datetime) -> Refreshed:
    """Take in what was fetched. Rows that a host has written into the embedded directory get what they lack."""
    failures = list(fetched.failures)
    for uuid, answer in fetched.answers.items():
        _or_failure(uuid, failures, rows.store, uuid, answer, now=now)
    failed = {failure.enterprise_uuid for failure in failures}
    fresh = [uuid for uuid in fetched.enterprise_uuids if uuid not in failed]
    fresh = _completed(fresh, failures)
    return Refreshed(_counts(fresh), failures)


def _completed(enterprise_uuids: list[UUID], failures: list[Failure]) -> list[UUID]:
    """Give the rows of these enterprises what they lack, and return those of which that could be done."""
    try:
        rows.complete(enterprise_uuids)
    except Exception:
        # One of them is at fault: apart, the others are not held up by it.
        return [uuid for uuid in enterprise_uuids if _or_failure(uuid, failures, rows.complete, [uuid]) is not None]
    return enterprise_uuids


def _or_failure(
    enterprise_uuid: UUID, failures: list[Failure], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T | None:
    """Return what the work gives, or note its failure."""
    try:
        return work(*args, **kwargs)
    except DirectoryError as error:
        text = str(error)
    except Exception as error:
        # The text of a database's error may quote what was to be written, which is personal.
        text = f"{type(error).__name__} while the directory's answer was taken in."
    logger.warning("directory of enterprise %s: %s", enterprise_uuid, text)
    failures.append(Failure(enterprise_uuid, text))
    return None


def _counts(enterprise_uuids: Collection[UUID]) -> dict[UUID, int]:
    listed = EnterpriseAdmin.objects.filter(enterprise_customer_uuid__in=set(enterprise_uuids), listed=True)
    grouped = listed.order_by().values_list("enterprise_customer_uuid").annotate(number=Count("*"))
    return dict.fromkeys(enterprise_uuids, 0) | dict(grouped)
