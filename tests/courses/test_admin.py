"""The admin …"""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from courses import signals
from courses.models import (
    ContentItem,
    Course,
    CourseFlag,
    Flag,
    Payment,
    SelfPacedConfiguration,
    SiteConfiguration,
)
from tests.courses.helpers import heard
from tests.factories import (
    CertificateFactory,
    CompletionFactory,
    ContentItemFactory,
    CourseFactory,
    CourseFlagFactory,
    CourseModeFactory,
    EnrollmentFactory,
    FlagFactory,
    LearnerProfileFactory,
    MeetingFactory,
    ParticipantFactory,
    PaymentFactory,
    SectionFactory,
    SelfPacedConfigurationFactory,
    SiteConfigurationFactory,
    SiteFactory,
    UserActivityFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db

KEY = "course-v1:edX+C+2017"

FACTORIES = {
    "course": CourseFactory,
    "section": SectionFactory,
    "coursemode": CourseModeFactory,
    "enrollment": EnrollmentFactory,
    "certificate": CertificateFactory,
    "contentitem": ContentItemFactory,
    "meeting": MeetingFactory,
    "payment": PaymentFactory,
    "participant": ParticipantFactory,
    "completion": CompletionFactory,
    "useractivity": UserActivityFactory,
    "learnerprofile": LearnerProfileFactory,
    "siteconfiguration": SiteConfigurationFactory,
    "flag": FlagFactory,
    "courseflag": CourseFlagFactory,
    "selfpacedconfiguration": SelfPacedConfigurationFactory,
}


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(UserFactory(admin=True))
    return client


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


@pytest.mark.parametrize("name", FACTORIES)
def test_needs_the_same_queries_for_one_row_and_for_fifty(operator: Client, name: str) -> None:
    url = reverse(f"admin:courses_{name}_changelist")
    editor = UserFactory()
    fields = {"changed_by": editor} if name == "selfpacedconfiguration" else {}
    FACTORIES[name](**fields)
    queries(operator, url)
    one = queries(operator, url)
    FACTORIES[name].create_batch(49, **fields)
    assert queries(operator, url) == one


@pytest.mark.parametrize("name", FACTORIES)
def test_opens_every_form(operator: Client, name: str) -> None:
    row = FACTORIES[name]()
    assert operator.get(reverse(f"admin:courses_{name}_add")).status_code == 200
    assert operator.get(reverse(f"admin:courses_{name}_change", args=[row.pk])).status_code == 200


def test_needs_the_same_queries_for_a_flag_with_many_courses(operator: Client) -> None:
    flag = CourseFlagFactory().flag
    url = reverse("admin:courses_flag_change", args=[flag.pk])
    queries(operator, url)
    one = queries(operator, url)
    CourseFlagFactory.create_batch(20, flag=flag)
    assert queries(operator, url) == one


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("course", "key", KEY),
        ("section", "course__key", KEY),
        ("coursemode", "course__key", KEY),
        ("contentitem", "course__key", KEY),
        ("contentitem", "key", "video-one"),
        ("meeting", "course__key", KEY),
        ("meeting", "key", "room-one"),
        ("enrollment", "course__key", KEY),
        ("enrollment", "user__username", "ada"),
        ("certificate", "user__username", "ada"),
        ("payment", "course__key", KEY),
        ("payment", "user__username", "ada"),
        ("payment", "txn_ref", "txn-one"),
        ("participant", "user__username", "ada"),
        ("participant", "meeting__key", "room-one"),
        ("completion", "user__username", "ada"),
        ("completion", "item__key", "video-one"),
        ("useractivity", "course__key", KEY),
        ("useractivity", "user__username", "ada"),
        ("learnerprofile", "user__username", "ada"),
        ("siteconfiguration", "site__domain", "one.example.com"),
        ("flag", "name", "some.flag"),
    ],
)
def test_finds_rows_by_exact_key_or_name(operator: Client, name: str, field: str, value: str) -> None:
    FACTORIES[name](**{field: value})
    FACTORIES[name]()
    url = reverse(f"admin:courses_{name}_changelist")
    assert operator.get(url, {"q": value}).context["cl"].result_count == 1
    assert operator.get(url, {"q": value[:-1]}).context["cl"].result_count == 0


def test_knows_the_flag_once_with_its_courses() -> None:
    assert [model for model in admin.site._registry if issubclass(model, Flag)] == [Flag]
    assert [inline.model for inline in admin.site._registry[Flag].inlines] == [CourseFlag]


def test_switches_a_flag_on_for_a_course(operator: Client) -> None:
    flag, course = FlagFactory(), CourseFactory()
    data = {
        "name": flag.name,
        "everyone": "unknown",
        "created_0": "2026-01-01",
        "created_1": "00:00:00",
        "modified_0": "2026-01-01",
        "modified_1": "00:00:00",
        "course_rows-TOTAL_FORMS": "1",
        "course_rows-INITIAL_FORMS": "0",
        "course_rows-0-course": str(course.pk),
        "course_rows-0-on": "on",
    }
    assert operator.post(reverse("admin:courses_flag_change", args=[flag.pk]), data).status_code == 302
    assert CourseFlag.objects.filter(flag=flag, course=course, on=True).exists()
    page = operator.get(reverse("admin:courses_flag_change", args=[flag.pk])).content.decode()
    assert course.key in page


@pytest.mark.parametrize("name", FACTORIES)
def test_is_closed_without_the_permission(client: Client, name: str) -> None:
    client.force_login(UserFactory(is_staff=True))
    url = reverse(f"admin:courses_{name}_changelist")
    assert client.get(url).status_code == 403
    viewer = UserFactory(is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename=f"view_{name}", content_type__app_label="courses"))
    client.force_login(viewer)
    assert client.get(url).status_code == 200
    assert client.get(reverse(f"admin:courses_{name}_add")).status_code == 403


def course_form(course: Course, **fields: Any) -> dict[str, Any]:
    start = fields.pop("start", course.start)
    data = {
        "key": course.key,
        "title": course.title,
        "org": course.org,
        "is_active": "on",
        "currency": "",
        "start_0": start.strftime("%Y-%m-%d") if start else "",
        "start_1": start.strftime("%H:%M:%S") if start else "",
        "end_0": "",
        "end_1": "",
    }
    return data | fields


def save(client: Client, course: Course, **fields: Any) -> str:
    """Save the course's form; return the error beside the pacing."""
    response = client.post(reverse("admin:courses_course_change", args=[course.pk]), course_form(course, **fields))
    course.refresh_from_db()
    if response.status_code == 302:
        return ""
    return " ".join(response.context["adminform"].form.errors.get("self_paced", []))


def test_makes_a_course_self_paced_only_while_allowed_and_before_its_start(operator: Client) -> None:
    future, past = timezone.now() + timedelta(days=2), timezone.now() - timedelta(days=2)
    course = CourseFactory(self_paced=False, start=future)
    assert "switched off" in save(operator, course, self_paced="on")
    SelfPacedConfigurationFactory(enabled=True)
    SelfPacedConfigurationFactory(enabled=False)
    assert "switched off" in save(operator, course, self_paced="on")
    SelfPacedConfigurationFactory(enabled=True)
    assert "has started" in save(operator, course, self_paced="on", start=past)
    assert "no start" in save(operator, course, self_paced="on", start=None)
    assert not course.self_paced
    assert save(operator, course, self_paced="on") == ""
    assert course.self_paced


def test_lets_other_facts_of_a_course_be_edited_at_any_time(operator: Client) -> None:
    course = CourseFactory(self_paced=True)
    assert save(operator, course, self_paced="on", title="New title") == ""
    assert (course.title, course.self_paced) == ("New title", True)
    assert save(operator, course) == ""
    assert not course.self_paced


def test_says_what_a_course_key_looks_like(operator: Client) -> None:
    response = operator.post(reverse("admin:courses_course_add"), {"key": "nonsense", "is_active": "on"})
    assert "course-v1:Org+Course+Run" in response.content.decode()


def site_form(**fields: Any) -> dict[str, Any]:
    return {"site": SiteFactory().pk, "org_filter": "", "social_links": "{}", "store_links": "{}"} | fields


def test_edits_the_organisations_of_a_site_one_per_line(operator: Client) -> None:
    url = reverse("admin:courses_siteconfiguration_add")
    assert operator.post(url, site_form(org_filter="edX\r\n filtered_org \r\n\r\n")).status_code == 302
    configuration = SiteConfiguration.objects.get()
    assert configuration.org_filter == ["edX", "filtered_org"]
    page = operator.get(reverse("admin:courses_siteconfiguration_change", args=[configuration.pk])).content.decode()
    assert "edX\nfiltered_org</textarea>" in page


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("org_filter", "edX\n\nother", "is blank"),
        ("org_filter", "edX\nedX ", "more than once"),
        ("primary_color", "blue", "#RRGGBB"),
        ("from_address", "nobody", "valid email address"),
        ("from_address", "a@example.com\nBcc: b@example.com", "one line"),
        ("time_zone", "Mars/Base", "IANA"),
        ("social_links", '{"facebook": "javascript:x"}', "https://"),
        ("store_links", "[]", "object"),
        ("logo_url", "ftp://example.com", "https://"),
    ],
)
def test_refuses_a_site_configuration_that_would_spoil_a_mail(
    operator: Client, field: str, value: str, message: str
) -> None:
    response = operator.post(reverse("admin:courses_siteconfiguration_add"), site_form(**{field: value}))
    assert response.status_code == 200
    assert message in " ".join(response.context["adminform"].form.errors[field])
    assert not SiteConfiguration.objects.exists()


def test_accepts_an_empty_site_configuration(operator: Client) -> None:
    data = site_form(social_links="", store_links="")
    assert operator.post(reverse("admin:courses_siteconfiguration_add"), data).status_code == 302
    configuration = SiteConfiguration.objects.get()
    assert (configuration.org_filter, configuration.social_links) == ([], {})


def test_switches_self_paced_courses_on_with_a_new_row(operator: Client) -> None:
    url = reverse("admin:courses_selfpacedconfiguration_add")
    assert operator.post(url, {"enabled": "on"}).status_code == 302
    assert SelfPacedConfiguration.objects.get().enabled
    assert "checked" in operator.get(url).content.decode()


def payment_form(**fields: Any) -> dict[str, Any]:
    return {"method": "card", "paid_at_0": "", "paid_at_1": "", "course": "", "enrollment": ""} | fields


def test_lets_the_success_of_a_payment_be_corrected_and_not_what_was_paid(operator: Client) -> None:
    payment = PaymentFactory()
    url = reverse("admin:courses_payment_change", args=[payment.pk])
    data = payment_form(is_successful="on", amount="1.00", currency="eur", txn_ref="other", user=UserFactory().pk)
    with heard(signals.payments_completed) as calls:
        assert operator.post(url, data).status_code == 302
    stored = Payment.objects.get()
    assert (stored.user, stored.amount, stored.currency) == (payment.user, payment.amount, payment.currency)
    assert (stored.txn_ref, stored.is_successful) == (payment.txn_ref, True)
    assert [(call["payments"], call["announce"]) for call in calls] == [([payment], True)]


def test_adds_payments_without_a_transaction(operator: Client) -> None:
    for _ in range(2):
        data = payment_form(user=UserFactory().pk, amount="5", currency="usd", txn_ref="")
        data |= {"created_at_0": "2026-03-02", "created_at_1": "09:00:00"}
        assert operator.post(reverse("admin:courses_payment_add"), data).status_code == 302
    assert list(Payment.objects.values_list("txn_ref", flat=True)) == [None, None]


def test_shows_when_an_item_was_first_published_and_lets_nobody_change_it(operator: Client) -> None:
    item = ContentItemFactory(is_published=False)
    data = {"course": item.course_id, "kind": "quiz", "title": "New", "url": "", "key": "", "is_published": "on"}
    data |= {"published_at_0": "2020-01-01", "published_at_1": "00:00:00"}
    assert operator.post(reverse("admin:courses_contentitem_change", args=[item.pk]), data).status_code == 302
    stored = ContentItem.objects.get()
    assert (stored.kind, stored.key) == ("quiz", None)
    assert timezone.now() - stored.published_at < timedelta(minutes=1)
