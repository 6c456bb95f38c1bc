"""The stand-in for Braze: as strict as the original, with faults on demand, and open about what came."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from email_automation.braze_standin import defaults, rules
from email_automation.braze_standin.server import BrazeStandIn

ROOT = Path(__file__).resolve().parents[2]
PATH = "/campaigns/trigger/send"
DIGEST = defaults.CAMPAIGNS["license_weekly_digest"]
# As the decision record prints it: a comma is missing, and dots stand for what is left out.
RECORD = """{
  "campaign_id": "campaign_id",
  "trigger_properties": {
    "enterprise_customer_id": "enterprise_customer_id",
    "subscription_plan_uuid" : "subscription_plan_uuid",
    "allocated_license_count" : 8,
    "total_license_count": 10
  }
  "recipients":
    [{
      "external_user_id": "enterprise_admin_user_id_1",
      "trigger_properties": {
        "user_name": "enterprise_admin_user_1"
        ...
      }
    }]
}"""


@pytest.fixture
def server() -> Iterator[BrazeStandIn]:
    with BrazeStandIn().running() as running:
        yield running


def somebody(user: Any = "7", **fields: Any) -> dict[str, Any]:
    return {
        "external_user_id": user,
        "send_to_existing_only": False,
        "attributes": {"email": f"u{user}@example.com"},
        **fields,
    }


def order(*recipients: Any, **fields: Any) -> dict[str, Any]:
    return {"campaign_id": DIGEST, "trigger_properties": {"a": 1}, "recipients": [*recipients], **fields}


def post(server: BrazeStandIn, body: Any, *, key: str = defaults.KEY, path: str = PATH, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **options.pop("headers", {})}
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return requests.post(f"{server.url}{path}", data=data, headers=headers, timeout=5, **options)


def refused(server: BrazeStandIn, body: Any, **options: Any) -> tuple[int, str]:
    reply = post(server, body, **options)
    assert server.accepted == []
    return reply.status_code, reply.json()["message"]


class TestRefusals:
    def test_case_46_answers_as_strictly_as_the_original(self, server: BrazeStandIn) -> None:
        many = [somebody(str(number)) for number in range(51)]
        both = somebody(user_alias={"alias_name": "a", "alias_label": "b"}, send_to_existing_only=True)
        assert refused(server, order(*many)) == (400, rules.TOO_MANY)
        assert refused(server, order(somebody(7)))[0] == 400
        assert refused(server, order(somebody()), key=f'"{defaults.KEY}"')[0] == 401
        assert requests.get(server.url + PATH, timeout=5).status_code == 405
        assert refused(server, order(both))[0] == 400
        assert refused(server, order()) == (400, rules.NO_RECIPIENTS)

    def test_case_46_refuses_the_sample_of_the_decision_record(self, server: BrazeStandIn) -> None:
        assert refused(server, RECORD)[0] == 400

    @pytest.mark.parametrize("path", ["/", "/campaigns/trigger", f"{PATH}/", "/messages/send"])
    def test_knows_one_path(self, server: BrazeStandIn, path: str) -> None:
        assert refused(server, order(somebody()), path=path)[0] == 404

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_knows_one_method(self, server: BrazeStandIn, method: str) -> None:
        reply = requests.request(method, server.url + PATH, timeout=5)
        assert (reply.status_code, reply.headers["Allow"]) == (405, "POST")

    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            ("", 401),
            ("Bearer", 401),
            ("Bearer wrong", 401),
            (f"Bearer '{defaults.KEY}'", 401),
            (f"Basic {defaults.KEY}", 401),
            (defaults.KEY, 401),
            (f"Bearer {defaults.KEY_WITHOUT_PERMISSION}", 403),
        ],
    )
    def test_asks_for_a_key_that_may_send(self, server: BrazeStandIn, authorization: str, status: int) -> None:
        assert refused(server, order(somebody()), headers={"Authorization": authorization})[0] == status

    @pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "json"])
    def test_wants_json_by_name(self, server: BrazeStandIn, content_type: str) -> None:
        status, message = refused(server, order(somebody()), headers={"Content-Type": content_type})
        assert (status, "Content-Type" in message) == (400, True)

    @pytest.mark.parametrize("body", ["", "{", "[]", "7", '{"a": NaN}', b"\xff\xfe", "[" * 100_000])
    def test_wants_json_in_fact(self, server: BrazeStandIn, body: Any) -> None:
        assert refused(server, body)[0] == 400

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"trigger_properties": []}, "trigger_properties"),
            ({"trigger_properties": "a"}, "trigger_properties"),
            ({"trigger_properties": None}, "trigger_properties"),
            ({"recipients": {}}, "recipients"),
            ({"recipients": "7"}, "recipients"),
            ({"recipients": None}, "recipients"),
            ({"recipients": ["7"]}, "recipients[0]"),
            ({"recipients": [somebody(), {}]}, "recipients[1]"),
            ({"broadcast": "false"}, "broadcast"),
            ({"broadcast": True}, "broadcast"),
            ({"campaign_id": "nobody"}, rules.UNKNOWN_CAMPAIGN),
            ({"campaign_id": None}, rules.UNKNOWN_CAMPAIGN),
            ({"campaign_id": [DIGEST]}, rules.UNKNOWN_CAMPAIGN),
        ],
    )
    def test_names_the_field_that_has_the_wrong_shape(
        self, server: BrazeStandIn, fields: dict[str, Any], named: str
    ) -> None:
        status, message = refused(server, order(somebody(), **fields) | fields)
        assert status == 400
        assert named in message

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"external_user_id": ""}, "external_user_id"),
            ({"external_user_id": None}, "external_user_id"),
            ({"email": "a@example.com"}, "exactly one"),
            ({"trigger_properties": [1]}, "trigger_properties"),
            ({"attributes": "a@example.com"}, "attributes"),
            ({"attributes": {"email": 7}}, "attributes.email"),
            ({"send_to_existing_only": 0}, "send_to_existing_only"),
        ],
    )
    def test_names_what_is_wrong_with_a_recipient(
        self, server: BrazeStandIn, fields: dict[str, Any], named: str
    ) -> None:
        status, message = refused(server, order(somebody(**fields)))
        assert status == 400
        assert named in message

    def test_makes_no_user_without_attributes_or_by_an_alias(self, server: BrazeStandIn) -> None:
        bare = {"external_user_id": "7", "send_to_existing_only": False}
        alias = {"user_alias": {"alias_name": "a", "alias_label": "b"}, "send_to_existing_only": False}
        assert "attributes" in refused(server, order(bare))[1]
        assert "user_alias" in refused(server, order(alias | {"attributes": {}}))[1]
        assert "alias_label" in refused(server, order({"user_alias": {"alias_name": "a"}}))[1]

    @pytest.mark.parametrize(
        ("header", "status"),
        [
            ("Content-Length: x", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: 999999999999", 413),
            ("Transfer-Encoding: chunked", 411),
        ],
    )
    def test_reads_no_body_whose_length_it_cannot_use(self, server: BrazeStandIn, header: str, status: int) -> None:
        with socket.create_connection((server.host, server.port), timeout=5) as connection:
            connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
            assert connection.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([DIGEST, "7"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "campaign_id",
                            "recipients",
                            "trigger_properties",
                            "broadcast",
                            "external_user_id",
                            "email",
                            "user_alias",
                            "attributes",
                            "send_to_existing_only",
                        ]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=15,
        )
    )
    def test_whatever_json_comes_it_is_taken_or_refused_by_name(self, body: Any) -> None:
        try:
            taken = rules.read(json.dumps(body).encode(), "application/json", campaigns=[DIGEST])
        except rules.Refusal as refusal:
            assert refusal.status == 400
            assert refusal.message
        else:
            assert taken.recipients or taken.broadcast


class TestDelivery:
    def test_case_47_recipients_properties_win(self, server: BrazeStandIn) -> None:
        body = order(somebody(trigger_properties={"b": 2}), trigger_properties={"a": 1, "b": 1})
        reply = post(server, body)
        assert (reply.status_code, reply.json()["message"]) == (201, "success")
        (message,) = server.delivered
        assert message.properties == {"a": 1, "b": 2}
        assert message.dispatch_id == reply.json()["dispatch_id"]
        assert (message.user, message.campaign, message.email) == ("7", "license_weekly_digest", "u7@example.com")

    def test_case_47_one_user_twice_is_one_delivery(self, server: BrazeStandIn) -> None:
        post(server, order(somebody(), somebody("8"), somebody(trigger_properties={"b": 2})))
        assert [message.user for message in server.delivered] == ["7", "8"]

    def test_every_request_has_a_dispatch_id_of_its_own(self, server: BrazeStandIn) -> None:
        for _ in range(2):
            post(server, order(somebody(), somebody("8")))
        assert len({message.dispatch_id for message in server.delivered}) == 2
        assert len(server.delivered) == 4

    def test_nobody_is_made_for_existing_users_only(self, server: BrazeStandIn) -> None:
        only = {"external_user_id": "7", "attributes": {"email": "x@example.com"}}
        assert post(server, order(only)).status_code == 201
        assert [message.reason for message in server.accepted] == ["unknown user"]
        post(server, order(somebody()))
        post(server, order(only))
        assert [message.email for message in server.delivered] == ["u7@example.com", "x@example.com"]

    def test_a_profile_is_found_by_its_address(self, server: BrazeStandIn) -> None:
        post(server, order(somebody()))
        post(server, order({"email": "u7@example.com"}, somebody()))
        assert [message.user for message in server.delivered] == ["7", "7"]

    def test_everybody_it_knows_gets_a_broadcast(self, server: BrazeStandIn) -> None:
        post(server, order(somebody(), somebody("8")))
        post(server, {"campaign_id": DIGEST, "broadcast": True})
        assert [message.user for message in server.delivered] == ["7", "8", "7", "8"]

    def test_nobody_gets_an_archived_campaign(self, server: BrazeStandIn) -> None:
        server.set_up("license_weekly_digest", archived=True)
        assert post(server, order(somebody())).status_code == 201
        assert [message.reason for message in server.accepted] == ["archived campaign"]

    @pytest.mark.parametrize(("minutes", "delivered"), [(0, 2), (0.0005, 2), (60, 1), (None, 1)])
    def test_a_campaign_reaches_a_user_again_after_its_window(
        self, server: BrazeStandIn, minutes: float | None, delivered: int
    ) -> None:
        server.set_up(DIGEST, re_eligible_minutes=minutes)
        post(server, order(somebody()))
        time.sleep(0.05)
        post(server, order(somebody()))
        # Another campaign has a window of its own.
        post(server, order(somebody(), campaign_id=defaults.CAMPAIGNS["request_approved"]))
        assert len(server.accepted) == 3
        assert len(server.delivered) == delivered + 1


class TestLimits:
    def test_headers_are_in_lower_case_on_every_reply(self, server: BrazeStandIn) -> None:
        for reply in (post(server, order(somebody())), post(server, "{"), post(server, {}, path="/x")):
            names = {name for name in reply.raw.headers if name.startswith("x-ratelimit")}
            assert names == {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
            assert 0 < int(reply.headers["X-RateLimit-Reset"]) - time.time() <= 3601

    def test_a_used_up_window_is_429_until_it_ends(self) -> None:
        with BrazeStandIn(limit=2, limit_seconds=0.3).running() as server:
            replies = [post(server, order(somebody())) for _ in range(3)]
            assert [reply.status_code for reply in replies] == [201, 201, 429]
            assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["1", "0", "0"]
            time.sleep(0.35)
            assert post(server, order(somebody())).status_code == 201


class TestFaults:
    def test_happen_to_the_next_replies_and_no_others(self, server: BrazeStandIn) -> None:
        server.fail_next(2, status=503)
        assert [post(server, order(somebody())).status_code for _ in range(3)] == [503, 503, 201]
        assert len(server.delivered) == 1

    def test_happen_for_ever_until_forgotten(self, server: BrazeStandIn) -> None:
        server.fail_next(None, status=401, message="Invalid API Key")
        assert [post(server, order(somebody())).json()["message"] for _ in range(3)] == ["Invalid API Key"] * 3
        server.clear()
        assert post(server, order(somebody())).status_code == 201

    def test_can_be_meant_for_a_campaign_or_for_values(self, server: BrazeStandIn) -> None:
        server.fail_next(status=500, campaign="request_approved")
        server.fail_next(status=400, properties={"a": 2})
        assert post(server, order(somebody())).status_code == 201
        assert post(server, order(somebody(), campaign_id=defaults.CAMPAIGNS["request_approved"])).status_code == 500
        assert post(server, order(somebody(), trigger_properties={"a": 2})).status_code == 400

    def test_a_429_tells_when_or_not(self, server: BrazeStandIn) -> None:
        server.fail_next(status=429, reset=30)
        server.fail_next(status=429, reset="soon")
        server.fail_next(status=429)
        resets = [post(server, order(somebody())).headers.get("x-ratelimit-reset") for _ in range(3)]
        assert 28 <= int(resets[0] or 0) - time.time() <= 30
        assert resets[1:] == ["soon", None]

    def test_some_alter_a_yes(self, server: BrazeStandIn) -> None:
        server.fail_next(errors=("minor",))
        server.fail_next(queued=True)
        server.fail_next(status=200, body="<html>")
        server.fail_next(body="")
        replies = [post(server, order(somebody())) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [201, 202, 200, 201]
        assert replies[0].json()["errors"] == ["minor"]
        assert replies[1].json()["message"] == "queued"
        assert [reply.text for reply in replies[2:]] == ["<html>", ""]
        assert len(server.delivered) == 4

    def test_some_say_nothing(self, server: BrazeStandIn) -> None:
        server.fail_next(close=True)
        with pytest.raises(requests.ConnectionError):
            post(server, order(somebody()))
        server.fail_next(hang=True, accept=False)
        with pytest.raises(requests.ReadTimeout):
            requests.post(server.url + PATH, json=order(somebody()), timeout=0.3)
        server.fail_next(delay=0.2)
        began = time.monotonic()
        assert post(server, order(somebody())).status_code == 201
        assert time.monotonic() - began >= 0.2
        assert [received.status for received in server.requests] == [0, 0, 201]
        assert len(server.delivered) == 2

    @pytest.mark.parametrize(
        ("fault", "named"),
        [
            ({"status": "500"}, "status"),
            ({"status": 99}, "status"),
            ({"status": True}, "status"),
            ({"delay": -1}, "delay"),
            ({"errors": "minor"}, "errors"),
            ({"errors": [1]}, "errors"),
            ({"hang": 1}, "hang"),
            ({"reset": []}, "reset"),
            ({"nonsense": 1}, "nonsense"),
            ({"number": 0}, "number"),
            ({"number": "2"}, "number"),
        ],
    )
    def test_of_the_wrong_shape_are_refused_by_name(
        self, server: BrazeStandIn, fault: dict[str, Any], named: str
    ) -> None:
        reply = requests.post(f"{server.page_url}faults", json=fault, timeout=5)
        assert reply.status_code == 400
        assert reply.json()["message"].startswith(f"{named}:")
        assert post(server, order(somebody())).status_code == 201


class TestControl:
    def test_shows_requests_messages_and_profiles(self, server: BrazeStandIn) -> None:
        for user in ("7", "8", "9"):
            post(server, order(somebody(user)))
        post(server, order({"external_user_id": "10"}))
        shown = {
            name: requests.get(f"{server.page_url}{name}.json", timeout=5).json()
            for name in ("requests", "accepted", "delivered", "profiles")
        }
        assert len(shown["requests"]) == 4
        assert shown["requests"][0]["headers"]["Authorization"] == "…"
        assert json.loads(shown["requests"][0]["body"])["recipients"] == [{"external_user_id": "10"}]
        assert [message["user"] for message in shown["accepted"]] == ["10", "9", "8", "7"]
        assert [message["user"] for message in shown["delivered"]] == ["9", "8", "7"]
        assert shown["profiles"]["8"] == {"email": "u8@example.com"}
        query = {"limit": 1, "before": shown["delivered"][0]["number"]}
        (older,) = requests.get(f"{server.page_url}delivered.json", params=query, timeout=5).json()
        assert older["user"] == "8"

    def test_steers(self, server: BrazeStandIn) -> None:
        def steer(name: str, body: Any) -> tuple[int, str]:
            reply = requests.post(f"{server.page_url}{name}", json=body, timeout=5)
            return reply.status_code, reply.json().get("message", "")

        assert steer("faults", {"status": 503, "number": 1}) == (200, "")
        assert post(server, order(somebody())).status_code == 503
        assert steer("campaigns", {"campaign": "license_weekly_digest", "archived": True}) == (200, "")
        post(server, order(somebody()))
        assert server.delivered == []
        assert steer("limit", {"requests": 0, "seconds": 5}) == (200, "")
        assert post(server, order(somebody())).status_code == 429
        assert steer("clear", {}) == (200, "")
        assert (server.requests, server.accepted, server.memory.profiles) == ([], [], {})

    @pytest.mark.parametrize(
        ("name", "body", "named"),
        [
            ("campaigns", {"campaign": "x"}, "campaign"),
            ("campaigns", {"campaign": DIGEST, "archived": 1}, "archived"),
            ("campaigns", {"campaign": DIGEST, "re_eligible_minutes": -1}, "re_eligible_minutes"),
            ("limit", {"requests": -1}, "requests"),
            ("limit", {"seconds": 0}, "seconds"),
            ("faults", [], "body"),
        ],
    )
    def test_refuses_what_it_cannot_use_by_name(self, server: BrazeStandIn, name: str, body: Any, named: str) -> None:
        reply = requests.post(f"{server.page_url}{name}", json=body, timeout=5)
        assert (reply.status_code, reply.json()["message"].partition(":")[0]) == (400, named)

    def test_only_a_post_changes_anything_and_no_other_sites_page(self, server: BrazeStandIn) -> None:
        post(server, order(somebody()))
        assert requests.get(f"{server.page_url}clear", timeout=5).status_code == 405
        assert requests.post(f"{server.page_url}delivered.json", timeout=5).status_code == 405
        assert requests.put(f"{server.page_url}clear", timeout=5).status_code == 405
        assert requests.get(f"{server.page_url}nothing", timeout=5).status_code == 404
        assert requests.get(f"{server.page_url}delivered.json?limit=x", timeout=5).status_code == 400
        stranger = {"Origin": "https://evil.example.com"}
        assert requests.post(f"{server.page_url}clear", headers=stranger, timeout=5).status_code == 403
        assert len(server.delivered) == 1

    def test_has_a_page_that_escapes_and_can_be_emptied(self, server: BrazeStandIn) -> None:
        post(server, order(somebody("<b>7</b>"), trigger_properties={"<i>": "<script>"}))
        page = requests.get(server.page_url, timeout=5)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "&lt;b&gt;7&lt;/b&gt;" in page.text
        assert "<script" not in page.text
        assert defaults.KEY not in page.text
        emptied = requests.post(f"{server.page_url}clear", data={"x": 1}, headers={"Origin": server.url}, timeout=5)
        assert emptied.status_code == 200
        assert "No message yet." in emptied.text

    def test_keeps_connections_open(self, server: BrazeStandIn) -> None:
        with requests.Session() as session:
            for _ in range(3):
                session.post(server.url + PATH, json=order(somebody()), timeout=5)
            assert len(server._listener._open) == 1  # type: ignore[union-attr]


class TestListening:
    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::", ""])
    def test_is_for_this_machine_alone_unless_told_otherwise(self, host: str) -> None:
        with pytest.raises(ValueError, match="host"):
            BrazeStandIn(host)
        assert BrazeStandIn(host, allow_remote=True).host == host

    def test_comes_back_on_its_port_with_what_it_knew(self, server: BrazeStandIn) -> None:
        post(server, order(somebody()))
        port = server.port
        server.stop()
        with pytest.raises(requests.ConnectionError):
            post(server, order(somebody()))
        server.start()
        post(server, order(somebody()))
        assert server.port == port
        assert len(server.delivered) == 2

    def test_as_a_command_serves_until_interrupted(self) -> None:
        command = [sys.executable, "manage.py", "braze_standin", "--port", "0", "--settings", "test"]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            # A job in the background of a shell ignores Ctrl-C, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip().removeprefix("BRAZE_API_URL=")
            body = json.dumps(order(somebody()))
            headers = {"Authorization": f"Bearer {defaults.KEY}", "Content-Type": "application/json"}
            assert requests.post(url + PATH, data=body, headers=headers, timeout=5).status_code == 201
            assert "u7@example.com" in requests.get(f"{url}/_standin/", timeout=5).text
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0

    def test_as_a_command_says_in_one_line_what_it_cannot_use(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            for arguments, named in (
                (["--host", "0.0.0.0"], "host"),
                (["--port", "70000"], "port"),
                (["--port", port], port),
            ):
                command = [sys.executable, "manage.py", "braze_standin", *arguments, "--settings", "test"]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stdout) == (2, "")
                assert len(done.stderr.strip().splitlines()) == 1
                assert named in done.stderr
