"""The schedules' admin pages …"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from courses.models import Course
from courses.paginator import BoundedPaginator
from schedules.models import (
    CourseDynamicUpgradeDeadlineConfiguration,
    DynamicUpgradeDeadlineConfiguration,
    OrgDynamicUpgradeDeadlineConfiguration,
    Schedule,
    ScheduleConfig,
    ScheduleCreationRecord,
    ScheduleExperience,
)
from tests import factories

from .scene import at, configure, enroll, offered, started

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]

LIST = "/admin/schedules/schedule/"
SETTINGS = (
    "scheduleconfig",
    "dynamicupgradedeadlineconfiguration",
    "orgdynamicupgradedeadlineconfiguration",
    "coursedynamicupgradedeadlineconfiguration",
)
ACTIONS = {
    "activate": {"active": True},
    "deactivate": {"active": False},
    "switch_to_experience_0": {"experience__experience_type": 0},
    "switch_to_experience_1": {"experience__experience_type": 1},
}


def staff(*permissions: str) -> Client:
    user = factories.UserFactory(is_staff=True)
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(codename=name, content_type__app_label="schedules"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    client = Client()
    client.force_login(factories.UserFactory(admin=True))
    return client


def queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


def text(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def shown(client: Client, url: str) -> list[Any]:
    return [row.pk for row in client.get(url).context["cl"].result_list]


@pytest.mark.parametrize("name", [*SETTINGS, "schedule", "schedulecreationrecord"])
def test_open_at_their_documented_addresses(operator: Client, name: str) -> None:
    assert operator.get(f"/admin/schedules/{name}/").status_code == 200


@pytest.mark.parametrize("name", ["course_modes/coursemode", "self_paced/selfpacedconfiguration"])
def test_open_at_the_platforms_addresses_too(operator: Client, name: str) -> None:
    assert operator.get(f"/admin/{name}/", follow=True).status_code == 200


def test_list_schedules_with_the_same_queries_for_1_and_for_50(operator: Client, c: Course) -> None:
    started(c, "07-29", experience=None)
    queries(operator, LIST)
    one = len(queries(operator, LIST))
    for number in range(49):
        started(c, "07-29", experience=number % 2)
    assert len(queries(operator, LIST)) == one


def test_count_no_whole_table(operator: Client, c: Course) -> None:
    started(c, "07-29")
    for url in (LIST, "/admin/schedules/schedulecreationrecord/", *(f"/admin/schedules/{name}/" for name in SETTINGS)):
        counts = [sql for sql in queries(operator, url) if "COUNT(" in sql.upper()]
        assert counts
        assert all("LIMIT 10000" in sql for sql in counts)


def test_show_a_missing_experience_as_0(operator: Client, c: Course) -> None:
    schedule = started(c, "07-29", experience=None)
    page = text(operator, LIST)
    assert '<td class="field-experience_type">0</td>' in page
    assert schedule.enrollment.user.username in page
    assert c.key in page


def test_filter_schedules_by_exact_course_key(operator: Client, c: Course, d: Course) -> None:
    mine, _other = started(c, "07-29"), started(d, "07-29")
    url = f"{LIST}?course=course-v1%3AedX%2BC%2B2017"
    assert shown(operator, url) == [mine.pk]
    page = text(operator, f"{url}&q=learner&active__exact=1")
    assert 'name="course" value="course-v1:edX+C+2017"' in page
    assert '<input type="hidden" name="q" value="learner">' in page
    assert '<input type="hidden" name="active__exact" value="1">' in page
    assert shown(operator, f"{LIST}?course=") == shown(operator, LIST)
    assert shown(operator, f"{LIST}?course=nonsense") == []


def test_name_no_course_in_the_filter(operator: Client, days: Any) -> None:
    enroll(offered("C"))
    offered("E")
    assert "course-v1:edX+E+2017" not in text(operator, LIST)


def test_escape_what_was_typed_as_course_key(operator: Client, c: Course) -> None:
    assert "<script>" not in text(operator, f"{LIST}?course=%22%3E%3Cscript%3E").replace('<script src="', "")


def test_filter_schedules_by_experience(operator: Client, c: Course) -> None:
    missing, nudges, updates = (started(c, "07-29", experience=value) for value in (None, 0, 1))
    assert shown(operator, f"{LIST}?experience=0") == [nudges.pk, missing.pk]
    assert shown(operator, f"{LIST}?experience=1") == [updates.pk]


def test_filter_schedules_by_active(operator: Client, c: Course) -> None:
    on, off = started(c, "07-29"), started(c, "07-29")
    Schedule.objects.filter(pk=off.pk).update(active=False)
    assert shown(operator, f"{LIST}?active__exact=0") == [off.pk]
    assert shown(operator, f"{LIST}?active__exact=1") == [on.pk]


def test_search_schedules_by_how_a_user_name_begins(operator: Client, c: Course) -> None:
    ann, bea = (started(c, "07-29", user=factories.UserFactory(username=name)) for name in ("ann.lee", "bea"))
    assert shown(operator, f"{LIST}?q=ann") == [ann.pk]
    assert shown(operator, f"{LIST}?q=bea") == [bea.pk]
    assert shown(operator, f"{LIST}?q=lee") == []


@pytest.mark.parametrize(("name", "expected"), ACTIONS.items())
@pytest.mark.parametrize("experience", [None, 0, 1])
def test_carry_out_actions_on_the_chosen_schedules(
    operator: Client, c: Course, clock: Any, name: str, expected: dict[str, Any], experience: int | None
) -> None:
    chosen = [started(c, "07-29", experience=experience) for _ in range(3)]
    other = started(c, "07-29", experience=experience)
    Schedule.objects.update(active=name != "activate")
    before = Schedule.objects.values("active", "experience__experience_type", "modified").get(pk=other.pk)
    clock.move_to(at("08-02"))
    response = operator.post(LIST, {"action": name, "_selected_action": [row.pk for row in chosen]}, follow=True)
    ids = [row.pk for row in chosen]
    assert Schedule.objects.filter(pk__in=ids, **expected).count() == 3
    assert Schedule.objects.values("active", "experience__experience_type", "modified").get(pk=other.pk) == before
    if "active" in expected:
        assert Schedule.objects.filter(pk__in=ids, modified=at("08-02")).count() == 3
    changed = 0 if expected.get("experience__experience_type") == (experience or 0) else 3
    assert f"{changed} schedules changed." in response.content.decode()


def test_change_nothing_by_a_get(operator: Client, c: Course) -> None:
    schedule = started(c, "07-29", experience=0)
    operator.get(f"{LIST}?action=deactivate&_selected_action={schedule.pk}")
    assert Schedule.objects.get().active


def form_of(schedule: Schedule, **changes: Any) -> dict[str, Any]:
    return {
        "start_date_0": "2017-07-29",
        "start_date_1": "00:00:00",
        "upgrade_deadline_0": "",
        "upgrade_deadline_1": "",
        "experience_type": "0",
        "active": "on",
    } | changes


def test_edit_dates_and_experience_and_warn(operator: Client, c: Course) -> None:
    schedule = started(c, "07-29", experience=None)
    url = f"{LIST}{schedule.pk}/change/"
    page = text(operator, url)
    assert "next recompute of the course overwrites" in page
    assert '<option value="0" selected>' in page
    data = form_of(
        schedule, start_date_1="12:00", upgrade_deadline_0="2017-08-08", upgrade_deadline_1="00:00", experience_type="1"
    )
    assert operator.post(url, data).status_code == 302
    stored = Schedule.objects.get()
    assert (stored.start_date, stored.upgrade_deadline) == (at("07-29 12:00"), at("08-08"))
    assert stored.experience.experience_type == 1
    assert '<option value="1" selected>' in text(operator, url)


def test_write_no_experience_that_was_not_edited(operator: Client, c: Course) -> None:
    schedule = started(c, "07-29", experience=None)
    assert operator.post(f"{LIST}{schedule.pk}/change/", form_of(schedule)).status_code == 302
    assert not ScheduleExperience.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"), [("experience_type", "2"), ("experience_type", ""), ("start_date_0", ""), ("start_date_0", "x")]
)
def test_refuse_a_schedule_that_makes_no_sense(operator: Client, c: Course, field: str, value: str) -> None:
    schedule = started(c, "07-29", experience=0)
    response = operator.post(f"{LIST}{schedule.pk}/change/", form_of(schedule, **{field: value}))
    assert response.status_code == 200
    assert response.context["adminform"].form.errors


def test_let_nobody_add_or_delete_a_schedule(operator: Client, c: Course) -> None:
    schedule = started(c, "07-29")
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes"}).status_code == 403
    operator.post(LIST, {"action": "delete_selected", "_selected_action": schedule.pk, "post": "yes"})
    assert Schedule.objects.exists()


def test_let_an_account_be_deleted_with_its_schedules(operator: Client, site: Site, c: Course) -> None:
    user = started(c, "07-29").enrollment.user
    configure(site, hold_back_ratio=1)
    enroll(offered("E"), user=user)
    response = operator.post(reverse("admin:accounts_user_delete", args=[user.pk]), {"post": "yes"})
    assert response.status_code == 302
    assert not Schedule.objects.exists()
    assert not ScheduleCreationRecord.objects.exists()


def test_only_show_why_there_is_no_schedule(operator: Client, site: Site, c: Course) -> None:
    configure(site, hold_back_ratio=1)
    record = enroll(c).schedule_creation_record
    url = "/admin/schedules/schedulecreationrecord/"
    assert "held_back" in text(operator, url)
    assert shown(operator, f"{url}?outcome=failed") == []
    assert shown(operator, f"{url}?outcome=held_back") == [record.pk]
    page = text(operator, f"{url}{record.pk}/change/")
    assert "_save" not in page
    assert operator.post(f"{url}{record.pk}/change/", {"outcome": "failed"}).status_code == 403
    assert operator.get(f"{url}add/").status_code == 403
    assert operator.post(f"{url}{record.pk}/delete/", {"post": "yes"}).status_code == 403


def test_list_why_there_is_no_schedule_with_the_same_queries_for_1_and_for_50(
    operator: Client, site: Site, c: Course
) -> None:
    configure(site, hold_back_ratio=1)
    enroll(c)
    url = "/admin/schedules/schedulecreationrecord/"
    queries(operator, url)
    one = len(queries(operator, url))
    for _ in range(49):
        enroll(c)
    assert len(queries(operator, url)) == one


def config_form(site: Site, **changes: Any) -> dict[str, Any]:
    return {"site": site.pk, "create_schedules": "on", "hold_back_ratio": "0"} | changes


@pytest.mark.parametrize("ratio", ["1.5", "-0.1", "nan", "inf", "", "half"])
def test_case_013_refuse_a_ratio_outside_0_to_1(operator: Client, site: Site, ratio: str) -> None:
    before = ScheduleConfig.objects.count()
    response = operator.post("/admin/schedules/scheduleconfig/add/", config_form(site, hold_back_ratio=ratio))
    assert response.status_code == 200
    assert "hold_back_ratio" in response.context["adminform"].form.errors
    assert ScheduleConfig.objects.count() == before


@pytest.mark.parametrize("ratio", ["0", "1", "0.25"])
def test_take_a_ratio_from_0_to_1(operator: Client, site: Site, ratio: str) -> None:
    assert operator.post(
        "/admin/schedules/scheduleconfig/add/", config_form(site, hold_back_ratio=ratio)
    ).status_code == 302  # fmt: skip
    row = ScheduleConfig.current(site)
    assert (row.hold_back_ratio, row.create_schedules, row.enqueue_recurring_nudge) == (float(ratio), True, False)
    assert row.changed_by is not None


def test_show_the_history_of_a_sites_switches_newest_first(operator: Client, site: Site, clock: Any) -> None:
    first = ScheduleConfig.objects.get()
    clock.move_to(at("08-02"))
    second, third = configure(site), configure(site)
    url = "/admin/schedules/scheduleconfig/"
    rows = operator.get(url).context["cl"].result_list
    assert [(row.pk, bool(row.is_active)) for row in rows] == [
        (third.pk, True), (second.pk, False), (first.pk, False),
    ]  # fmt: skip
    page = text(operator, f"{url}{first.pk}/change/")
    assert "_save" not in page
    assert "Enabled" not in page


@pytest.mark.parametrize("name", SETTINGS)
def test_list_settings_with_the_same_queries_for_1_and_for_50(operator: Client, site: Site, name: str) -> None:
    editor = factories.UserFactory()

    def add() -> None:
        if name == "scheduleconfig":
            configure(site, changed_by=editor)
        elif name == "dynamicupgradedeadlineconfiguration":
            DynamicUpgradeDeadlineConfiguration.objects.create(changed_by=editor)
        elif name == "orgdynamicupgradedeadlineconfiguration":
            OrgDynamicUpgradeDeadlineConfiguration.objects.create(org_id="edX", changed_by=editor)
        else:
            key = "course-v1:edX+C+2017"
            CourseDynamicUpgradeDeadlineConfiguration.objects.create(course_id=key, changed_by=editor)

    url = f"/admin/schedules/{name}/"
    add()
    queries(operator, url)
    one = len(queries(operator, url))
    for _ in range(48):
        add()
    assert len(queries(operator, url)) == one


@pytest.mark.parametrize("key", ["edX", "course-v1:edX+C", "course-v1:edX+C+2017 x", "block-v1:a+b+c"])
def test_say_what_a_course_key_of_a_deadline_looks_like(operator: Client, key: str) -> None:
    url = "/admin/schedules/coursedynamicupgradedeadlineconfiguration/add/"
    response = operator.post(url, {"enabled": "on", "course_id": key, "deadline_days": "7"})
    assert response.status_code == 200
    (message,) = response.context["adminform"].form.errors["course_id"]
    assert key in message
    assert "course-v1:Org+Course+Run" in message
    assert operator.post(
        url, {"enabled": "on", "course_id": " course-v1:edX+C+2017 ", "deadline_days": "7"}
    ).status_code == 302  # fmt: skip
    assert CourseDynamicUpgradeDeadlineConfiguration.objects.get().course_id == "course-v1:edX+C+2017"


@pytest.mark.parametrize("days", ["0", "-1", ""])
@pytest.mark.parametrize(("name", "key"), [
    ("dynamicupgradedeadlineconfiguration", {}),
    ("orgdynamicupgradedeadlineconfiguration", {"org_id": "edX"}),
    ("coursedynamicupgradedeadlineconfiguration", {"course_id": "course-v1:edX+C+2017"}),
])  # fmt: skip
def test_refuse_less_than_one_day_to_upgrade(operator: Client, name: str, key: dict[str, str], days: str) -> None:
    response = operator.post(f"/admin/schedules/{name}/add/", {"enabled": "on", "deadline_days": days, **key})
    assert "deadline_days" in response.context["adminform"].form.errors


def test_start_a_new_setting_from_the_one_in_force(operator: Client) -> None:
    DynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, deadline_days=17)
    assert 'value="17"' in text(operator, "/admin/schedules/dynamicupgradedeadlineconfiguration/add/")
    row = OrgDynamicUpgradeDeadlineConfiguration.objects.create(enabled=True, org_id="edX", deadline_days=18)
    url = "/admin/schedules/orgdynamicupgradedeadlineconfiguration/"
    assert f"add/?source={row.pk}" in text(operator, url)
    page = text(operator, f"{url}add/?source={row.pk}")
    assert 'value="18"' in page
    assert 'value="edX"' in page


def test_put_an_old_setting_back_in_force(operator: Client, site: Site, clock: Any) -> None:
    old = ScheduleConfig.objects.get()
    clock.move_to(at("08-02"))
    configure(site, create_schedules=False)
    operator.post("/admin/schedules/scheduleconfig/", {"action": "revert", "_selected_action": old.pk})
    assert ScheduleConfig.current(site).create_schedules is True
    assert ScheduleConfig.objects.count() == 3


@pytest.mark.parametrize("name", SETTINGS)
def test_let_a_reader_of_settings_change_none(site: Site, name: str) -> None:
    old = ScheduleConfig.objects.get()
    configure(site, create_schedules=False)
    reader = staff(f"view_{name}", f"change_{name}")
    url = f"/admin/schedules/{name}/"
    assert reader.get(url).status_code == 200
    assert reader.get(f"{url}add/").status_code == 403
    reader.post(url, {"action": "revert", "_selected_action": old.pk})
    reader.post(f"{url}{old.pk}/change/", config_form(site))
    assert ScheduleConfig.objects.count() == 2


def test_let_a_reader_of_schedules_change_none(c: Course) -> None:
    schedule = started(c, "07-29", experience=None)
    reader = staff("view_schedule")
    page = text(reader, f"{LIST}{schedule.pk}/change/")
    assert "_save" not in page
    for action in ACTIONS:
        reader.post(LIST, {"action": action, "_selected_action": schedule.pk})
    assert reader.post(f"{LIST}{schedule.pk}/change/", form_of(schedule, experience_type="1")).status_code == 403
    assert Schedule.objects.get().active
    assert not ScheduleExperience.objects.exists()


def test_are_closed_to_staff_without_a_right(c: Course) -> None:
    for name in (*SETTINGS, "schedule", "schedulecreationrecord"):
        assert staff().get(f"/admin/schedules/{name}/").status_code == 403


def test_show_no_more_pages_than_the_paginator_counts(
    operator: Client, c: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 60)
    for _ in range(70):
        started(c, "07-29")
    assert len(shown(operator, f"{LIST}?p=2")) == 10
