"""The platform's list of administrators …"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from license_notifications.directory import DirectoryError, fetch, platform
from license_notifications.directory.platform import Platform
from tests.license_notifications.lms import (
    ADMIN,
    CLIENT_ID,
    CLIENT_SECRET,
    HANGS_UP,
    LEARNER,
    LIST_PATH,
    SERVICE,
    TOKEN_PATH,
    Lms,
    answers,
    stalls,
)

ENTERPRISE, OTHER = uuid4(), uuid4()


@pytest.fixture
def lms(settings: Any) -> Iterator[Lms]:
    with Lms.running() as server:
        server.use(settings)
        yield server


@pytest.fixture
def pauses() -> list[float]:
    """How long was waited."""
    return []


@pytest.fixture
def ask(lms: Lms, pauses: list[float]) -> Any:
    """Ask for the administrators of an enterprise; waiting takes no time."""

    def asked(enterprise: UUID = ENTERPRISE, **arguments: Any) -> list[Any]:
        return fetch(enterprise, platform=connection(lms, sleep=pauses.append, **arguments))

    return asked


def connection(lms: Lms, **arguments: Any) -> Platform:
    return Platform(lms.url + "/", **{"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **arguments})


class TestReading:
    """… is read to its end, row by row."""

    def test_case_23_over_three_pages(self, lms: Lms, ask: Any) -> None:
        for number in range(24, 0, -1):
            lms.link(ENTERPRISE, number)
        assert [record.ecu_id for record in ask()] == list(range(1, 25))
        assert len(lms.asked()) == 3
        for call in lms.asked():
            assert call.query["enterprise_customer_uuid"] == [str(ENTERPRISE)]
            assert call.query["role"] == [ADMIN]
        assert len(lms.asked(TOKEN_PATH)) == 1

    def test_case_23_counts_a_number_on_two_pages_once(self, lms: Lms, ask: Any) -> None:
        for number in (*range(1, 11), 7, 11):
            lms.link(ENTERPRISE, number)
        assert [record.ecu_id for record in ask()] == list(range(1, 12))

    def test_with_what_each_row_says(self, lms: Lms, ask: Any) -> None:
        lms.link(ENTERPRISE, 5, joined_date="2026-02-01T01:02:03+01:00")
        (record,) = ask()
        assert (record.ecu_id, record.lms_user_id, record.user_name) == (5, 1005, "admin5")
        assert (record.email, record.account_active) == ("admin5@example.com", True)
        assert record.ecu_created == datetime(2026, 1, 5, 6, 7, 8, 9, tzinfo=UTC)
        assert record.joined_date == datetime(2026, 2, 1, 0, 2, 3, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("text", "moment"),
        [(None, None), ("", None), ("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC))]
        + [("2026-02-01T03:04:05", datetime(2026, 2, 1, 3, 4, 5, tzinfo=UTC))],
    )
    def test_whatever_way_a_time_is_given(self, lms: Lms, ask: Any, text: str | None, moment: datetime | None) -> None:
        lms.link(ENTERPRISE, 5, joined_date=text, created=text)
        (record,) = ask()
        assert (record.joined_date, record.ecu_created) == (moment, moment)

    def test_case_24_who_has_selected_another_enterprise_is_one_all_the_same(self, lms: Lms, ask: Any) -> None:
        lms.link(ENTERPRISE, 1, active=False)
        lms.link(ENTERPRISE, 2, user={"is_active": False})
        assert [(record.ecu_id, record.account_active) for record in ask()] == [(1, True), (2, False)]

    def test_without_rows_that_are_about_somebody_else(self, lms: Lms, ask: Any) -> None:
        lms.link(ENTERPRISE, 1)
        lms.link(ENTERPRISE, 2, user={"username": SERVICE})
        lms.link(ENTERPRISE, 3, role_assignments=None)
        lms.people[-1]["enterprise_customer"] = {"uuid": str(ENTERPRISE).upper()}
        del lms.link(ENTERPRISE, 4)["role_assignments"]
        # What a platform shows that does not know the filter.
        strangers = [lms.link(ENTERPRISE, 5, role_assignments=roles) for roles in ([], [LEARNER])]
        strangers.append(lms.link(OTHER, 6))
        page = {"next": None, "results": lms.people}
        lms.list_script.append(answers(200, json.dumps(page)))
        assert [record.ecu_id for record in ask()] == [1, 3, 4]

    def test_even_if_the_service_account_may_see_nobody_but_itself(self, lms: Lms, ask: Any) -> None:
        lms.caller_is_staff = False
        lms.link(ENTERPRISE, 1)
        lms.link(OTHER, 2, user={"username": SERVICE})
        assert ask() == []

    def test_without_address(self, lms: Lms, ask: Any) -> None:
        lms.link(ENTERPRISE, 1, user={"email": ""})
        lms.link(ENTERPRISE, 2, user={"email": None})
        assert [record.email for record in ask()] == ["", ""]

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"id": "5"}, "id of a row is str. Allowed: int"),
            ({"id": True}, "id of a row is no number"),
            ({"id": 0}, "id of a row is no number"),
            ({"id": 2**63}, "id of a row is no number"),
            ({"user": None}, "user of a row is NoneType"),
            ({"user": {}}, "user.id of a row is NoneType"),
            ({"created": "soon"}, "created of a row is no time"),
            ({"joined_date": 5}, "joined_date of a row is int"),
            ({"role_assignments": "enterprise_admin"}, "role_assignments of a row is str"),
            ({"enterprise_customer": "acme"}, "enterprise_customer of a row is str"),
        ],
    )
    def test_and_a_row_that_cannot_be_read_is_an_error(
        self, lms: Lms, ask: Any, change: dict[str, Any], named: str
    ) -> None:
        lms.link(ENTERPRISE, 1)
        broken = {**lms.people[0], **change}
        lms.list_script.append(answers(200, json.dumps({"next": None, "results": [broken]})))
        with pytest.raises(DirectoryError, match=named):
            ask()

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"username": "x" * 151}, "user.username of a row has 151 characters. Allowed: at most 150"),
            ({"username": " "}, "user.username of a row has 0"),
            ({"username": "a\x00b"}, "user.username"),
            ({"email": "x" * 255}, "user.email of a row has 255 characters"),
            ({"email": 5}, "user.email of a row is int"),
            ({"is_active": "yes"}, "user.is_active of a row is str"),
            ({"id": None}, "user.id of a row is NoneType"),
        ],
    )
    def test_so_is_one_about_an_account_that_cannot_be_one(
        self, lms: Lms, ask: Any, change: dict[str, Any], named: str
    ) -> None:
        lms.link(ENTERPRISE, 1, user=change)
        with pytest.raises(DirectoryError, match=named):
            ask()


class TestPages:
    """… has pages, and every one is needed."""

    @pytest.mark.parametrize(
        "following",
        [
            "https://127.0.0.1:{port}/enterprise/api/v1/enterprise-learner/?page=2",
            "http://localhost:{port}/enterprise/api/v1/enterprise-learner/?page=2",
            "http://127.0.0.1:1/enterprise/api/v1/enterprise-learner/?page=2",
            "http://127.0.0.1/page=2",
            "//evil.example/?page=2",
            "http://somebody@127.0.0.1:{port}/?page=2",
            "http://127.0.0.1:{port}@evil.example/?page=2",
            "http://[evil/?page=2",
            "http://127.0.0.1:port/?page=2",
            "ftp://127.0.0.1:{port}/",
            "file:///etc/passwd",
        ],
    )
    def test_one_elsewhere_is_not_called(self, lms: Lms, ask: Any, following: str) -> None:
        for number in range(11):
            lms.link(ENTERPRISE, number + 1)
        lms.following = following.replace("{port}", str(lms.port))
        with pytest.raises(DirectoryError, match="next leads to another scheme, host or port"):
            ask()
        assert len(lms.asked()) == 1

    def test_an_address_may_be_relative(self, lms: Lms, ask: Any) -> None:
        for number in range(11):
            lms.link(ENTERPRISE, number + 1)
        lms.following = f"{LIST_PATH}?enterprise_customer_uuid={ENTERPRISE}&page=2"
        assert len(ask()) == 11

    def test_no_more_than_two_hundred(self, lms: Lms, ask: Any) -> None:
        lms.page_size = 1
        for number in range(200):
            lms.link(ENTERPRISE, number + 1)
        assert len(ask()) == 200
        lms.link(ENTERPRISE, 201)
        lms.calls.clear()
        with pytest.raises(DirectoryError, match="more than 200 pages"):
            ask()
        assert len(lms.asked()) == 200

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ("<html>", "The list's answer is no JSON"),
            ("[]", "no JSON object"),
            ("{}", "results is no list of objects"),
            ('{"results": [1], "next": null}', "results is no list of objects"),
            ('{"results": [], "next": 5}', "next is int. Allowed: an address, or null"),
        ],
    )
    def test_one_of_another_shape_is_an_error(self, lms: Lms, ask: Any, body: str, named: str) -> None:
        lms.list_script.append(answers(200, body))
        with pytest.raises(DirectoryError, match=named):
            ask()
        assert len(lms.asked()) == 1

    def test_a_redirect_is_not_followed(self, lms: Lms, ask: Any) -> None:
        lms.list_script.append(answers(302, Location=f"{lms.url}/elsewhere"))
        with pytest.raises(DirectoryError, match="The list answered HTTP 302"):
            ask()
        assert [call.path for call in lms.calls] == [TOKEN_PATH, LIST_PATH]


class TestTries:
    """… is asked for again where the reason may pass by itself."""

    @pytest.mark.parametrize("faults", [[answers(500)], [answers(503), HANGS_UP], [answers(502), answers(504)]])
    @pytest.mark.parametrize("script", ["list_script", "token_script"])
    def test_up_to_three_times(self, lms: Lms, ask: Any, pauses: list[float], script: str, faults: list[Any]) -> None:
        lms.link(ENTERPRISE, 1)
        setattr(lms, script, deque(faults))
        assert len(ask()) == 1
        assert len(pauses) == len(faults)
        for waited, wanted in zip(pauses, (1, 2), strict=False):
            assert 0.8 * wanted <= waited <= 1.2 * wanted
        path = LIST_PATH if script == "list_script" else TOKEN_PATH
        assert len(lms.asked(path)) == len(faults) + 1

    @pytest.mark.parametrize(("fault", "named"), [(answers(500), "HTTP 500, 3 times"), (HANGS_UP, "ConnectionError")])
    def test_case_40_and_no_more(self, lms: Lms, ask: Any, pauses: list[float], fault: Any, named: str) -> None:
        lms.list_script.extend([fault] * 3)
        with pytest.raises(DirectoryError, match=named):
            ask()
        assert (len(lms.asked()), len(pauses)) == (3, 2)

    @pytest.mark.parametrize("status", [400, 403, 404, 429])
    def test_not_where_it_will_not(self, lms: Lms, ask: Any, pauses: list[float], status: int) -> None:
        lms.list_script.append(answers(status))
        with pytest.raises(DirectoryError, match=f"The list answered HTTP {status}"):
            ask()
        assert (len(lms.asked()), pauses) == (1, [])

    def test_case_40_also_a_page_that_does_not_come_in_time(
        self, lms: Lms, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(platform, "TIMEOUTS", (2, 0.2))
        for number in range(11):
            lms.link(ENTERPRISE, number + 1)
        lms.list_script.extend([None, stalls(1), stalls(1), stalls(1)])
        with pytest.raises(DirectoryError, match="ReadTimeout, 3 times"):
            ask()
        assert len(lms.asked()) == 4

    def test_also_a_server_that_is_not_there(self, lms: Lms, ask: Any, pauses: list[float]) -> None:
        lms.stop()
        with pytest.raises(DirectoryError, match="ConnectionError, 3 times"):
            ask()
        assert len(pauses) == 2

    @pytest.mark.parametrize("address", ["", "lms.example.com", "http://", "ftp://lms.example.com"])
    def test_not_an_address_that_is_none(self, pauses: list[float], address: str) -> None:
        asked = Platform(address, client_id="", client_secret="", sleep=pauses.append)
        with pytest.raises(DirectoryError, match="LICENSE_LMS_BASE_URL cannot be asked"):
            fetch(ENTERPRISE, platform=asked)
        assert pauses == []


class TestTokens:
    """… is shown to who has a token."""

    def test_that_is_kept_until_a_minute_before_its_end(self, lms: Lms, pauses: list[float]) -> None:
        times = [1000.0]
        asked = connection(lms, sleep=pauses.append, clock=lambda: times[-1])
        for now, tokens in ((1000.0, 1), (4539.9, 1), (4540.0, 2), (8079.0, 2), (8080.0, 3)):
            times.append(now)
            fetch(ENTERPRISE, platform=asked)
            assert len(lms.tokens) == tokens, now

    def test_that_every_connection_of_the_process_uses(self, lms: Lms, ask: Any) -> None:
        ask()
        ask(OTHER)
        assert len(lms.tokens) == 1

    @pytest.mark.parametrize("seconds", [None, 30, "3600", True])
    def test_that_is_not_kept_when_its_end_is_near_or_unknown(self, lms: Lms, ask: Any, seconds: Any) -> None:
        lms.token_seconds = seconds
        ask()
        ask()
        assert len(lms.tokens) == 2

    def test_of_any_type(self, lms: Lms, ask: Any) -> None:
        lms.token_type = "Bearer"
        ask()
        assert lms.asked()[0].authorization == "Bearer token1"

    def test_and_gets_another_one_when_it_is_refused(self, lms: Lms, ask: Any) -> None:
        for number in range(11):
            lms.link(ENTERPRISE, number + 1)
        ask()
        lms.revoked.add("token1")
        lms.calls.clear()
        assert len(ask()) == 11
        # That page again, and the next one with the new token.
        assert [call.authorization for call in lms.asked()] == ["JWT token1", "JWT token2", "JWT token2"]

    def test_but_only_once_for_a_page(self, lms: Lms, ask: Any, pauses: list[float]) -> None:
        lms.list_script.extend([answers(401), answers(401)])
        with pytest.raises(DirectoryError, match="The list answered HTTP 401"):
            ask()
        assert (len(lms.asked()), len(lms.tokens), pauses) == (2, 2, [])

    def test_not_to_who_has_none(self, lms: Lms, pauses: list[float]) -> None:
        asked = connection(lms, client_secret="wrong", sleep=pauses.append)
        with pytest.raises(DirectoryError, match="The token endpoint answered HTTP 401") as raised:
            fetch(ENTERPRISE, platform=asked)
        assert "wrong" not in str(raised.value)
        assert lms.asked() == []
        assert pauses == []

    @pytest.mark.parametrize("body", ["{}", "[]", '{"access_token": ""}', '{"access_token": 5}'])
    def test_nor_where_the_answer_has_none(self, lms: Lms, ask: Any, body: str) -> None:
        lms.token_script.append(answers(200, body))
        with pytest.raises(DirectoryError, match="no access_token"):
            ask()
