"""One factory per message: how a test gets people to whom it is due. A new message joins the contract suite here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib.sites.models import Site
from waffle.models import Switch

from course_goals.access import FLAG
from course_goals.week import days_left
from courses.models import LearnerProfile
from email_automation import words
from email_automation.events import HOLD, STOP
from license_notifications.messages import PAUSE
from license_notifications.models import EnterpriseAdmin, NotificationTimestamp
from schedules import dates
from schedules.models import Schedule, ScheduleConfig, ScheduleExperience, ScheduleRecompute
from subsidy_requests.models import ApprovalWindow, DeclineNotice
from tests import factories
from tests.subsidy_requests.factories import CustomerFactory, LicenseRequestFactory


class MessageFactory(ABC):
    """Makes people due, and works the message's switches. One factory makes data in one test only."""

    label: ClassVar[str]
    #: Whether it is due on one day only; a weekly mail is due on each day of its week.
    one_day: ClassVar[bool] = True
    #: When on its day a run of now equals one of a given date (UTC), and whether both have the same instant.
    hour: ClassVar[int] = 0
    day_has_instant: ClassVar[bool] = True
    #: Whether a run of a given day leaves a MessageRun.
    day_is_remembered: ClassVar[bool] = True
    #: The word under which a run counts who has the mail already.
    already_sent: ClassVar[str] = words.ALREADY_SENT
    #: Whether the course is known while planning, so that who opted out of it gets no row.
    plans_by_course: ClassVar[bool] = False
    #: The statements that find the audience.
    audience_statements: ClassVar[int] = 1

    #: Whether the mail is about a course, which can be opted out of.
    about_course: ClassVar[bool] = True

    @abstractmethod
    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        """Return `number` new users to whom the message is due on a run of `day`."""

    def readdress(self, person: Any, address: str) -> None:
        """Change where a person is mailed."""
        type(person).objects.filter(pk=person.pk).update(email=address)

    def forget(self) -> None:  # noqa: B027  (most messages remember nothing)
        """Forget what the message's app remembers of mails beside the log."""

    @abstractmethod
    def switch(self, site: Site, *, enqueue: bool, deliver: bool) -> None:
        """Turn planning and hand-off of the message on or off."""


class _ScheduleMessage(MessageFactory):
    switches: ClassVar[str]

    def switch(self, site: Site, *, enqueue: bool, deliver: bool) -> None:
        values = {f"enqueue_{self.switches}": enqueue, f"deliver_{self.switches}": deliver}
        ScheduleConfig.objects.create(site=site, **values)

    def __init__(self) -> None:
        self._course: Any = None

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        if self._course is None:
            start = dates.day_start(day - timedelta(days=60))
            self._course = factories.CourseFactory(start=start, end=None, **self.course)
            factories.CourseModeFactory(course=self._course, slug="verified", expires_at=None)
            self.fill(self._course)
            # Asked for by the mode; done by a sweep, it would put the dates below right.
            ScheduleRecompute.objects.all().delete()
        people = []
        for _ in range(number):
            enrollment = factories.EnrollmentFactory(course=self._course, created_at=dates.day_start(day))
            schedule, _ = Schedule.objects.update_or_create(enrollment=enrollment, defaults=self.dates(day))
            ScheduleExperience.objects.update_or_create(
                schedule=schedule, defaults={"experience_type": self.experience}
            )
            if language:
                factories.LearnerProfileFactory(user=enrollment.user, language=language)
            people.append(enrollment.user)
        return people

    course: ClassVar[dict[str, Any]] = {}
    experience: ClassVar[int] = ScheduleExperience.NUDGES

    def fill(self, course: Any) -> None:
        """Put into the course what the message needs of it."""

    @abstractmethod
    def dates(self, day: date) -> dict[str, datetime]:
        """Return start and deadline of a schedule to which the message is due."""


class NudgeDay3(_ScheduleMessage):
    label = "schedules.recurringnudge_day3"
    switches = "recurring_nudge"
    days = -3

    def dates(self, day: date) -> dict[str, datetime]:
        start = dates.day_start(day + timedelta(days=self.days)) + timedelta(hours=9)
        return {"start_date": start, "upgrade_deadline": dates.day_start(day) + timedelta(days=21)}


class NudgeDay10(NudgeDay3):
    label = "schedules.recurringnudge_day10"
    days = -10


class UpgradeReminder(_ScheduleMessage):
    label = "schedules.upgradereminder"
    switches = "upgrade_reminder"

    def dates(self, day: date) -> dict[str, datetime]:
        deadline = dates.day_start(day + timedelta(days=2)) + timedelta(hours=9)
        return {"start_date": deadline - timedelta(days=21), "upgrade_deadline": deadline}


class CourseUpdate(_ScheduleMessage):
    label = "schedules.courseupdate"
    switches = "course_update"
    course: ClassVar[dict[str, Any]] = {"highlights_enabled_for_messaging": True}
    experience = ScheduleExperience.COURSE_UPDATES

    def fill(self, course: Any) -> None:
        factories.SectionFactory(course=course, index=0, highlights=["Tides & charts", "A first voyage"])

    def dates(self, day: date) -> dict[str, datetime]:
        start = dates.day_start(day - timedelta(days=7)) + timedelta(hours=9)
        return {"start_date": start, "upgrade_deadline": dates.day_start(day) + timedelta(days=21)}


class _Switched(MessageFactory):
    """A message with two switches of waffle's, and one course."""

    def __init__(self) -> None:
        self._course: Any = None

    def switch(self, site: Site, *, enqueue: bool, deliver: bool) -> None:
        name = self.label.partition(".")[2]
        for switch, stage_open in ((HOLD, enqueue), (STOP, deliver)):
            Switch.objects.update_or_create(name=switch.format(name), defaults={"active": not stage_open})


class _Event(_Switched):
    """Facts of the day that were recorded without telling anybody."""

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        if self._course is None:
            self._course = factories.CourseFactory(start=None, price="49.00", currency="eur")
        people = []
        for _ in range(number):
            person = self.happen(self._course, dates.day_start(day) + timedelta(hours=9))
            if language:
                factories.LearnerProfileFactory(user=person, language=language)
            people.append(person)
        return people

    @abstractmethod
    def happen(self, course: Any, moment: datetime) -> Any:
        """Let the fact happen to somebody new, and return whom."""


class Enrolled(_Event):
    label = "email_automation.enrollment"

    def happen(self, course: Any, moment: datetime) -> Any:
        return factories.EnrollmentFactory(course=course, created_at=moment).user


class Paid(_Event):
    label = "email_automation.payment_confirmation"

    def happen(self, course: Any, moment: datetime) -> Any:
        return factories.PaymentFactory(course=course, is_successful=True, paid_at=moment).user


class LeftDemo(_Event):
    label = "email_automation.demo_completed"

    def happen(self, course: Any, moment: datetime) -> Any:
        meeting = factories.MeetingFactory(course=course, is_demo=True)
        return factories.ParticipantFactory(meeting=meeting, left_at=moment).user


class NewContent(_Event):
    label = "email_automation.new_content"

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        # Another day's learners must not be in this day's course.
        self._course = factories.CourseFactory(start=None)
        factories.ContentItemFactory(course=self._course, published_at=dates.day_start(day) + timedelta(hours=9))
        return super().due(number, day=day, site=site, language=language)

    def happen(self, course: Any, moment: datetime) -> Any:
        return factories.EnrollmentFactory(course=course, created_at=moment - timedelta(days=7)).user


class WeeklyProgress(_Event):
    label = "email_automation.weekly_progress"
    one_day = False

    def happen(self, course: Any, moment: datetime) -> Any:
        person = factories.EnrollmentFactory(course=course, created_at=moment - timedelta(days=14)).user
        item = factories.ContentItemFactory(course=course, published_at=moment - timedelta(days=14))
        factories.CompletionFactory(user=person, item=item, completed_at=moment - timedelta(days=7))
        return person


class GoalReminder(_Switched):
    label = "course_goals.goal_reminder"
    # Every learner's clock reads nine on a given day, wherever that is.
    hour = 9
    day_has_instant = False
    day_is_remembered = False
    already_sent = "not_reminded_this_week"
    plans_by_course = True
    # The zones of learners and of sites, the runs that count, and the goals.
    audience_statements = 4

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        if self._course is None:
            factories.FlagFactory(name=FLAG, everyone=True)
            self._course = factories.CourseFactory(start=dates.day_start(day - timedelta(days=60)), end=None)
        people = []
        for _ in range(number):
            began = dates.day_start(day - timedelta(days=30))
            person = factories.EnrollmentFactory(course=self._course, created_at=began).user
            factories.CourseGoalFactory(user=person, course=self._course, days_per_week=days_left(day))
            if language:
                factories.LearnerProfileFactory(user=person, language=language)
            people.append(person)
        return people


class _Notice(_Switched):
    """Decisions of the day about requests of learners of one enterprise."""

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        if self._course is None:
            self._course = CustomerFactory()
        people = []
        for _ in range(number):
            person = factories.UserFactory()
            factories.LearnerProfileFactory(user=person, lms_user_id=person.pk, language=language)
            self.decide(person, dates.day_start(day) + timedelta(hours=9), site)
            people.append(person)
        return people

    @abstractmethod
    def decide(self, person: Any, moment: datetime, site: Site) -> None:
        """Let a request of somebody be decided about."""


class RequestApproved(_Notice):
    label = "subsidy_requests.request_approved"

    def decide(self, person: Any, moment: datetime, site: Site) -> None:
        request = LicenseRequestFactory(user=person, customer=self._course, fulfilled=True)
        window = ApprovalWindow.objects.create(
            user=person,
            enterprise_customer_uuid=request.enterprise_customer_uuid,
            site=site,
            opened_at=moment - timedelta(minutes=10),
            closes_at=moment,
        )
        window.items.create(
            kind=request.kind, subsidy_request_uuid=request.uuid, fulfilled_at=moment - timedelta(minutes=10)
        )


class RequestDeclined(_Notice):
    label = "subsidy_requests.request_declined"

    def decide(self, person: Any, moment: datetime, site: Site) -> None:
        request = LicenseRequestFactory(user=person, customer=self._course, state="declined")
        DeclineNotice.objects.create(
            user=person,
            enterprise_customer_uuid=request.enterprise_customer_uuid,
            site=site,
            declined_at=moment,
            kind=request.kind,
            subsidy_request_uuids=[str(request.uuid)],
            decline_reason="It is not part of the plan.",
        )


class LicenseUtilization(MessageFactory):
    """Administrators of one enterprise whose plan has three quarters of its licences allocated."""

    label = "license_notifications.license_utilization"
    one_day = False
    about_course = False
    # The plans that count, their numbers, and the administrators.
    audience_statements = 3

    def __init__(self) -> None:
        self._enterprise: Any = None

    def due(self, number: int, *, day: date, site: Site, language: str = "") -> list[Any]:
        if self._enterprise is None:
            plan = factories.SubscriptionPlanFactory(
                licenses={"activated": 3, "unassigned": 1}, start_date=dates.day_start(day - timedelta(days=90))
            )
            self._enterprise = plan.customer_agreement.enterprise_customer_uuid
        people = []
        for _ in range(number):
            person = factories.EnterpriseAdminFactory(
                enterprise_customer_uuid=self._enterprise, joined_date=dates.day_start(day - timedelta(days=7))
            ).account
            # The directory has the address; the tests ask the account.
            person.email, person.last_name = f"{person.username}@example.com", "Hopper"
            person.save()
            if language:
                LearnerProfile.objects.filter(user=person).update(language=language)
            people.append(person)
        return people

    def readdress(self, person: Any, address: str) -> None:
        EnterpriseAdmin.objects.filter(account=person).update(email=address)

    def forget(self) -> None:
        NotificationTimestamp.objects.all().delete()

    def switch(self, site: Site, *, enqueue: bool, deliver: bool) -> None:
        name = PAUSE.format(self.label.partition(".")[2])
        Switch.objects.update_or_create(name=name, defaults={"active": not (enqueue and deliver)})


class LicenseWeeklyDigest(LicenseUtilization):
    label = "license_notifications.license_weekly_digest"


FACTORIES: dict[str, type[MessageFactory]] = {
    factory.label: factory
    for factory in (
        NudgeDay3,
        NudgeDay10,
        UpgradeReminder,
        CourseUpdate,
        Enrolled,
        Paid,
        LeftDemo,
        NewContent,
        WeeklyProgress,
        GoalReminder,
        LicenseUtilization,
        LicenseWeeklyDigest,
        RequestApproved,
        RequestDeclined,
    )
}
