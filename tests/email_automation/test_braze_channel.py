"""The channel to Braze, over real sockets: what it sends, and what each answer means."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone
from edx_ace.channel import ChannelType, channels
from edx_ace.errors import FatalChannelDeliveryError
from edx_ace.message import Message
from edx_ace.recipient import Recipient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_automation.braze_standin import defaults
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.channels import CAMPAIGN_CHANNEL, takes_mail, wire
from email_automation.channels.braze import CAMPAIGN, BrazeCampaignChannel, Campaign
from email_automation.channels.braze_client import ADDRESS, Accepted
from email_automation.channels.errors import (
    DeliveryInDoubt,
    LimitedTooLong,
    ProviderUnreachable,
    RateLimited,
    RequestRefused,
    TryAgain,
)

ADDRESSES = "u{}@example.com"
TOP = {"enterprise_customer_id": "e1", "allocated_license_count": 75, "total_license_count": 100}


@pytest.fixture
def channel() -> BrazeCampaignChannel:
    return BrazeCampaignChannel()


def message(user: int = 7, *, name: str = "license_utilization_75", **properties: Any) -> Message:
    return Message(
        app_label="license_notifications",
        name="license_utilization",
        recipient=Recipient(user, ADDRESSES.format(user)),
        options={CAMPAIGN: Campaign(name, TOP | properties, str(user), {"user_name": f"name{user}"})},
    )


def failure(channel: BrazeCampaignChannel, *messages: Message) -> Exception:
    """Deliver, and return the error; its text may hold neither an address nor the key."""
    with pytest.raises(Exception) as caught:
        channel.deliver_batch(messages or [message()])
    assert not ADDRESS.search(str(caught.value))
    assert defaults.KEY not in str(caught.value)
    return caught.value


class TestWhatIsSent:
    def test_case_11_is_the_payload_of_the_record(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        channel.deliver(message(), None)
        (request,) = braze.requests
        assert (request.method, request.path) == ("POST", "/campaigns/trigger/send")
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Authorization"] == f"Bearer {defaults.KEY}"
        assert request.json == {
            "campaign_id": defaults.CAMPAIGNS["license_utilization_75"],
            "trigger_properties": TOP,
            "recipients": [
                {
                    "external_user_id": "7",
                    "trigger_properties": {"user_name": "name7"},
                    "send_to_existing_only": False,
                    "attributes": {"email": "u7@example.com"},
                }
            ],
            "broadcast": False,
        }
        (delivered,) = braze.delivered
        assert (delivered.user, delivered.email) == ("7", "u7@example.com")
        assert delivered.properties == {**TOP, "user_name": "name7"}

    def test_a_batch_is_one_request_with_one_id(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        accepted = channel.deliver_batch([message(user) for user in range(1, 51)])
        assert len(braze.requests) == 1
        assert [delivered.user for delivered in braze.delivered] == [str(user) for user in range(1, 51)]
        assert {delivered.dispatch_id for delivered in braze.delivered} == {accepted}
        assert accepted.warning == ""

    @pytest.mark.parametrize(
        ("others", "named"),
        [
            ([message(8, name="license_utilization_100")], "campaign name"),
            ([message(8, total_license_count=101)], "trigger_properties"),
            ([message(7)], "external_user_id"),
            ([message(user) for user in range(8, 58)], "messages"),
        ],
    )
    def test_what_does_not_belong_together_is_no_request(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, others: list[Message], named: str
    ) -> None:
        error = failure(channel, message(7), *others)
        assert isinstance(error, ValueError)
        assert str(error).startswith(named)
        with pytest.raises(ValueError, match="messages"):
            channel.deliver_batch([])
        assert braze.requests == []

    def test_the_batch_size_is_a_setting(self, channel: BrazeCampaignChannel) -> None:
        assert channel.batch_size == 50
        with override_settings(BRAZE_BATCH_SIZE=7):
            assert channel.batch_size == 7

    @pytest.mark.parametrize("campaigns", [{}, {"license_utilization_75": ""}])
    def test_a_campaign_without_an_id_is_our_fault(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any, campaigns: dict[str, str]
    ) -> None:
        settings.BRAZE_CAMPAIGNS = campaigns
        error = failure(channel)
        assert isinstance(error, RequestRefused)
        assert str(error) == "campaign not configured: license_utilization_75"
        assert braze.requests == []

    def test_a_mail_that_names_no_campaign_is_refused(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        ordinary = Message(app_label="schedules", name="nudge", recipient=Recipient(7, "u7@example.com"))
        assert "names no campaign" in str(failure(channel, ordinary))
        assert braze.requests == []

    @pytest.mark.parametrize("value", [uuid.UUID(int=0), float("nan"), {1, 2}])
    def test_what_json_cannot_say_is_refused(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, value: Any
    ) -> None:
        assert isinstance(failure(channel, message(value=value)), RequestRefused)
        assert braze.requests == []

    def test_ace_knows_it_beside_the_channel_of_ordinary_mail(self, settings: Any) -> None:
        assert settings.ACE_ENABLED_CHANNELS == ["django_mail", CAMPAIGN_CHANNEL]
        found = channels().channel_type_to_channel_impl[ChannelType.EMAIL]
        assert isinstance(found[CAMPAIGN_CHANNEL], BrazeCampaignChannel)

    @pytest.mark.parametrize(
        ("enabled", "expected"), [(["django_mail", CAMPAIGN_CHANNEL], True), ([CAMPAIGN_CHANNEL], False), ([], False)]
    )
    def test_it_takes_no_ordinary_mail(self, settings: Any, enabled: list[str], expected: bool) -> None:
        settings.ACE_ENABLED_CHANNELS = enabled
        assert takes_mail() is expected


class TestYes:
    def test_is_the_dispatch_id(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        accepted = channel.deliver(message(), None)
        assert isinstance(accepted, str)
        assert accepted == braze.delivered[0].dispatch_id
        assert accepted.warning == ""

    def test_queued_is_one_too(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        braze.fail_next(queued=True)
        assert channel.deliver(message(), None) == braze.delivered[0].dispatch_id

    def test_case_39_with_errors_is_a_warning(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        braze.fail_next(errors=("minor thing", f"u7@example.com, U8@EXAMPLE.COM, Name8 and {defaults.KEY} are odd"))
        accepted = channel.deliver_batch([message(7), message(8)])
        assert accepted == braze.delivered[0].dispatch_id
        assert accepted.warning == "minor thing; …, …, … and … are odd"

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({"message": "success"}, ("", "")),
            ({"message": "success", "dispatch_id": 7, "errors": []}, ("", "")),
            ({"message": "success", "dispatch_id": "d" * 300, "errors": "one"}, ("d" * 255, "one")),
            ({"message": "queued", "dispatch_id": "d", "errors": {"a": 1}}, ("d", "{'a': 1}")),
        ],
    )
    def test_is_understood_in_any_shape(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, said: Any, expected: tuple[str, str]
    ) -> None:
        braze.fail_next(body=json.dumps(said), content_type="application/json")
        accepted = channel.deliver(message(), None)
        assert (accepted, accepted.warning) == expected


class TestNeitherYesNorNo:
    @pytest.mark.parametrize("status", [200, 201, 202, 204])
    @pytest.mark.parametrize(
        "body", ["<html>fine</html>", "", "{}", "[]", '"success"', '{"message": "ok"}', '{"message": ["success"]}']
    )
    def test_case_39_any_other_answer_is_in_doubt(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, status: int, body: str
    ) -> None:
        braze.fail_next(status=status, body=body)
        assert isinstance(failure(channel), DeliveryInDoubt)
        assert len(braze.requests) == 1

    def test_an_answer_without_end_is_in_doubt(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        braze.fail_next(body=" " * wire.LONGEST_BODY + '{"message": "success"}')
        assert isinstance(failure(channel), DeliveryInDoubt)
        channel.deliver(message(), None)

    def test_silence_is_in_doubt(self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any) -> None:
        settings.BRAZE_TIMEOUT = (1, 0.2)
        braze.fail_next(hang=True)
        assert isinstance(failure(channel), DeliveryInDoubt)
        assert len(braze.delivered) == 1
        channel.deliver(message(), None)

    @pytest.mark.parametrize("kept", [False, True])
    def test_a_connection_that_breaks_after_the_request_is_in_doubt(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, kept: bool
    ) -> None:
        if kept:
            channel.deliver(message(), None)
        braze.fail_next(close=True)
        assert isinstance(failure(channel), DeliveryInDoubt)
        # It was not tried again, however old the connection was.
        assert len(braze.requests) == 1 + kept

    def test_half_an_answer_is_in_doubt(self, channel: BrazeCampaignChannel, settings: Any) -> None:
        head = b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n"
        with scripted(settings, lambda connection: answer(connection, head + b'{"message": "succ')):
            assert isinstance(failure(channel), DeliveryInDoubt)
        with scripted(settings, lambda connection: answer(connection, b"HTTP/1.1 20")):
            assert isinstance(failure(channel), DeliveryInDoubt)
        with scripted(settings, lambda connection: answer(connection, b"SSH-2.0-OpenSSH\r\n")):
            assert isinstance(failure(channel), DeliveryInDoubt)


class TestNo:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 410, 413, 422, 451])
    def test_of_4xx_is_for_good(self, channel: BrazeCampaignChannel, braze: BrazeStandIn, status: int) -> None:
        braze.fail_next(status=status, message=f"No, not u7@example.com with {defaults.KEY}")
        error = failure(channel)
        assert isinstance(error, RequestRefused)
        assert str(error) == f"{status} No, not … with …"
        assert len(braze.requests) == 1

    def test_a_long_word_in_it_is_looked_at_once(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        # In the square of its length it would take minutes; the time limit of a test ends that.
        braze.fail_next(status=400, message=f"u7@example.com {'x' * 800_000}")
        assert str(failure(channel)).startswith("400 … xxx")

    def test_case_37_has_the_servers_words(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any
    ) -> None:
        settings.BRAZE_CAMPAIGNS = {"license_utilization_75": "unknown"}
        error = failure(channel)
        assert isinstance(error, RequestRefused)
        assert str(error) == "400 Invalid Campaign ID"

    def test_case_38_of_one_cause_has_one_text(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any
    ) -> None:
        settings.BRAZE_API_KEY = f'"{defaults.KEY}"'
        texts = {str(failure(channel, message(user))) for user in (7, 8, 9)}
        assert texts == {"401 Invalid API Key"}
        assert len(braze.requests) == 3

    @pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, channel: BrazeCampaignChannel, settings: Any, status: int) -> None:
        head = f"HTTP/1.1 {status} Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
        with scripted(settings, lambda connection: answer(connection, head)) as seen:
            assert isinstance(failure(channel), RequestRefused)
        assert len(seen) == 1

    @pytest.mark.parametrize(
        "url", ["", "127.0.0.1:8811", "braze", "ftp://127.0.0.1", "http://", "http://[::1", "http://a b"]
    )
    def test_an_address_that_is_none_is_our_fault(self, channel: BrazeCampaignChannel, settings: Any, url: str) -> None:
        settings.BRAZE_API_URL = url
        error = failure(channel)
        assert isinstance(error, RequestRefused)
        assert "BRAZE_API_URL" in str(error)

    @pytest.mark.parametrize("key", ["a\nb", "schlüssel→"])
    def test_a_key_that_no_header_can_hold_is_our_fault(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any, key: str
    ) -> None:
        settings.BRAZE_API_KEY = key
        error = failure(channel)
        assert isinstance(error, RequestRefused)
        assert "BRAZE_API_KEY" in str(error)
        assert key not in str(error)
        assert braze.requests == []


class TestNotNow:
    @pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
    def test_5xx_may_be_tried_again(self, channel: BrazeCampaignChannel, braze: BrazeStandIn, status: int) -> None:
        braze.fail_next(status=status)
        error = failure(channel)
        assert type(error) is TryAgain
        assert abs((error.next_attempt_time - timezone.now()).total_seconds()) < 5
        assert len(braze.requests) == 1
        channel.deliver(message(), None)

    def test_case_34_a_page_of_a_proxy_is_one_too(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        braze.fail_next(status=502, body="<html>u7@example.com</html>")
        error = failure(channel)
        assert type(error) is TryAgain
        assert str(error) == "502 Bad Gateway"

    @pytest.mark.parametrize("ahead", [-3600, -1, 0, 30, 60])
    def test_case_33_a_limit_that_ends_soon_says_when(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, ahead: int
    ) -> None:
        braze.fail_next(status=429, reset=ahead)
        error = failure(channel)
        assert isinstance(error, RateLimited)
        assert ahead - 3 < (error.next_attempt_time - timezone.now()).total_seconds() <= ahead
        assert len(braze.requests) == 1

    @pytest.mark.parametrize("ahead", [65, 3600, 10**9])
    def test_a_limit_that_ends_late_is_for_good(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, ahead: int
    ) -> None:
        braze.fail_next(status=429, reset=ahead)
        error = failure(channel)
        assert isinstance(error, LimitedTooLong)
        assert isinstance(error, FatalChannelDeliveryError)

    def test_how_late_is_too_late_is_a_setting(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any
    ) -> None:
        settings.BRAZE_MAX_WAIT_SECONDS = 5
        braze.fail_next(status=429, reset=30)
        assert isinstance(failure(channel), LimitedTooLong)

    @pytest.mark.parametrize(
        "reset", [None, "", "soon", "-5", "NaN", "inf", "1e9", "Thu, 01 Jan 2099 00:00:00 GMT", "9" * 30]
    )
    def test_case_34_a_limit_that_does_not_say_is_as_5xx(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, reset: str | None
    ) -> None:
        braze.fail_next(status=429, reset=reset)
        assert type(failure(channel)) is TryAgain

    def test_case_36_a_refused_connection_says_so_without_an_address(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn
    ) -> None:
        channel.deliver(message(), None)
        braze.stop()
        error = failure(channel)
        assert type(error) is TryAgain
        assert not isinstance(error, ProviderUnreachable)
        assert str(error) == "no connection: ConnectionRefusedError"
        braze.start()
        channel.deliver(message(), None)
        assert len(braze.delivered) == 2

    @pytest.mark.parametrize(
        ("url", "cause"),
        [("http://nobody.invalid", "gaierror"), ("https://{}", "SSLError"), ("http://{}:0", "OSError")],
    )
    def test_so_do_a_name_that_is_none_and_tls_that_is_none(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, settings: Any, url: str, cause: str
    ) -> None:
        settings.BRAZE_API_URL = url.format(f"127.0.0.1:{braze.port}" if "https" in url else "127.0.0.1")
        error = failure(channel)
        assert type(error) is TryAgain, error
        assert str(error).startswith("no connection: ")
        assert braze.requests == []

    def test_so_does_a_server_that_takes_no_connection(self, channel: BrazeCampaignChannel, settings: Any) -> None:
        settings.BRAZE_TIMEOUT = (0.2, 5)
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(1)]
            settings.BRAZE_API_URL = f"http://127.0.0.1:{port}"
            error = failure(channel)
            for connection in waiting:
                connection.close()
        assert type(error) is TryAgain

    def test_a_request_that_did_not_get_out_whole_was_not_acted_on(
        self, channel: BrazeCampaignChannel, settings: Any
    ) -> None:
        # More than the system buffers, to a server that reads a little of it and hangs up.
        huge = message(filler="x" * 20_000_000)

        def hang_up(connection: socket.socket) -> None:
            connection.recv(1000)

        with scripted(settings, hang_up) as seen:
            assert type(failure(channel, huge)) is TryAgain
        assert len(seen) == 1


class TestTheKeptConnection:
    def test_carries_many_requests(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        for user in range(5):
            channel.deliver(message(user), None)
        assert connections(braze) == 1

    def test_survives_answers_that_say_no(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        for status in (400, 429, 503):
            braze.fail_next(status=status)
            failure(channel)
        channel.deliver(message(), None)
        assert connections(braze) == 1

    def test_is_replaced_when_the_server_has_closed_it(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn
    ) -> None:
        channel.deliver(message(), None)
        braze.drop_connections()
        time.sleep(0.1)
        channel.deliver(message(), None)
        assert len(braze.delivered) == 2

    def test_is_replaced_when_it_breaks_before_the_request_is_out(
        self, channel: BrazeCampaignChannel, settings: Any
    ) -> None:
        yes = b'HTTP/1.1 201 Created\r\nContent-Length: 22\r\n\r\n{"message": "success"}'
        huge = message(8, filler="x" * 20_000_000)

        def first_good_then_gone(connection: socket.socket) -> None:
            answer(connection, yes)
            connection.recv(1000)

        scripts = iter([first_good_then_gone, lambda connection: answer(connection, yes)])
        with scripted(settings, lambda connection: next(scripts)(connection)) as seen:
            channel.deliver(message(7), None)
            channel.deliver(huge, None)
        assert len(seen) == 2

    def test_is_not_used_after_it_was_idle(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(wire, "IDLE_SECONDS", 0.05)
        channel.deliver(message(), None)
        time.sleep(0.1)
        channel.deliver(message(), None)
        assert len({request.at for request in braze.requests}) == 2
        assert len(braze.delivered) == 2

    def test_is_each_threads_own(self, channel: BrazeCampaignChannel, braze: BrazeStandIn) -> None:
        found: list[Accepted] = []
        threads = [
            threading.Thread(target=lambda user=user: found.append(channel.deliver(message(user), None)))
            for user in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(set(found)) == len(braze.delivered) == 8

    def test_passes_by_a_proxy_on_the_way_to_this_machine(
        self, channel: BrazeCampaignChannel, braze: BrazeStandIn, monkeypatch: Any
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        channel.deliver(message(), None)
        assert len(braze.delivered) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    status=st.integers(200, 599),
    body=st.sampled_from(
        ["", "{", "[]", "null", '{"message": "success"}', '{"message": "queued", "errors": ["u7@example.com"]}']
    ),
    reset=st.none()
    | st.floats(-1e6, 1e6)
    | st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=9),
)
def test_every_answer_means_one_of_five_things(
    braze: BrazeStandIn, status: int, body: str, reset: float | str | None
) -> None:
    braze.clear()
    braze.fail_next(status=status, body=body, reset=reset)
    channel = BrazeCampaignChannel()
    if status < 300 and "success" in body or status < 300 and "queued" in body:
        assert channel.deliver(message(), None) == ""
    elif status < 300:
        assert isinstance(failure(channel), DeliveryInDoubt)
    elif status == 429:
        assert isinstance(failure(channel), TryAgain | LimitedTooLong)
    elif status < 500:
        assert isinstance(failure(channel), RequestRefused)
    else:
        assert type(failure(channel)) is TryAgain
    assert len(braze.requests) == 1


def connections(braze: BrazeStandIn) -> int:
    """Return how many connections the server has open."""
    return len(braze._listener._open)  # type: ignore[union-attr]  # it runs


@contextmanager
def scripted(settings: Any, script: Callable[[socket.socket], None]) -> Iterator[list[socket.socket]]:
    """Run a server that does with each connection what `script` says, and yield the connections it has seen."""
    seen: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.BRAZE_API_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                seen.append(connection)
                script(connection)
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield seen
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def answer(connection: socket.socket, text: bytes) -> None:
    """Read a request to its end, and say something."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += connection.recv(65536)
    head, _, body = read.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 20)
    connection.sendall(text)
