"""The description of the API, and the API hammered by it …"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.test import Client, override_settings
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from course_goals.api.schema import CODES, description
from course_goals.urls import urlpatterns
from courses.models import Course
from tests.factories import CourseGoalFactory

# It asks the same of every database, at length.
pytestmark = [pytest.mark.django_db, pytest.mark.anywhere]

SCHEMA = "/api/course_home/schema"
SAVE = "/api/course_home/save_course_goal"
OUTLINE = "/api/course_home/outline/{course_key}"
UNSUBSCRIBE = "/api/course_home/unsubscribe_from_course_goal/{token}"
OPERATIONS = [
    (path, method)
    for path, operations in description()["paths"].items()
    for method in operations
    if method in ("get", "post")
]
LIMITS = ("COURSE_GOALS_SAVES_PER_MINUTE", "COURSE_GOALS_OUTLINES_PER_MINUTE", "COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE")
EXCLUDED = {
    # Whether a goal is there already, which reminders without days need, no description can say.
    (SAVE, "post"): [positive_data_acceptance],
    # Leads to the page, which tells people that their link is not valid.
    (UNSUBSCRIBE, "get"): [negative_data_rejection],
}
CSRF = "x" * 32


@pytest.fixture
def api(wsgi: Any, ann: Any, course: Course, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The API by its description, into which a course and a goal's token are written, so that they are found."""
    goal = CourseGoalFactory(user=ann, course=course)
    found = description()
    for path, value in ((OUTLINE, course.key), (UNSUBSCRIBE, str(goal.unsubscribe_token))):
        [parameter] = found["paths"][path]["parameters"]
        parameter = parameter | {"schema": {"anyOf": [{"const": value}, parameter["schema"]]}}
        found["paths"][path]["parameters"] = [parameter]
    save = found["paths"][SAVE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    save["properties"]["course_id"]["anyOf"] = [{"const": course.key}, {"type": "string"}]
    # The session is the test's, and it is always there.
    found["components"]["securitySchemes"] = {}
    for operation in [found, *(found["paths"][path][method] for path, method in OPERATIONS)]:
        operation["security"] = []
    monkeypatch.setattr("course_goals.api.schema.description", lambda: found)
    return schemathesis.openapi.from_wsgi(SCHEMA, wsgi)


@pytest.mark.slow
@pytest.mark.timeout(300)
@override_settings(**dict.fromkeys(LIMITS))
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_is_described(api: Any, ann: Any, path: str, method: str, mode: Any) -> None:
    browser = Client()
    browser.force_login(ann)
    cookies = {"sessionid": browser.cookies["sessionid"].value, "csrftoken": CSRF}

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(api[path][method.upper()].as_strategy(generation_mode=mode))
    def hammer(case: Any) -> None:
        # The tool's own client takes it for the start of a query.
        assume("?" not in case.formatted_path)
        case.call_and_validate(
            headers={"X-CSRFToken": CSRF}, cookies=cookies, excluded_checks=EXCLUDED.get((path, method), [])
        )

    hammer()


def test_is_served_to_anybody() -> None:
    response = Client().get(SCHEMA)
    assert (response.status_code, response.json()) == (200, description())


def test_knows_every_address_and_every_word() -> None:
    served = {
        str(pattern.pattern).replace("<path:", "{").replace("<str:", "{").replace(">", "}") for pattern in urlpatterns
    }
    described = {path.removeprefix("/") for path in description()["paths"]}
    assert {path for path in served if path.startswith("api/")} == described | {SCHEMA.removeprefix("/")}
    assert len(set(CODES)) == len(CODES)


@override_settings(COURSE_GOALS_DAYS_RANGE=(1, 5))
def test_names_the_range_that_is_set() -> None:
    body = description()["paths"][SAVE]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["days_per_week"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 5}
