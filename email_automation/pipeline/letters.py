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
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.template import TemplateDoesNotExist
from edx_ace import policy as ace_policy
from edx_ace import presentation
from edx_ace.channel import Channel, ChannelType, channels, get_channel_for_message
from edx_ace.channel.file import PATH_OVERRIDE_KEY as FILE_PATH
from edx_ace.channel.file import FileEmailChannel
from edx_ace.errors import ChannelError, RecoverableChannelDeliveryError, UnsupportedChannelError
from edx_ace.message import Message
from edx_ace.recipient import Recipient
from edx_ace.renderers import RenderedEmail
from edx_ace.signals import ACE_MESSAGE_SENT
from edx_ace.utils.signals import send_ace_message_sent_signal

from courses import sites
from courses.bulk import slices

from .. import headers, words
from ..channels.braze import CAMPAIGN, Campaign
from ..channels.errors import DeliveryInDoubt, ProviderUnreachable, RecipientRefused
from ..channels.mail import REFERENCE, document
from ..conf import setting
from ..models import EmailLog, EmailTemplate, pack_content
from ..templating import stored
from . import cohort, receipts
from .context import Context, context_for, language_of
from .ledger import Prepared
from .message import MessageType
from .outcome import UNREACHABLE, Outcome, trace
from .policy import Verdict
from .resolver import Draft
from .run import Run

log = logging.getLogger(__name__)

#: Option of an ACE message whose recipient's consent has been asked already.
CHECKED_BY_ENGINE = "email_automation_checked"


@dataclass(frozen=True)
class Letter:
    """One mail, rendered and ready: its row, the ACE message, and the channel that takes it."""

    row: EmailLog
    message: Message
    rendered: RenderedEmail
    channel: Channel
    prepared: Prepared


def prepare(
    message: type[MessageType],
    run: Run,
    row: EmailLog,
    draft: Draft,
    person: Verdict,
    brand: sites.Brand,
) -> Letter | Outcome:
    """Take one draft through ACE's policies, channel choice and rendering; an Outcome where that ends early."""
    try:
        content = context_for(message, run, draft, person, brand, row.message_uuid)
        letter = _ace_message(message, run, row, draft, person, brand, content)
        if ChannelType.EMAIL not in ace_policy.channels_for(letter):
            return Outcome.skipped(words.REFUSED_CHANNEL)
        channel = get_channel_for_message(ChannelType.EMAIL, letter)
        with _template(draft):
            alone = run.is_test or draft.template_id is not None
            rendered = presentation.render(channel, letter) if alone else cohort.rendered(channel, letter, content)
        prepared = _prepared(channel, letter, rendered, draft)
    except UnsupportedChannelError as error:
        return Outcome(status=words.PENDING, reason="no_channel", detail=str(error), ours=True)
    except TemplateDoesNotExist as error:
        return Outcome(status=words.FAILED, reason="template_missing", detail=str(error), ours=True)
    except Exception as error:
        # A template or a value that fails for one learner must not keep the others from their mail. Somebody can
        # mend it, so the row waits for another attempt.
        log.error("email_log=%s message=%s could not be rendered: %s", row.pk, message.label(), trace(error))
        return Outcome(status=words.PENDING, reason="render_error", detail=_described(error), ours=True)
    return Letter(row, letter, rendered, channel, prepared)


def _ace_message(
    message: type[MessageType],
    run: Run,
    row: EmailLog,
    draft: Draft,
    person: Verdict,
    brand: sites.Brand,
    content: Context,
) -> Message:
    context = content.of(row.message_uuid)
    # Planning may be hours ago: a changed account is mailed where it is now.
    address = row.to_address if run.is_test else person.address
    kind = message(app_label=message.APP_LABEL or message.owner())
    letter = kind.personalize(Recipient(draft.user_id, address), language_of(draft), context)
    letter.uuid = row.message_uuid
    letter.expiration_time = row.expires_at
    letter.options = {
        "transactional": message.transactional,
        "from_address": brand["from_address"],
        "reply_to": [headers.clean(brand["reply_to"])] if brand["reply_to"] else [],
        CHECKED_BY_ENGINE: True,
        FILE_PATH: f"{setting('ACE_MESSAGES_DIR')}/{row.pk}.html",
        REFERENCE: receipts.reference(row),
    }
    # Not test mails: a service that keeps profiles would take the tester's address for that of the person it is about.
    # Nor a call of somebody's code about a person whom such a service has no name of.
    if (channel := message.channel()) and draft.external_user_id and not run.is_test:
        letter.options |= {
            "override_default_channel": channel,
            CAMPAIGN: Campaign(
                name=message.campaign(draft),
                trigger_properties=draft.shared,
                external_user_id=draft.external_user_id,
                recipient_properties=draft.personal,
            ),
        }
    letter.headers = headers.for_mail(
        brand=brand,
        domain=row.site.domain,
        label=message.label(),
        category=message.category,
        message_uuid=row.message_uuid,
        unsubscribe_url=str(context["unsubscribe_url"]),
        extra=message.headers(draft),
        is_test=run.is_test,
    )
    return letter


def _template(draft: Draft) -> contextlib.AbstractContextManager[None]:
    """Have the mail made of the template its draft names, if it names one."""
    if draft.template_id is None:
        return contextlib.nullcontext()
    return stored.using(EmailTemplate.objects.get(pk=draft.template_id))


def _prepared(channel: Channel, letter: Message, rendered: RenderedEmail, draft: Draft) -> Prepared:
    subject = headers.clean(rendered.subject)
    content = None
    if setting("EMAIL_LOG_CONTENT_DAYS"):
        content = pack_content(
            {
                "subject": subject,
                "html": document(rendered, letter.language),
                "text": rendered.body,
                "headers": {
                    "From": headers.sender({"from_address": letter.options["from_address"]}, rendered.from_name),
                    **({"Reply-To": ", ".join(letter.options["reply_to"])} if letter.options["reply_to"] else {}),
                    **letter.headers,
                },
            }
        )
    return Prepared(
        to_address=letter.recipient.email_address,
        course_id=draft.course_id,
        enrollment_id=draft.enrollment_id,
        payment_id=draft.payment_id,
        channel=channel_name(channel),
        subject=subject,
        message_id=letter.headers["Message-ID"],
        content=content,
    )


def channel_name(channel: Channel) -> str:
    """Return the name under which ACE knows a channel."""
    registered = channels().channel_type_to_channel_impl[channel.channel_type]
    return next((name for name, known in registered.items() if known is channel), type(channel).__name__)


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


def hand_off_in_flight(letters: Sequence[Letter]) -> Iterator[list[tuple[Letter, Outcome]]]:
    """Give mails to their channel without waiting for answers, and yield what came of each, as the answers come."""
    mails = [(letter.message, letter.rendered) for letter in letters]
    for answers in letters[0].channel.deliver_in_flight(mails):
        yield [(letters[number], _outcome([letters[number]], partial(_repeat, error))) for number, error in answers]


def _repeat(error: Exception | None) -> str:
    """Return or raise what a channel has said already."""
    if error is not None:
        raise error
    return ""


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
    known_by = provider_id if isinstance(provider_id, str) and provider_id else letters[0].prepared.message_id
    return Outcome(
        status=words.SENT, provider_message_id=str(known_by), detail=str(getattr(provider_id, "warning", ""))
    )


def _say_sent(letter: Letter) -> None:
    # Some receiver's mistake must not make a mail that is out look as if it were not.
    # Without a receiver, making the mail's values JSON for it would be for nobody.
    if ACE_MESSAGE_SENT.has_listeners(letter.channel):
        with contextlib.suppress(Exception):
            send_ace_message_sent_signal(letter.channel, letter.message)
    log.info(
        "sent message=%s email_log=%s uuid=%s course_ids=%s",
        letter.message.unique_name,
        letter.row.pk,
        letter.message.uuid,
        ",".join(map(str, letter.message.context.get("course_ids") or ())),
    )


def _aware(moment: datetime | None) -> datetime | None:
    # A channel of somebody else's may give a naive time, by which nothing could be compared.
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
