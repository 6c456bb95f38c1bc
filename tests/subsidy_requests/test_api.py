"""The API …"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subsidy_requests import services
from subsidy_requests.models import EnterpriseRoleAssignment, LicenseRequest, SubsidyRequestCustomerConfiguration
from tests.factories import CourseFactory, UserFactory
from tests.subsidy_requests.factories import (
    CouponCodeRequestFactory,
    CustomerFactory,
    LicenseRequestFactory,
    admin_of,
)
from tests.subsidy_requests.scene import PREFIXES, Scene, carry, fresh

#: Nobody's: the same in each process that collects the tests.
SOME = UUID(int=1)

pytestmark = pytest.mark.django_db


def refused(answer: Any) -> tuple[int, str]:
    """Return status and code of an error of the one shape there is."""
    assert set(answer.json()) == {"code", "detail", "uuids"}
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("kind", ["license", "coupon"])
def test_case_13_an_administrator_of_another_enterprise_may_nothing(db: None, kind: str) -> None:
    scene = Scene(kind)
    stranger = admin_of(CustomerFactory())
    request, enterprise = scene.asked(), scene.enterprise
    forbidden = (403, "permission_denied")
    assert refused(scene.approve(request, who=stranger)) == forbidden
    assert refused(scene.decline(request, who=stranger)) == forbidden
    prefix = PREFIXES[kind]
    assert refused(scene.call(stranger, "get", f"{prefix}/?enterprise_customer_uuid={enterprise}")) == forbidden
    assert (
        refused(scene.call(stranger, "get", f"{prefix}/overview/?enterprise_customer_uuid={enterprise}")) == forbidden
    )
    body = {"subsidy_requests_enabled": False}
    assert refused(scene.call(stranger, "patch", f"customer-configurations/{enterprise}/", body)) == forbidden
    assert refused(scene.call(stranger, "get", f"customer-configurations/{enterprise}/")) == forbidden
    assert refused(scene.approve(request, who=scene.learner)) == forbidden
    assert refused(scene.decline(request, who=scene.learner)) == forbidden
    assert fresh(request).state == "requested"


def test_case_13_others_requests_are_not_there(licences: Scene) -> None:
    request = licences.asked()
    path = f"license-requests/{request.uuid}/"
    assert refused(licences.call(licences.another_learner(), "get", path)) == (404, "not_found")
    assert refused(licences.call(admin_of(CustomerFactory()), "get", path)) == (404, "not_found")
    assert licences.call(licences.learner, "get", path).json()["uuid"] == str(request.uuid)
    assert licences.call(licences.admin, "get", path).status_code == 200
    assert refused(licences.call(licences.admin, "get", f"license-requests/{uuid4()}/")) == (404, "not_found")


def test_case_13_a_request_of_another_enterprise_spoils_the_batch(licences: Scene) -> None:
    own, other = licences.asked(), LicenseRequestFactory()
    for decide in (licences.approve, licences.decline):
        answer = decide(own, other)
        assert refused(answer) == (422, "unknown_requests")
        assert answer.json()["uuids"] == [str(other.uuid)]
    missing = uuid4()
    assert licences.approve(own, missing).json()["uuids"] == [str(missing)]
    code = CouponCodeRequestFactory(customer=licences.customer)
    assert refused(licences.approve(own, code)) == (422, "unknown_requests")
    assert fresh(own).state == "requested"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "license-requests/"),
        ("post", "license-requests/"),
        ("get", "coupon-code-requests/overview/"),
        ("post", "coupon-code-requests/approve/"),
        ("post", "license-requests/decline/"),
        ("get", f"license-requests/{SOME}/"),
        ("patch", f"customer-configurations/{SOME}/"),
        ("post", "customer-configurations/"),
    ],
)
def test_nobody_gets_in_without_signing_in(method: str, path: str) -> None:
    answer = getattr(Client(), method)(f"/api/v1/{path}", data={}, content_type="application/json")
    assert refused(answer) == (401, "not_authenticated")


def test_a_session_needs_its_csrf_token(licences: Scene) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(licences.learner)
    answer = client.post("/api/v1/license-requests/", {}, content_type="application/json")
    assert refused(answer) == (403, "csrf_failed")


def test_only_a_learner_of_the_enterprise_may_ask(licences: Scene) -> None:
    assert refused(licences.ask(who=licences.admin)) == (403, "permission_denied")
    assert refused(licences.ask(who=UserFactory(admin=True))) == (403, "permission_denied")


def test_an_account_the_platform_does_not_know_cannot_ask(licences: Scene) -> None:
    user = UserFactory()
    EnterpriseRoleAssignment.objects.create(user=user, enterprise_customer_uuid=licences.enterprise, role="learner")
    assert refused(licences.ask(who=user)) == (422, "learner_unknown")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"enterprise_customer_uuid": None}, "enterprise_customer_uuid"),
        ({"enterprise_customer_uuid": "x"}, "enterprise_customer_uuid"),
        ({"enterprise_customer_uuid": 5}, "enterprise_customer_uuid"),
        ({"course_id": "course-v1:edX+DemoX+2026"}, "course_id"),
        ({"course_id": "edX"}, "course_id"),
        ({"course_id": "edX+"}, "course_id"),
        ({"course_id": "edX+Demo X"}, "course_id"),
        ({"course_id": "edX+DemoX\n"}, "course_id"),
        ({"course_id": 7}, "course_id"),
        ({"course_id": "e+" + "x" * 255}, "course_id"),
    ],
)
@pytest.mark.parametrize("kind", ["license", "coupon"])
def test_a_malformed_wish_names_the_field(db: None, kind: str, change: dict[str, Any], field: str) -> None:
    scene = Scene(kind)
    body = {"enterprise_customer_uuid": str(scene.enterprise), "course_id": "edX+DemoX"} | change
    answer = scene.call(scene.learner, "post", f"{PREFIXES[kind]}/", body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{field}: ")
    assert not scene.model.objects.exists()


def test_a_code_needs_a_course_and_a_licence_does_not(codes: Scene) -> None:
    answer = codes.ask(None)
    assert (answer.status_code, answer.json()["detail"]) == (400, "course_id: is required.")
    assert Scene("license").ask(None).json()["course_id"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subsidy_request_uuids": []}, "subsidy_request_uuids"),
        ({"subsidy_request_uuids": "x"}, "subsidy_request_uuids"),
        ({"subsidy_request_uuids": ["x"]}, "subsidy_request_uuids"),
        ({"subsidy_request_uuids": [None]}, "subsidy_request_uuids"),
        ({"subsidy_request_uuids": [str(UUID(int=number)) for number in range(101)]}, "subsidy_request_uuids"),
        ({"send_notification": "yes"}, "send_notification"),
        ({"send_notification": None}, "send_notification"),
        ({"subscription_plan_uuid": 3}, "subscription_plan_uuid"),
        ({"subscription_plan_uuid": None}, "subscription_plan_uuid"),
    ],
)
def test_a_malformed_approval_names_the_field(licences: Scene, change: dict[str, Any], field: str) -> None:
    answer = licences.approve(licences.asked(), **change)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize("coupon_id", [None, "7", 0, -1, 1.5, True, 2**63])
def test_a_coupon_is_a_number(codes: Scene, coupon_id: Any) -> None:
    answer = codes.approve(codes.asked(), coupon_id=coupon_id)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("coupon_id: ")


@pytest.mark.parametrize("reason", ["x" * 501, 5, None, "a\0b", "\ud800"])
def test_a_reason_is_a_text_that_can_be_stored(licences: Scene, reason: Any) -> None:
    answer = licences.decline(licences.asked(), decline_reason=reason)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("decline_reason: ")


@pytest.mark.parametrize("body", ["[]", "{", '{"a": NaN}', "null"])
def test_a_body_is_an_object(licences: Scene, body: str) -> None:
    answer = licences.call(licences.learner, "post", "license-requests/", body)
    assert refused(answer) == (400, "parse_error")


def test_who_has_lost_the_role_is_not_approved(licences: Scene) -> None:
    gone = licences.another_learner()
    request, other = licences.asked(who=gone), licences.asked()
    EnterpriseRoleAssignment.objects.filter(user=gone).delete()
    answer = licences.approve(request, other)
    assert refused(answer) == (422, "learner_not_linked")
    assert answer.json()["uuids"] == [str(request.uuid)]
    assert fresh(other).state == "requested"


def test_a_shortage_is_not_asked_about(db: None) -> None:
    scene = Scene(licences=0)
    assert scene.approve(scene.asked()).status_code == 200


def test_switched_off_what_was_asked_is_decided_all_the_same(licences: Scene) -> None:
    first, second = licences.asked(), licences.asked(who=licences.another_learner())
    services.configure(licences.enterprise, changed_by=licences.admin, subsidy_requests_enabled=False)
    assert licences.approve(first).status_code == 200
    assert licences.decline(second).status_code == 200


def test_a_learner_sees_the_code_and_no_reviewer(codes: Scene) -> None:
    request = codes.asked()
    codes.approve(request)
    carry()
    code = fresh(request).coupon_code
    [own] = codes.call(codes.learner, "get", "coupon-code-requests/").json()["results"]
    assert own["coupon_code"] == code
    assert not any(name.startswith("reviewer") for name in own)
    [theirs] = codes.call(codes.admin, "get", "coupon-code-requests/").json()["results"]
    assert theirs["coupon_code"] == code[-4:]
    assert theirs["reviewer_lms_user_id"] == codes.admin.learner_profile.lms_user_id
    detail = codes.call(codes.admin, "get", f"coupon-code-requests/{request.uuid}/").json()
    assert detail["coupon_code"] == code[-4:]


def test_the_title_is_that_of_the_newest_run(licences: Scene) -> None:
    CourseFactory(key="course-v1:edX+DemoX+2025", title="Old", start=timezone.now() - timedelta(days=400))
    CourseFactory(key="course-v1:edX+DemoX+2026", title="New", start=timezone.now())
    CourseFactory(key="course-v1:edX+DemoXL+2026", title="Other", start=timezone.now())
    assert licences.ask().json()["course_title"] == "New"
    assert licences.ask("edX+Unknown", who=licences.another_learner()).json()["course_title"] == "edX+Unknown"


def test_case_33_a_list_of_250(licences: Scene) -> None:
    LicenseRequestFactory.create_batch(250, customer=licences.customer)
    LicenseRequest.objects.filter(pk__in=list(LicenseRequest.objects.values_list("pk", flat=True)[:30])).update(
        state="declined"
    )
    page = licences.call(licences.admin, "get", "license-requests/").json()
    assert (len(page["results"]), set(page)) == (20, {"next", "previous", "results"})
    assert len(licences.call(licences.admin, "get", "license-requests/?page_size=500").json()["results"]) == 100
    query = "license-requests/?state=requested&state=declined&page_size=100"
    assert len(walked(licences, query)) == 250
    assert len(walked(licences, "license-requests/?state=declined")) == 30


def walked(scene: Scene, path: str) -> list[str]:
    """Return the uuids of all pages, and make sure that the way back shows the same pages."""
    pages, client = [], Client()
    client.force_login(scene.admin)
    page = client.get(f"/api/v1/{path}").json()
    while True:
        pages.append([row["uuid"] for row in page["results"]])
        if page["next"] is None:
            break
        page = client.get(page["next"]).json()
    back = [pages[-1]]
    while page["previous"] is not None:
        page = client.get(page["previous"]).json()
        back.insert(0, [row["uuid"] for row in page["results"]])
    assert back == pages
    found = [uuid for each in pages for uuid in each]
    assert len(set(found)) == len(found)
    return found


@pytest.mark.parametrize("ordering", ["created", "-created", "reviewed_at", "-reviewed_at"])
def test_every_order_shows_every_row_once(licences: Scene, ordering: str) -> None:
    same = timezone.now()
    for number in range(9):
        LicenseRequestFactory(
            customer=licences.customer,
            state="requested" if number < 4 else "declined",
            reviewed_at=None if number < 4 else same - timedelta(days=number // 3),
            created_at=same - timedelta(days=number // 3),
        )
    found = walked(licences, f"license-requests/?ordering={ordering}&page_size=2")
    rows = {str(row.uuid): row for row in LicenseRequest.objects.all()}
    field = "created_at" if "created" in ordering else "reviewed_at"
    values = [getattr(rows[uuid], field) for uuid in found]
    known = [value for value in values if value is not None]
    assert len(found) == 9
    assert known == sorted(known, reverse=ordering.startswith("-"))


def test_case_33_a_page_costs_the_same_for_one_and_for_a_hundred(licences: Scene) -> None:
    costs = []
    for number in (1, 99):
        LicenseRequestFactory.create_batch(number, customer=licences.customer, state="declined")
        with CaptureQueriesContext(connection) as queries:
            page = licences.call(licences.admin, "get", "license-requests/?page_size=100").json()
        costs.append(len(queries))
    assert len(page["results"]) == 100
    assert costs[0] == costs[1]


def test_approving_costs_one_event_more_for_each(licences: Scene) -> None:
    def cost(number: int) -> int:
        requests = LicenseRequestFactory.create_batch(number, customer=licences.customer)
        uuids = [request.uuid for request in requests]
        with CaptureQueriesContext(connection) as queries:
            services.approve(
                "license",
                uuids,
                enterprise_customer_uuid=licences.enterprise,
                subsidy_id=licences.plan.pk,
                reviewer=licences.admin,
            )
        return len([query for query in queries.captured_queries if "eventoutbox" not in query["sql"]])

    # SQLite takes at most so many parameters in a statement, so there the write of fifty rows is cut.
    one, fifty = cost(1), cost(50)
    assert fifty <= one + (6 if connection.vendor == "sqlite" else 0)


def test_who_sees_what(licences: Scene) -> None:
    own, other = licences.asked(), LicenseRequestFactory()
    staff = UserFactory(is_staff=True)

    def seen(who: Any) -> set[str]:
        return {row["uuid"] for row in licences.call(who, "get", "license-requests/").json()["results"]}

    assert seen(licences.learner) == seen(licences.admin) == {str(own.uuid)}
    assert seen(staff) == {str(own.uuid), str(other.uuid)}
    assert seen(UserFactory()) == set()


def test_filters(licences: Scene) -> None:
    first, second = licences.asked("edX+A"), licences.asked("edX+B", who=licences.another_learner())
    for query, expected in (
        ("course_id=edX%2BA", first),
        (f"lms_user_id={second.lms_user_id}", second),
    ):
        page = licences.call(licences.admin, "get", f"license-requests/?{query}").json()
        assert [row["uuid"] for row in page["results"]] == [str(expected.uuid)]


@pytest.mark.parametrize(
    "query",
    ["state=x", "page_size=0", "page_size=x", "ordering=uuid", "cursor=x", "lms_user_id=x", "course_id=x",
     "enterprise_customer_uuid=x", "cursor=WzEsMiwzXQ=="],
)  # fmt: skip
def test_a_malformed_query_names_the_field(licences: Scene, query: str) -> None:
    answer = licences.call(licences.admin, "get", f"license-requests/?{query}")
    assert refused(answer) == (400, "invalid")
    assert answer.json()["detail"].startswith(f"{query.split('=')[0]}: ")


def test_an_overview_counts_the_states(licences: Scene) -> None:
    LicenseRequestFactory.create_batch(2, customer=licences.customer)
    LicenseRequestFactory(customer=licences.customer, state="declined")
    LicenseRequestFactory()
    path = f"license-requests/overview/?enterprise_customer_uuid={licences.enterprise}"
    assert licences.call(licences.admin, "get", path).json() == [
        {"state": "requested", "count": 2},
        {"state": "declined", "count": 1},
    ]
    assert refused(licences.call(licences.learner, "get", path)) == (403, "permission_denied")


def test_an_administrator_changes_the_configuration(licences: Scene) -> None:
    path = f"customer-configurations/{licences.enterprise}/"
    answer = licences.call(licences.admin, "patch", path, {"contact_email": "new@example.com", "subsidy_type": None})
    assert (answer.status_code, answer.json()["contact_email"]) == (200, "new@example.com")
    row = SubsidyRequestCustomerConfiguration.objects.get()
    assert (row.changed_by, row.subsidy_type, row.attempt_auto_enrollment) == (licences.admin, None, False)
    assert row.history.first().history_user == licences.admin
    for body, field in (
        ({"name": "x"}, "name"),
        ({"contact_email": "x"}, "contact_email"),
        ({"subsidy_type": "learner_credit"}, "subsidy_type"),
        ({"attempt_auto_enrollment": 1}, "attempt_auto_enrollment"),
    ):
        answer = licences.call(licences.admin, "patch", path, body)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(f"{field}: ")


def test_staff_adds_an_enterprise(licences: Scene) -> None:
    staff, enterprise = UserFactory(is_staff=True), str(uuid4())
    body = {"enterprise_customer_uuid": enterprise, "name": "Harbour", "slug": "harbour"}
    assert refused(licences.call(licences.admin, "post", "customer-configurations/", body)) == (
        403,
        "permission_denied",
    )
    answer = licences.call(staff, "post", "customer-configurations/", body)
    assert answer.status_code == 201
    assert answer.json()["subsidy_requests_enabled"] is answer.json()["attempt_auto_enrollment"] is False
    assert refused(licences.call(staff, "post", "customer-configurations/", body)) == (422, "already_configured")
    assert licences.call(staff, "get", f"customer-configurations/{enterprise}/").status_code == 200
    assert refused(licences.call(staff, "get", f"customer-configurations/{uuid4()}/")) == (404, "not_found")


def test_calls_are_counted(licences: Scene, settings: Any) -> None:
    settings.SUBSIDY_REQUESTS_CALLS_PER_MINUTE = 2
    for _ in range(2):
        assert licences.call(licences.learner, "get", "license-requests/").status_code == 200
    answer = licences.call(licences.learner, "get", "license-requests/")
    assert refused(answer) == (429, "throttled")
    assert int(answer["Retry-After"]) > 0
    assert licences.call(licences.admin, "get", "license-requests/").status_code == 200


def test_a_declined_one_can_be_asked_for_again(licences: Scene) -> None:
    licences.decline(licences.asked())
    assert licences.ask().status_code == 201


def test_codes_for_two_courses_are_two_requests(codes: Scene) -> None:
    codes.asked("edX+A")
    assert codes.ask("edX+B").status_code == 201
    assert refused(codes.ask("edX+A")) == (422, "already_outstanding")


def test_one_licence_request_whatever_the_course(licences: Scene) -> None:
    licences.asked("edX+A")
    assert refused(licences.ask("edX+B")) == (422, "already_outstanding")
    other = CustomerFactory()
    EnterpriseRoleAssignment.objects.create(
        user=licences.learner, enterprise_customer_uuid=other.enterprise_customer_uuid, role="learner"
    )
    body = {"enterprise_customer_uuid": str(other.enterprise_customer_uuid), "course_id": "edX+A"}
    assert licences.call(licences.learner, "post", "license-requests/", body).status_code == 201
