"""Factories of everything on the ground floor, of goals and of licences, for all tests."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import factory
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from factory.django import DjangoModelFactory

from course_goals.models import CourseGoal
from courses.models import (
    Certificate,
    Completion,
    ContentItem,
    Course,
    CourseFlag,
    CourseMode,
    Enrollment,
    Flag,
    LearnerProfile,
    Meeting,
    Participant,
    Payment,
    Section,
    SelfPacedConfiguration,
    SiteConfiguration,
    UserActivity,
)
from license_notifications.models import (
    RUN_NAME,
    THRESHOLD_75,
    CustomerAgreement,
    EnterpriseAdmin,
    License,
    NotificationRun,
    NotificationTimestamp,
    SubscriptionPlan,
)


class QuietFactory(DjangoModelFactory):
    """A fact that is recorded without telling anybody, unless `announce` is true; most tests are not about its mail."""

    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, announce: bool = False, **kwargs: Any) -> Any:
        row = model_class(*args, **kwargs)
        row.save(announce=announce)
        return row


class UserFactory(DjangoModelFactory):
    """A mailable learner. The password counts as usable, costs no hashing and lets nobody in (use force_login)."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"learner{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    first_name = "Ada"
    last_name = factory.Sequence(lambda n: f"Lovelace{n}")
    password = "lms$usable"
    is_active = True

    class Params:
        admin = factory.Trait(is_staff=True, is_superuser=True)
        without_password = factory.Trait(password="!unusable")


class SiteFactory(DjangoModelFactory):
    """A further site; the one with SITE_ID is Django's own row."""

    class Meta:
        model = Site
        django_get_or_create = ("domain",)

    domain = factory.Sequence(lambda n: f"site{n}.example.com")
    name = factory.LazyAttribute(lambda site: site.domain.split(".")[0])


class SiteConfigurationFactory(DjangoModelFactory):
    """The configuration of a site; everything else blank, so the platform's settings hold."""

    class Meta:
        model = SiteConfiguration

    site = factory.SubFactory(SiteFactory)
    org_filter = factory.LazyFunction(list)


class CourseFactory(DjangoModelFactory):
    """A self-paced course that started on 2017-07-01 and has no end, as the baseline of the acceptance cases."""

    class Meta:
        model = Course

    class Params:
        number = factory.Sequence(lambda n: f"C{n}")

    org = "edX"
    key = factory.LazyAttribute(lambda course: f"course-v1:{course.org}+{course.number}+2017")
    title = factory.LazyAttribute(lambda course: f"Course {course.number}")
    start = datetime(2017, 7, 1, tzinfo=UTC)
    end = None
    self_paced = True


class CourseModeFactory(DjangoModelFactory):
    """A verified mode that nobody misses by date."""

    class Meta:
        model = CourseMode

    course = factory.SubFactory(CourseFactory)
    slug = "verified"
    price = 49
    expires_at = None


class SectionFactory(DjangoModelFactory):
    """A section that learners see, without highlights."""

    class Meta:
        model = Section

    course = factory.SubFactory(CourseFactory)
    index = factory.Sequence(lambda n: n)
    title = factory.LazyAttribute(lambda section: f"Section {section.index}")
    highlights = factory.LazyFunction(list)


class EnrollmentFactory(QuietFactory):
    """An active audit enrolment."""

    class Meta:
        model = Enrollment

    user = factory.SubFactory(UserFactory)
    course = factory.SubFactory(CourseFactory)
    mode = "audit"
    is_active = True


class CertificateFactory(DjangoModelFactory):
    """A certificate that can be downloaded."""

    class Meta:
        model = Certificate

    user = factory.SubFactory(UserFactory)
    course = factory.SubFactory(CourseFactory)
    status = "downloadable"


class PaymentFactory(QuietFactory):
    """A payment whose money has not arrived yet."""

    class Meta:
        model = Payment

    user = factory.SubFactory(UserFactory)
    course = factory.SubFactory(CourseFactory)
    amount = Decimal("49.00")
    currency = "usd"
    txn_ref = factory.Sequence(lambda n: f"txn-{n}")
    method = "card"
    is_successful = False


class MeetingFactory(DjangoModelFactory):
    """An ordinary meeting of a course."""

    class Meta:
        model = Meeting

    course = factory.SubFactory(CourseFactory)
    title = factory.Sequence(lambda n: f"Lesson {n}")
    key = factory.Sequence(lambda n: f"meeting-{n}")


class ParticipantFactory(QuietFactory):
    """Somebody who is still in the meeting."""

    class Meta:
        model = Participant

    meeting = factory.SubFactory(MeetingFactory)
    user = factory.SubFactory(UserFactory)


class ContentItemFactory(QuietFactory):
    """A published video."""

    class Meta:
        model = ContentItem

    course = factory.SubFactory(CourseFactory)
    kind = ContentItem.Kind.VIDEO
    title = factory.Sequence(lambda n: f"Video {n}")
    key = factory.Sequence(lambda n: f"item-{n}")


class CompletionFactory(DjangoModelFactory):
    """A video that a learner has completed now."""

    class Meta:
        model = Completion

    user = factory.SubFactory(UserFactory)
    item = factory.SubFactory(ContentItemFactory)


class UserActivityFactory(DjangoModelFactory):
    """A day on which a learner was in a course, for no known time."""

    class Meta:
        model = UserActivity

    user = factory.SubFactory(UserFactory)
    course = factory.SubFactory(CourseFactory)
    date = date(2026, 3, 2)


class LearnerProfileFactory(DjangoModelFactory):
    """An empty profile."""

    class Meta:
        model = LearnerProfile

    user = factory.SubFactory(UserFactory)


class FlagFactory(DjangoModelFactory):
    """A flag that says nothing of its own (`everyone` unknown)."""

    class Meta:
        model = Flag
        django_get_or_create = ("name",)

    name = factory.Sequence(lambda n: f"flag.number_{n}")
    everyone = None


class CourseFlagFactory(DjangoModelFactory):
    """A flag's answer "on" for one course."""

    class Meta:
        model = CourseFlag

    flag = factory.SubFactory(FlagFactory)
    course = factory.SubFactory(CourseFactory)
    on = True


class CourseGoalFactory(DjangoModelFactory):
    """A goal of three days a week with reminders."""

    class Meta:
        model = CourseGoal

    user = factory.SubFactory(UserFactory)
    course = factory.SubFactory(CourseFactory)
    days_per_week = 3
    subscribed_to_reminders = True


class SelfPacedConfigurationFactory(DjangoModelFactory):
    """Self-paced courses are allowed."""

    class Meta:
        model = SelfPacedConfiguration

    enabled = True


class CustomerAgreementFactory(DjangoModelFactory):
    """An enterprise that has a place in the admin portal."""

    class Meta:
        model = CustomerAgreement

    enterprise_customer_uuid = factory.LazyFunction(uuid.uuid4)
    enterprise_customer_name = factory.Sequence(lambda n: f"Enterprise {n}")
    enterprise_customer_slug = factory.Sequence(lambda n: f"enterprise-{n}")


class SubscriptionPlanFactory(DjangoModelFactory):
    """A plan that counts from 2020 to 2040; `licenses={"activated": 75, "unassigned": 25}` are made with it."""

    class Meta:
        model = SubscriptionPlan
        skip_postgeneration_save = True

    customer_agreement = factory.SubFactory(CustomerAgreementFactory)
    title = factory.Sequence(lambda n: f"Plan {n}")
    start_date = datetime(2020, 1, 1, tzinfo=UTC)
    expiration_date = datetime(2040, 1, 1, tzinfo=UTC)
    is_active = True
    should_auto_apply_licenses = True

    @factory.post_generation
    def licenses(self: Any, create: bool, numbers: dict[str, int] | None, **kwargs: Any) -> None:
        add_licenses(self, **numbers or {})


class LicenseFactory(DjangoModelFactory):
    """A licence that nobody has yet."""

    class Meta:
        model = License

    subscription_plan = factory.SubFactory(SubscriptionPlanFactory)


class EnterpriseAdminFactory(DjangoModelFactory):
    """An administrator of an enterprise of their own, who became one in 2020."""

    class Meta:
        model = EnterpriseAdmin

    ecu_id = factory.Sequence(lambda n: n + 1)
    enterprise_customer_uuid = factory.LazyFunction(uuid.uuid4)
    lms_user_id = factory.Sequence(lambda n: n + 1)
    user_name = factory.LazyAttribute(lambda admin: f"admin{admin.lms_user_id}")
    email = factory.LazyAttribute(lambda admin: f"{admin.user_name}@example.com")
    joined_date = datetime(2020, 1, 1, tzinfo=UTC)


class NotificationTimestampFactory(DjangoModelFactory):
    """A notice of three quarters that was sent."""

    class Meta:
        model = NotificationTimestamp

    enterprise_customer_uuid = factory.LazyFunction(uuid.uuid4)
    ecu_id = factory.Sequence(lambda n: n + 1)
    lms_user_id = factory.Sequence(lambda n: n + 1)
    kind = THRESHOLD_75
    plan_uuid = factory.LazyFunction(uuid.uuid4)
    state = NotificationTimestamp.SENT
    attempts = 1
    last_sent_at = datetime(2026, 3, 2, 6, tzinfo=UTC)


class NotificationRunFactory(DjangoModelFactory):
    """A run of the daily job."""

    class Meta:
        model = NotificationRun

    message = RUN_NAME
    site = factory.LazyFunction(Site.objects.get_current)
    slot = factory.Sequence(lambda n: f"run-{n}")


def add_licenses(plan: SubscriptionPlan, **numbers: int) -> None:
    """Give a plan so many licences of each status."""
    License.objects.bulk_create(
        [License(subscription_plan=plan, status=status) for status, number in numbers.items() for _ in range(number)],
        batch_size=5_000,
    )


def platform_site(**fields: Any) -> Site:
    """Return the site with SITE_ID, with these fields."""
    site, _created = Site.objects.update_or_create(
        pk=settings.SITE_ID, defaults={"domain": "example.com", "name": "Example"} | fields
    )
    return site
