"""Enrolling a learner on the platform: one request to its bulk enrolment of an enterprise."""

from __future__ import annotations

from typing import Any, Final

import requests
from django.conf import settings

from courses.models import AutoEnrolment

TOKEN_PATH: Final = "/oauth2/access_token/"  # noqa: S105  (an address)
ENROL_PATH: Final = "/enterprise/api/v1/enterprise-customer/{}/enroll_learners_in_courses/"
#: Seconds to connect, and to wait for data.
TIMEOUTS: Final = (3.05, 10)


class EnrolmentRefused(RuntimeError):
    """The platform did not enrol the learner; the text says what it answered, without what it says of people."""


def enrol(row: AutoEnrolment) -> None:
    """Have the platform enrol a learner without telling them. Raises EnrolmentRefused, or OSError on the way there.

    A learner who is enrolled already is enrolled, so it may be asked again.
    """
    place: dict[str, Any] = {"user_id": row.lms_user_id, "course_run_key": row.run}
    if row.license_uuid is not None:
        place["license_uuid"] = str(row.license_uuid)
    answer = requests.post(
        _address(ENROL_PATH.format(row.enterprise_customer_uuid)),
        json={"notify": False, "licenses_info": [place]},
        headers={"Authorization": f"JWT {_token()}"},
        timeout=TIMEOUTS,
        allow_redirects=False,
    )
    if not 200 <= answer.status_code < 300:
        raise EnrolmentRefused(f"bulk enrolment answered {answer.status_code}")
    told = _json(answer)
    if told.get("failures"):
        raise EnrolmentRefused("bulk enrolment named the learner among its failures")


def _token() -> str:
    answer = requests.post(
        _address(TOKEN_PATH),
        data={
            "grant_type": "client_credentials",
            "client_id": settings.LICENSE_LMS_CLIENT_ID,
            "client_secret": settings.LICENSE_LMS_CLIENT_SECRET,
            "token_type": "jwt",
        },
        timeout=TIMEOUTS,
        allow_redirects=False,
    )
    token = _json(answer).get("access_token")
    if answer.status_code != 200 or not isinstance(token, str) or not token:
        raise EnrolmentRefused(f"the token endpoint answered {answer.status_code} and gave no token")
    return token


def _address(path: str) -> str:
    return f"{settings.LICENSE_LMS_BASE_URL.rstrip('/')}{path}"


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
