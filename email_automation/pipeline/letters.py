"""Letters: one draft through ACE, from message to channel. The only caller of edx_ace's stages.

`ace.send()` answers None for success and for refusal alike, swallows a channel's errors and sleeps in the worker, so
its stages are driven here one by one: policies, channel choice, rendering, the channel, the sent signal.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

from edx_ace.channel import Channel
from edx_ace.channel.file import FileEmailChannel
from edx_ace.errors import ChannelError, RecoverableChannelDeliveryError
from edx_ace.message import Message
from edx_ace.renderers import RenderedEmail
from edx_ace.signals import ACE_MESSAGE_SENT
from edx_ace.utils.signals import send_ace_message_sent_signal

from courses.bulk import slices

from .. import words
from ..channels.braze import CAMPAIGN
from ..channels.errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused
from ..models import EmailLog
from ..models.body import Body
from .ledger import Prepared
from .message import MessageType
from .outcome import UNREACHABLE, Outcome, trace

log = logging.getLogger(__name__)


class Letter(NamedTuple):
    """One mail, rendered and ready: its row, the ACE message, and the channel that takes it.

    `body` is what its content in the log refers to, if it does.
    """

    row: EmailLog
    message: Message
    rendered: RenderedEmail
    channel: Channel
    prepared: Prepared
    course_keys: tuple[str, ...] = ()
    body: Body | None = None


def goes_together(message: type[MessageType], letter: Letter) -> bool:
    """Return whether the mail goes out in one call with others."""
    return message.goes_together and hasattr(letter.channel, "deliver_batch")


def bundles(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Yield the mails that go out in one call: of one channel and cohort, as many as the channel takes, and of nobody
    two: a service that keeps a list of people of its own takes equal recipients for one.
    """
    cohorts: dict[tuple[int, str, str, int], list[Letter]] = {}
    seen: Counter[tuple[int, str, str, str]] = Counter()
    for letter in letters:
        campaign = letter.message.options[CAMPAIGN]
        key = (id(letter.channel), campaign.name, json.dumps(campaign.trigger_properties, sort_keys=True))
        turn = seen[*key, campaign.external_user_id]
        seen[*key, campaign.external_user_id] += 1
        cohorts.setdefault((*key, turn), []).append(letter)
    for same in cohorts.values():
        yield from slices(same, same[0].channel.batch_size)


def hand_off(letter: Letter) -> Outcome:
    """Give one mail to its channel, and say what came of it in our words."""
    return _outcome([letter], lambda: letter.channel.deliver(letter.message, letter.rendered))


def in_flight(letter: Letter) -> int:
    """Return how many mails may be handed off before the first is answered; 1 for transactional ones."""
    offered = getattr(letter.channel, "in_flight", None)
    return offered() if offered is not None and not letter.message.options["transactional"] else 1


def hand_off_in_flight(
    channel: Channel, more: Callable[[int], Sequence[Letter]], *, most: int
) -> Iterator[list[tuple[Letter, Outcome]]]:
    """Give mails to their channel without waiting for answers, and yield what became of each, as the answers come.

    `more` is asked for the next mails, at most so many, when there is room for them among the `most` in flight.
    """
    taken: list[Letter] = []

    def mails(number: int) -> list[tuple[Message, RenderedEmail]]:
        chunk = more(number)
        taken.extend(chunk)
        return [(letter.message, letter.rendered) for letter in chunk]

    for answers in channel.deliver_in_flight(mails, most=most):
        yield [(taken[number], _answer(taken[number], error)) for number, error in answers]


def _answer(letter: Letter, error: Exception | None) -> Outcome:
    if error is not None:
        return _outcome([letter], partial(_repeat, error))
    _say_sent(letter)
    return _TAKEN


#: What has an answer of its own in flight goes by SMTP, which gives a mail no id.
_TAKEN: Final = Outcome.sent()


def _repeat(error: Exception) -> NoReturn:
    """Raise what a channel has said already."""
    raise error


def hand_off_together(letters: Sequence[Letter]) -> Outcome:
    """Give the mails of a bundle to their channel in one call, and say what came of all of them."""
    return _outcome(letters, lambda: letters[0].channel.deliver_batch([letter.message for letter in letters]))


def _outcome(letters: Sequence[Letter], deliver: Callable[[], Any]) -> Outcome:
    channel, ids = letters[0].channel, ",".join(str(letter.row.pk) for letter in letters)
    to_file = isinstance(channel, FileEmailChannel)
    # edx_ace's file channel prints each mail, which nobody reads and which holds an address.
    quiet = contextlib.redirect_stdout(io.StringIO()) if to_file else contextlib.nullcontext()
    try:
        with quiet:
            provider_id = deliver()
    except DeliveryInDoubt as error:
        # A provider that takes mails and does not answer would leave every mail behind this one in doubt.
        return Outcome(status=words.UNKNOWN, reason=words.IN_DOUBT, detail=str(error), unreachable=True)
    except ProviderUnreachable as error:
        return Outcome(status=words.PENDING, reason=UNREACHABLE, detail=str(error), ours=error.ours, unreachable=True)
    except RecoverableChannelDeliveryError as error:
        return Outcome(
            status=words.PENDING, reason="try_again", detail=str(error), retry_at=_aware(error.next_attempt_time)
        )
    except RecipientRefused as error:
        return Outcome(status=words.FAILED, reason="refused", detail=str(error), hard_bounce=error.hard_bounce)
    except ChannelError as error:
        return Outcome(status=words.FAILED, reason="channel_error", detail=str(error), ours=True)
    except OSError as error:
        # A file that cannot be written is for us to mend, a lost connection is not.
        return Outcome(status=words.PENDING, reason="connection", detail=_described(error), ours=to_file)
    except Exception as error:
        log.error("email_log=%s could not be handed to channel %s: %s", ids, letters[0].prepared.channel, trace(error))
        return Outcome(status=words.PENDING, reason="channel_error", detail=_described(error), ours=True)
    for letter in letters:
        _say_sent(letter)
    # ACE's own channels return nothing, ours the provider's id where there is one. A provider that is reached by SMTP
    # gives none, and reports by the Message-ID.
    known_by = provider_id if isinstance(provider_id, str) else ""
    return Outcome(
        status=words.SENT, provider_message_id=str(known_by), detail=str(getattr(provider_id, "warning", ""))
    )


def _say_sent(letter: Letter) -> None:
    # Some receiver's mistake must not make a mail that is out look as if it were not.
    # Without a receiver, making the mail's values JSON for it would be for nobody.
    if ACE_MESSAGE_SENT.has_listeners(letter.channel):
        with contextlib.suppress(Exception):
            send_ace_message_sent_signal(letter.channel, letter.message)
    if not log.isEnabledFor(logging.INFO):
        return
    log.info(
        "sent message=%s email_log=%s uuid=%s course_ids=%s",
        letter.message.unique_name,
        letter.row.pk,
        letter.message.uuid,
        ",".join(letter.course_keys),
    )


def _aware(moment: datetime | None) -> datetime | None:
    # A channel of somebody else's may give a naive time, by which nothing could be compared.
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
