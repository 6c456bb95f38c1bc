"""Several mails on the wire before the first is answered: every one is accounted for, wherever the server dies."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.sites.models import Site
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from edx_ace.errors import ChannelError
from edx_ace.message import Message
from edx_ace.recipient import Recipient
from edx_ace.renderers import RenderedEmail
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from email_automation import words
from email_automation.channels import kept
from email_automation.channels.errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused, TryAgain
from email_automation.channels.kept import FIRST_WINDOW
from email_automation.channels.mail import DjangoMailChannel
from email_automation.models import EmailLog, SuppressedAddress
from email_automation.pipeline import dispatch, message
from email_automation.pipeline.desk import Desk
from tests.message_factories import FACTORIES
from tests.relay import ALL, Relay

DAY = date(2017, 8, 1)
NUDGE = "schedules.recurringnudge_day3"
PAYMENT = "email_automation.payment_confirmation"
HOPELESS = (DeliveryInDoubt, ProviderUnreachable, TryAgain)
OFFERS = {"streams": ALL, "pipelines": ("PIPELINING", "8BITMIME"), "plain": ()}


@pytest.fixture
def relay(settings: Any) -> Iterator[Relay]:
    with Relay.running() as running:
        running.use(settings)
        yield running


def mails(number: int) -> list[tuple[Message, RenderedEmail]]:
    made = []
    for index in range(number):
        letter = Message(
            app_label="schedules",
            name="recurringnudge_day3",
            recipient=Recipient(index, f"p{index}@example.com"),
            language="en",
        )
        letter.options = {"from_address": "noreply@example.org"}
        letter.headers = {"Message-ID": f"<{index}@example.com>"}
        made.append((letter, RenderedEmail("Cadence", f"Grüße {index}", "<p>à</p>", "", f"Text {index}\n.\n")))
    return made


def by_turns(made: list[tuple[Message, RenderedEmail]], *, at_once: int = 1000) -> Any:
    """Give mails when they are asked for, and no more than so many at once."""
    left = iter(made)
    return lambda number: list(itertools.islice(left, min(number, at_once)))


def fly(channel: DjangoMailChannel, number: int, *, chunk: int = 1000, most: int = 0) -> dict[int, Exception | None]:
    """Send mails in flight, and return what came of each; each is told of once."""
    more = by_turns(mails(number), at_once=chunk)
    answers = [each for group in channel.deliver_in_flight(more, most=most or number) for each in group]
    # No further chunk is asked for once the next mail would meet what the last one has met.
    asked = number if not any(isinstance(error, HOPELESS) for _, error in answers) else len(answers)
    assert sorted(index for index, _ in answers) == list(range(asked))
    return dict(answers)


def check(answers: dict[int, Exception | None], relay: Relay) -> None:
    """What is said of each mail is true of what the server has taken."""
    taken = Counter(address for address, _ in relay.taken)
    assert all(times == 1 for times in taken.values())
    for index, error in answers.items():
        if error is None:
            assert taken[f"p{index}@example.com"] == 1
        elif not isinstance(error, DeliveryInDoubt):
            assert taken[f"p{index}@example.com"] == 0


@pytest.mark.parametrize("offers", OFFERS)
def test_each_mail_arrives_whole_whatever_the_server_offers(relay: Relay, offers: str) -> None:
    relay.offers = OFFERS[offers]
    assert fly(DjangoMailChannel(), 5) == dict.fromkeys(range(5))
    assert relay.addresses == [f"p{index}@example.com" for index in range(5)]
    assert all(b"\r\n.\r\n" in raw and "à".encode() in raw and raw.endswith(b"--\r\n") for _, raw in relay.taken)
    assert relay.connections == 1


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("text", ["450 4.2.1 later", "550 5.1.1 no such user"])
def test_a_refused_recipient_costs_nobody_else_anything(relay: Relay, offers: str, text: str) -> None:
    relay.offers = OFFERS[offers]
    relay.refused = {"p0@example.com": text, "p3@example.com": text}
    answers = fly(DjangoMailChannel(), 6)
    kind = TryAgain if text.startswith("4") else RecipientRefused
    assert {index: type(error) for index, error in answers.items() if error} == {0: kind, 3: kind}
    assert all(str(answers[index]) == text for index in (0, 3))
    check(answers, relay)
    assert (len(relay.taken), relay.connections) == (4, 1)


@pytest.mark.parametrize("offers", OFFERS)
def test_a_server_that_takes_so_many_a_connection_gets_them_all(relay: Relay, offers: str) -> None:
    relay.offers, relay.mails_per_connection = OFFERS[offers], 2
    assert fly(DjangoMailChannel(), 7) == dict.fromkeys(range(7))
    assert (len(relay.taken), relay.connections) == (7, 4)


def size_of(offers: tuple[str, ...], settings: Any) -> tuple[int, int]:
    """Return how many bytes four mails are, and how many their answers."""
    with Relay.running(offers=offers) as relay:
        relay.use(settings)
        fly(DjangoMailChannel(), 4)
        return relay.read, relay.written


@pytest.mark.parametrize("offers", OFFERS)
@pytest.mark.parametrize("side", ["dies_at", "falls_silent_at"])
def test_a_server_that_dies_at_any_byte_leaves_no_mail_untold(settings: Any, offers: str, side: str) -> None:
    read, written = size_of(OFFERS[offers], settings)

    @examples(
        max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.integers(1, read if side == "dies_at" else written), st.sampled_from([(4, 4), (1, 2), (2, 4), (1, 3)]))
    @example(1, (4, 4))
    @example(read if side == "dies_at" else written, (1, 2))
    def die(at: int, sizes: tuple[int, int]) -> None:
        chunk, most = sizes
        with Relay.running(offers=OFFERS[offers], **{side: at}) as relay:
            relay.use(settings)
            channel = DjangoMailChannel()
            answers = fly(channel, 4, chunk=chunk, most=most)
            check(answers, relay)
            for error in answers.values():
                assert error is None or isinstance(error, HOPELESS)
            channel.forget_connection()

    die()


def test_a_server_that_only_listens_leaves_all_in_doubt_and_is_waited_for_once(relay: Relay, settings: Any) -> None:
    settings.EMAIL_TIMEOUT = 1
    channel = DjangoMailChannel()
    assert fly(channel, 1) == {0: None}
    relay.distance = 30
    answers = fly(channel, 3)
    assert all(isinstance(error, DeliveryInDoubt) for error in answers.values())
    again = fly(channel, 3)
    assert all(isinstance(error, ProviderUnreachable) for error in again.values())


@pytest.mark.parametrize(("most", "at_once"), [(1, 1), (2, 2), (5, 4), (6, 6), (7, 6), (20, 7)])
def test_halves_of_the_window_are_in_flight(relay: Relay, most: int, at_once: int) -> None:
    relay.distance = 0.05
    assert fly(DjangoMailChannel(), 7, most=most) == dict.fromkeys(range(7))
    assert relay.most_at_once == at_once
    assert relay.connections == 1


def test_the_next_mails_are_asked_for_while_the_last_are_on_their_way(relay: Relay) -> None:
    relay.distance = 0.3
    taken: list[int] = []
    more = by_turns(mails(6))

    def asked(number: int) -> Any:
        time.sleep(0.05)
        # What a relay far away has taken, and nobody has heard of.
        taken.append(len(relay.taken))
        return more(number)

    heard = [len(group) for group in DjangoMailChannel().deliver_in_flight(asked, most=4)]
    assert sum(heard) == 6
    assert taken[:2] == [0, 2]


def test_the_window_grows_with_a_server_that_keeps_up_and_stays_for_its_connection(relay: Relay) -> None:
    channel = DjangoMailChannel()
    relay.distance = 0.02
    fly(channel, 20, most=100)
    assert relay.most_at_once <= FIRST_WINDOW
    fly(channel, 200, most=100)
    assert FIRST_WINDOW < relay.most_at_once <= 100
    channel.forget_connection()
    relay.most_at_once = 0
    fly(channel, 8, most=100)
    assert relay.most_at_once == 8


def test_the_window_shrinks_with_a_server_that_takes_its_time(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SLOW", 0.05)
    channel = DjangoMailChannel()
    relay.distance = 0.1
    fly(channel, 40, most=100)
    relay.most_at_once = 0
    fly(channel, 3, most=100)
    assert relay.most_at_once == 1


def test_a_mail_that_cannot_be_written_leaves_the_others(relay: Relay) -> None:
    made = mails(3)
    made[1][0].headers["X-Own"] = "a\r\nBcc: eve@example.com"
    answers = dict(each for group in DjangoMailChannel().deliver_in_flight(by_turns(made), most=3) for each in group)
    assert (answers[0], answers[2]) == (None, None)
    assert isinstance(answers[1], ValueError) and not isinstance(answers[1], ChannelError)
    assert relay.addresses == ["p0@example.com", "p2@example.com"]


def test_a_connection_carries_so_many_mails_and_is_closed_with_a_word(relay: Relay, settings: Any) -> None:
    settings.EMAIL_MAILS_PER_CONNECTION = 3
    channel = DjangoMailChannel()
    for letter, rendered in mails(7):
        channel.deliver(letter, rendered)
    assert (relay.connections, relay.commands.count("QUIT"), len(relay.taken)) == (3, 2, 7)


@pytest.mark.parametrize(("chunk", "most"), [(7, 7), (2, 4), (1, 2), (3, 3)])
def test_no_connection_carries_more_when_mails_are_in_flight(
    relay: Relay, settings: Any, chunk: int, most: int
) -> None:
    settings.EMAIL_MAILS_PER_CONNECTION, relay.mails_per_connection = 3, 3
    assert fly(DjangoMailChannel(), 7, chunk=chunk, most=most) == dict.fromkeys(range(7))
    assert (relay.connections, relay.commands.count("QUIT"), len(relay.taken)) == (3, 2, 7)


# The engine


@pytest.fixture
def due(db: None) -> Any:
    site = Site.objects.get(pk=django_settings.SITE_ID)

    def make(number: int, label: str = NUDGE) -> None:
        factory = FACTORIES[label]()
        factory.switch(site, enqueue=True, deliver=True)
        factory.due(number, day=DAY, site=site)

    return make


def run(label: str = NUDGE) -> dispatch.Summary:
    return dispatch.run_daily(message.get(label), django_settings.SITE_ID, day=DAY)


def statuses() -> dict[str, int]:
    return dict(Counter(EmailLog.objects.values_list("status", flat=True)))


def test_lifecycle_mail_is_in_flight_after_the_first(relay: Relay, due: Any, settings: Any) -> None:
    settings.EMAIL_IN_FLIGHT = 8
    relay.distance = 0.05
    due(25)
    assert run().sent == 25
    assert relay.most_at_once == 8
    assert len(set(relay.addresses)) == len(relay.taken) == 25


def test_transactional_mail_goes_one_at_a_time(relay: Relay, due: Any) -> None:
    relay.distance = 0.01
    due(5, PAYMENT)
    assert run(PAYMENT).sent == 5
    assert relay.most_at_once == 1


@pytest.mark.parametrize(("window", "offers"), [(1, ALL), (50, OFFERS["pipelines"]), (50, OFFERS["plain"])])
def test_mails_go_one_at_a_time_where_that_is_wanted_or_all_there_is(
    relay: Relay, due: Any, settings: Any, window: int, offers: tuple[str, ...]
) -> None:
    settings.EMAIL_IN_FLIGHT, relay.offers, relay.distance = window, offers, 0.01
    due(5)
    assert run().sent == 5
    assert relay.most_at_once == 1


@pytest.mark.parametrize(("number", "writes"), [(9, 2), (41, 6)])
def test_half_of_what_may_be_in_flight_is_begun_in_one_write(
    relay: Relay, due: Any, settings: Any, number: int, writes: int
) -> None:
    settings.EMAIL_IN_FLIGHT = 20
    due(number)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert run().sent == number
    begun = [query for query in queries if '"message_id" = ' in query["sql"].replace("`", '"')]
    # The first alone; then halves of the first window, eight at a time, and ten once it has grown.
    assert len(begun) <= writes


def test_a_hard_bounce_in_flight_fails_alone_and_suppresses_the_address(relay: Relay, due: Any) -> None:
    due(6)
    address = get_user_model().objects.order_by("-pk").values_list("email", flat=True)[0]
    relay.refused = {address: "550 5.1.1 no such user"}
    summary = run()
    assert (summary.sent, summary.failed, summary.ok) == (5, 1, True)
    assert EmailLog.objects.get(to_address=address).reason == "refused"
    assert SuppressedAddress.objects.count() == 1


@pytest.mark.parametrize("side", ["dies_at", "falls_silent_at"])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.35, 0.5, 0.77, 0.9, 0.99, 1])
def test_a_server_that_dies_leaves_each_row_right(settings: Any, due: Any, side: str, share: float) -> None:
    due(6)
    with Relay.running() as sizing:
        sizing.use(settings)
        channel = DjangoMailChannel()
        fly(channel, 1)
        # A nudge is some twenty times as long as these.
        whole = sizing.read * 22 * 6 if side == "dies_at" else sizing.written * 5
    with Relay.running(**{side: int(whole * share)}) as relay:
        relay.use(settings)
        run()
        taken = Counter(relay.addresses)
        assert all(times == 1 for times in taken.values())
        for row in EmailLog.objects.all():
            if row.status == words.SENT:
                assert taken[row.to_address] == 1
            elif row.status == words.PENDING:
                assert taken[row.to_address] == 0
            else:
                assert row.status == words.UNKNOWN
    assert sum(statuses().values()) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, OperationalError])
def test_what_is_on_the_wire_is_heard_of_before_an_error_ends_the_slice(
    relay: Relay, due: Any, settings: Any, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    settings.EMAIL_IN_FLIGHT, relay.distance = 4, 0.05
    due(12)
    real, turns = Desk.prepare, itertools.count()

    def prepare(desk: Desk, *args: Any) -> Any:
        if next(turns) == 6:
            raise error
        return real(desk, *args)

    monkeypatch.setattr(Desk, "prepare", prepare)
    with contextlib.suppress(KeyboardInterrupt):
        run()
    found = statuses()
    assert words.SENDING not in found
    assert found[words.SENT] == len(relay.taken) >= 3
    assert found[words.PENDING] == 12 - found[words.SENT]
