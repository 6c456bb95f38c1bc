"""The description of the API, and the API hammered by it …"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.test import Client, override_settings
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from subsidy_requests.api.schema import CODES, description
from subsidy_requests.models import EnterpriseRoleAssignment
from subsidy_requests.services.rules import TEXTS
from subsidy_requests.urls import urlpatterns
from tests.subsidy_requests.factories import CouponCodeRequestFactory, LicenseRequestFactory
from tests.subsidy_requests.scene import Scene

# It asks the same of every database, at length.
pytestmark = [pytest.mark.django_db, pytest.mark.anywhere]

SCHEMA = "/api/v1/subsidy-requests/schema/"
OPERATIONS = [
    (path, method)
    for path, operations in description()["paths"].items()
    for method in operations
    if method in ("get", "post", "patch")
]
CSRF = "x" * 32


@pytest.fixture
def caller(db: None) -> Any:
    """Somebody who may everything at one enterprise, in which there is a request of each kind."""
    scene = Scene()
    user = scene.admin
    user.is_staff = True
    user.save()
    EnterpriseRoleAssignment.objects.create(user=user, enterprise_customer_uuid=scene.enterprise, role="learner")
    user.enterprise = str(scene.enterprise)
    user.requests = [
        str(factory(customer=scene.customer).uuid) for factory in (LicenseRequestFactory, CouponCodeRequestFactory)
    ]
    return user


@pytest.fixture
def api(wsgi: Any, caller: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The API by its description, into which what there is was written, so that it is found."""
    found = description()
    known = {"anyOf": [{"const": caller.enterprise}, {"type": "string", "format": "uuid"}]}
    requests = {"anyOf": [*({"const": uuid} for uuid in caller.requests), {"type": "string", "format": "uuid"}]}
    for path, operations in found["paths"].items():
        for parameter in operations.get("parameters", []):
            parameter["schema"] = known if "configurations" in path else requests
        for operation in (operations[method] for method in ("post", "patch") if method in operations):
            properties = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
            if "enterprise_customer_uuid" in properties:
                properties["enterprise_customer_uuid"] = known
            if "subsidy_request_uuids" in properties:
                properties["subsidy_request_uuids"] = properties["subsidy_request_uuids"] | {"items": requests}
    # The session is the test's, and it is always there.
    found["components"]["securitySchemes"] = {}
    for operation in [found, *(found["paths"][path][method] for path, method in OPERATIONS)]:
        operation["security"] = []
    monkeypatch.setattr("subsidy_requests.api.schema.description", lambda: found)
    return schemathesis.openapi.from_wsgi(SCHEMA, wsgi)


@pytest.mark.slow
@pytest.mark.timeout(300)
@override_settings(SUBSIDY_REQUESTS_CALLS_PER_MINUTE=None)
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_is_described(api: Any, caller: Any, path: str, method: str, mode: Any) -> None:
    browser = Client()
    browser.force_login(caller)
    cookies = {"sessionid": browser.cookies["sessionid"].value, "csrftoken": CSRF}
    # Whether a rule allows it, and what a cursor is, no description can say; and an empty filter is none.
    excluded = [positive_data_acceptance, *([negative_data_rejection] if method == "get" else [])]

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(api[path][method.upper()].as_strategy(generation_mode=mode))
    def hammer(case: Any) -> None:
        # The tool's own client takes it for the start of a query.
        assume("?" not in case.formatted_path)
        case.call_and_validate(headers={"X-CSRFToken": CSRF}, cookies=cookies, excluded_checks=excluded)

    hammer()


def test_is_served_to_anybody() -> None:
    response = Client().get(SCHEMA)
    assert (response.status_code, response.json()) == (200, description())


def test_knows_every_address_and_every_word() -> None:
    served = {f"/api/v1/{str(pattern.pattern).replace('<str:uuid>', '{uuid}')}" for pattern in urlpatterns}
    assert served == set(description()["paths"]) | {SCHEMA}
    assert set(TEXTS) <= set(CODES)
    assert len(set(CODES)) == len(CODES)
