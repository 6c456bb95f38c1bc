"""One factory per message: how a test gets people to whom it is due. A new message joins the contract suite here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date, timedelta
from typing import Any, ClassVar

from django.contrib.sites.models import Site

from schedules import dates
from schedules.models import Schedule, ScheduleConfig
from tests import factories


class MessageFactory(ABC):
    """Makes people due, and works the message's switches. One factory makes data in one test only."""

    label: ClassVar[str]

    @abstractmethod
    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        """Return `number` new users to whom the message is due on a run of `day`."""

    @abstractmethod
    def switch(self, site: Site, *, enqueue: bool, deliver: bool) -> None:
        """Turn planning and hand-off of the message on or off."""


class _ScheduleMessage(MessageFactory):
    switches: ClassVar[str]

    def switch(self, site: Site, *, enqueue: bool, deliver: bool) -> None:
        values = {f"enqueue_{self.switches}": enqueue, f"deliver_{self.switches}": deliver}
        ScheduleConfig.objects.create(site=site, **values)


class _Nudge(_ScheduleMessage):
    switches = "recurring_nudge"
    days: ClassVar[int]

    def __init__(self) -> None:
        self._course: Any = None

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        start = dates.day_start(day + timedelta(days=self.days)) + timedelta(hours=9)
        if self._course is None:
            self._course = factories.CourseFactory(start=start - timedelta(days=60), end=None, self_paced=True)
            factories.CourseModeFactory(course=self._course, slug="verified", expires_at=None)
        people = []
        for _ in range(number):
            enrollment = factories.EnrollmentFactory(course=self._course, created_at=start)
            Schedule.objects.update_or_create(
                enrollment=enrollment,
                defaults={"start_date": start, "upgrade_deadline": dates.day_start(day) + timedelta(days=21)},
            )
            if language:
                factories.LearnerProfileFactory(user=enrollment.user, language=language)
            people.append(enrollment.user)
        return people


class NudgeDay3(_Nudge):
    label = "schedules.recurringnudge_day3"
    days = -3


class NudgeDay10(_Nudge):
    label = "schedules.recurringnudge_day10"
    days = -10


FACTORIES: dict[str, type[MessageFactory]] = {factory.label: factory for factory in (NudgeDay3, NudgeDay10)}
