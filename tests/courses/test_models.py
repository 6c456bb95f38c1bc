"""A fact of the ground floor …"""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from courses.models import Course, CourseMode, Enrollment, Section, SiteConfiguration, SiteOrg
from tests.factories import (
    CertificateFactory,
    CourseFactory,
    CourseFlagFactory,
    CourseModeFactory,
    EnrollmentFactory,
    LearnerProfileFactory,
    SectionFactory,
    SiteConfigurationFactory,
)

pytestmark = pytest.mark.django_db


def test_is_a_course_whose_text_is_its_key() -> None:
    assert str(CourseFactory(key="course-v1:edX+C+2017")) == "course-v1:edX+C+2017"


def test_takes_organisation_and_title_from_the_key_when_they_are_blank() -> None:
    course = Course.objects.create(key="course-v1:edX+C+2017")
    assert (course.org, course.title) == ("edX", "course-v1:edX+C+2017")


def test_keeps_an_organisation_that_differs_from_the_key() -> None:
    assert Course.objects.create(key="course-v1:edX+C+2017", org="Other").org == "Other"


def test_keeps_filling_when_only_some_fields_are_saved() -> None:
    course = CourseFactory(key="course-v1:edX+C+2017")
    course.org = ""
    course.save(update_fields=["title"])
    course.refresh_from_db()
    assert course.org == "edX"


@pytest.mark.parametrize("key", ["", "C", "course-v1:edX+C", "edX/C", "course-v1:edX+C+20 17", "a b/c/d"])
def test_refuses_a_key_that_is_none_and_says_what_is_allowed(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Course(key=key).full_clean()
    messages = " ".join(caught.value.message_dict["key"])
    assert "course-v1:Org+Course+Run" in messages or "blank" in messages


@pytest.mark.parametrize("key", ["course-v1:edX+C+2017", "edX/C/2017", "course-v1:ä+C+2017"])
def test_accepts_both_forms_of_a_key(key: str) -> None:
    Course(key=key, title="x").full_clean()


def test_tells_keys_apart_that_differ_in_case_or_accent() -> None:
    for key in ("course-v1:edX+c+1", "course-v1:edX+C+1", "course-v1:edX+ç+1"):
        CourseFactory(key=key)
    assert Course.objects.filter(key="course-v1:edX+c+1").count() == 1


@pytest.mark.parametrize(("length", "accepted"), [(250, True), (251, False)])
def test_counts_the_characters_of_a_highlight(length: int, accepted: bool) -> None:
    section = Section(course=CourseFactory(), index=0, title="x", highlights=["é" * length])
    if accepted:
        section.full_clean()
        return
    with pytest.raises(ValidationError, match="251 characters"):
        section.full_clean()


@pytest.mark.parametrize("highlights", [{}, "", "text", [1], [["a"]], None])
def test_takes_only_a_list_of_texts_as_highlights(highlights: object) -> None:
    section = Section(course=CourseFactory(), index=0, highlights=highlights)
    if highlights is None:
        section.full_clean()
        assert section.highlights == []
        return
    with pytest.raises(ValidationError):
        section.full_clean()


def test_refuses_a_mode_that_no_rule_knows() -> None:
    with pytest.raises(ValidationError, match="audit, honor, verified, professional"):
        CourseMode(course=CourseFactory(), slug="gold").full_clean()


def test_is_checked_by_the_database_too() -> None:
    for write in (
        lambda: CourseFactory(price=-1),
        lambda: CourseModeFactory(price=-1),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            write()


def test_is_stored_once() -> None:
    for factory, key in (
        (EnrollmentFactory, ("user", "course")),
        (CertificateFactory, ("user", "course")),
        (SectionFactory, ("course", "index")),
        (CourseModeFactory, ("course", "slug")),
        (CourseFlagFactory, ("flag", "course")),
        (SiteConfigurationFactory, ("site",)),
    ):
        row = factory()
        with pytest.raises(IntegrityError), transaction.atomic():
            factory(**{name: getattr(row, name) for name in key})


def test_maps_a_number_on_the_platform_to_one_account_only() -> None:
    LearnerProfileFactory(lms_user_id=7)
    LearnerProfileFactory(lms_user_id=None)
    LearnerProfileFactory(lms_user_id=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        LearnerProfileFactory(lms_user_id=7)


def test_shows_no_personal_data_as_text() -> None:
    enrollment = EnrollmentFactory()
    for row in (enrollment, CertificateFactory(user=enrollment.user), LearnerProfileFactory(user=enrollment.user)):
        assert enrollment.user.username not in str(row)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("org_filter", ["a", ""]),
        ("org_filter", ["a", "a"]),
        ("org_filter", [" a"]),
        ("org_filter", "a"),
        ("org_filter", ["a" * 256]),
        ("primary_color", "red"),
        ("primary_color", "#12345"),
        ("primary_color", "#123456\n"),
        ("from_address", "no address"),
        ("from_address", "a@example.com\nBcc: b@example.com"),
        ("reply_to", "A <a@example.com>\r\nX: y"),
        ("platform_name", "One\nTwo"),
        ("list_id", "a\rb"),
        ("time_zone", "Mars/Base"),
        ("time_zone", "UTC+2"),
        ("social_links", {"facebook": "javascript:alert(1)"}),
        ("store_links", ["https://example.com"]),
    ],
)
def test_refuses_a_site_configuration_that_would_spoil_a_mail(field: str, value: object) -> None:
    configuration = SiteConfigurationFactory.build(site=SiteConfigurationFactory().site, **{field: value})
    with pytest.raises(ValidationError) as caught:
        configuration.clean_fields()
    assert field in caught.value.message_dict


def test_accepts_a_full_site_configuration() -> None:
    SiteConfigurationFactory(
        org_filter=["edX", "edx"],
        primary_color="#0a5C7d",
        from_address="Cadence <a@example.com>",
        reply_to="b@example.com",
        time_zone="asia/calcutta",
        social_links={"facebook": "https://example.com/f", "x": ""},
    ).full_clean()


def test_keeps_a_sites_organisations_as_an_ordered_list() -> None:
    configuration = SiteConfigurationFactory(org_filter=["b", "a"])
    assert SiteConfiguration.objects.get().org_filter == ["b", "a"]
    configuration.org_filter = ["a", "c", "b"]
    assert SiteConfiguration.objects.get().org_filter == ["b", "a"]
    configuration.save()
    assert SiteConfiguration.objects.get().org_filter == ["a", "c", "b"]
    configuration.org_filter.append("d")
    configuration.save()
    SiteConfiguration.objects.update_or_create(site=configuration.site, defaults={"platform_name": "Name"})
    configuration.refresh_from_db()
    assert configuration.org_filter == ["a", "c", "b", "d"]
    SiteConfiguration.objects.update_or_create(site=configuration.site, defaults={"org_filter": []})
    assert SiteConfiguration.objects.get().org_filter == []
    assert not SiteOrg.objects.exists()


def test_stores_no_list_of_organisations_that_is_none() -> None:
    configuration = SiteConfigurationFactory(org_filter=["a"])
    configuration.org_filter = "edX"
    with pytest.raises(ValidationError):
        configuration.save()
    assert SiteConfiguration.objects.get().org_filter == ["a"]


def test_saves_a_site_configuration_without_reading_its_list() -> None:
    SiteConfigurationFactory(org_filter=["a"])
    configuration = SiteConfiguration.objects.get()
    configuration.platform_name = "New"
    with CaptureQueriesContext(connection) as captured:
        configuration.save()
    assert not [query for query in captured if "siteorg" in query["sql"]]
    assert SiteConfiguration.objects.get().org_filter == ["a"]


def test_remembers_the_instant_of_enrolment() -> None:
    instant = datetime(2017, 8, 1, 9, 30, 0, 123456, tzinfo=UTC)
    assert Enrollment.objects.get(pk=EnrollmentFactory(created_at=instant).pk).created_at == instant
