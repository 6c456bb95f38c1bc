"""Roles from a token …"""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from rest_framework.authentication import BaseAuthentication

from subsidy_requests.roles import JwtRoles
from tests.factories import UserFactory
from tests.subsidy_requests.factories import CustomerFactory, LicenseRequestFactory, number_of

A, B = uuid4(), uuid4()


def token(claims: Any) -> str:
    """Return a token whose signature nobody looks at."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*parts, "signature"])


class Bearer(BaseAuthentication):
    """Takes whoever a token names."""

    def authenticate(self, request: Any) -> Any:
        from django.contrib.auth import get_user_model

        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme != "JWT":
            return None
        payload = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
        return get_user_model().objects.get(pk=payload["user_id"]), text


def roles(auth: Any) -> JwtRoles:
    return JwtRoles(SimpleNamespace(auth=auth, user=None))


@pytest.mark.parametrize("form", [dict, token, lambda claims: token(claims).encode()], ids=["claims", "text", "bytes"])
def test_the_claim_names_role_and_enterprise(form: Any) -> None:
    found = roles(
        form({"roles": [f"enterprise_admin:{A}", f"enterprise_learner:{B}", "other:x", "enterprise_admin:x"]})
    )
    assert found.enterprises("admin") == frozenset({A})
    assert found.enterprises("learner") == frozenset({B})
    assert found.has("admin", A)
    assert not found.has("admin", B)
    assert found.linked([1, 2], A) == {1, 2}


def test_a_star_stands_for_every_enterprise() -> None:
    found = roles({"roles": ["enterprise_admin:*"]})
    assert found.enterprises("admin") is None
    assert found.has("admin", UUID(int=5))
    assert found.enterprises("learner") == frozenset()


@pytest.mark.parametrize(
    "auth", [None, "", "x", "a.b.c", "a.e30.c", {"roles": "enterprise_admin:*"}, {"roles": [5]}, 7]
)
def test_garbage_gives_no_role(auth: Any) -> None:
    assert roles(auth).enterprises("admin") == frozenset()


@pytest.mark.django_db
def test_the_api_asks_the_class_that_is_named(settings: Any) -> None:
    settings.SUBSIDY_REQUESTS_ROLES = "subsidy_requests.roles.JwtRoles"
    settings.SUBSIDY_REQUESTS_AUTHENTICATION_CLASSES = [f"{__name__}.Bearer"]
    customer, user = CustomerFactory(), UserFactory()
    number_of(user)
    request = LicenseRequestFactory(customer=customer)
    enterprise = customer.enterprise_customer_uuid
    headers = {"Authorization": f"JWT {token({'user_id': user.pk, 'roles': [f'enterprise_admin:{enterprise}']})}"}
    client = Client()
    page = client.get("/api/v1/license-requests/", headers=headers).json()
    assert [row["uuid"] for row in page["results"]] == [str(request.uuid)]
    body = {"enterprise_customer_uuid": str(enterprise), "subsidy_request_uuids": [str(request.uuid)]}
    answer = client.post("/api/v1/license-requests/decline/", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    everywhere = {"Authorization": f"JWT {token({'user_id': user.pk, 'roles': ['enterprise_admin:*']})}"}
    LicenseRequestFactory()
    assert len(client.get("/api/v1/license-requests/", headers=everywhere).json()["results"]) == 2
