"""The desk at which the mails of one slice are written: one draft after the other through ACE's stages, up to the
channel. What is the same for all of them is worked out once.
"""

from __future__ import annotations

import contextlib
import logging
from functools import cache, partial
from typing import Any

from django.template import TemplateDoesNotExist
from django.utils import timezone
from edx_ace import policy as ace_policy
from edx_ace import presentation
from edx_ace.channel import Channel, ChannelType, channels, get_channel_for_message
from edx_ace.channel.file import PATH_OVERRIDE_KEY as FILE_PATH
from edx_ace.errors import UnsupportedChannelError
from edx_ace.message import Message
from edx_ace.recipient import Recipient
from edx_ace.renderers import RenderedEmail

from courses import sites

from .. import headers, words
from ..channels.braze import CAMPAIGN, Campaign
from ..channels.mail import REFERENCE, document
from ..conf import setting
from ..models import EmailLog, EmailTemplate, pack_content
from ..models.body import Body
from ..templating import stored
from . import bodies, cohort, receipts
from .context import Context, Contexts, language_of
from .ledger import Prepared
from .letters import Letter
from .message import MessageType
from .outcome import Outcome, trace
from .policy import Verdict
from .resolver import Draft
from .run import Run
from .shape import Filled

log = logging.getLogger(__name__)

#: Option of an ACE message whose recipient's consent has been asked already.
CHECKED_BY_ENGINE = "email_automation_checked"


class Desk:
    """Writes the mails of one message and run, for one site."""

    def __init__(self, message: type[MessageType], run: Run, brand: sites.Brand, *, domain: str) -> None:
        self._message = message
        self._run = run
        # Of one bulk send, as ACE has it: its messages carry the kind's uuid.
        self._kind = message(app_label=message.APP_LABEL or message.owner())
        self._contexts = Contexts(message, run, brand)
        self._headers = headers.Headers(
            brand=brand, domain=domain, label=message.label(), category=message.category, is_test=run.is_test
        )
        self._today = timezone.now().date()
        self._folder = setting("ACE_MESSAGES_DIR")
        self._keeps_content = bool(setting("EMAIL_LOG_CONTENT_DAYS"))
        self._options = {
            "transactional": message.transactional,
            "from_address": brand["from_address"],
            "reply_to": [headers.clean(brand["reply_to"])] if brand["reply_to"] else [],
            CHECKED_BY_ENGINE: True,
        }
        #: What every message of this desk's has.
        self._pattern = _Message(
            app_label=self._kind.app_label,
            name=self._kind.name,
            recipient=None,
            send_uuid=self._kind.uuid,
            log_level=self._kind.log_level,
        )

    def prepare(self, row: EmailLog, draft: Draft, person: Verdict) -> Letter | Outcome:
        """Take one draft through ACE's policies, channel choice and rendering; an Outcome where that ends early."""
        try:
            context = self._contexts.of(draft, person, row.message_uuid)
            letter = self._ace_message(row, draft, person, context)
            if any(ChannelType.EMAIL in policy.check(letter).deny for policy in ace_policy.policies()):
                return Outcome.skipped(words.REFUSED_CHANNEL)
            channel = get_channel_for_message(ChannelType.EMAIL, letter)
            with _template(draft):
                alone = self._run.is_test or draft.template_id is not None
                rendered = presentation.render(channel, letter) if alone else cohort.rendered(channel, letter, context)
            subject = headers.clean(rendered.subject)
            content, body = self._content(letter, rendered, subject) if self._keeps_content else (None, None)
        except UnsupportedChannelError as error:
            return Outcome(status=words.PENDING, reason="no_channel", detail=str(error), ours=True)
        except TemplateDoesNotExist as error:
            return Outcome(status=words.FAILED, reason="template_missing", detail=str(error), ours=True)
        except Exception as error:
            # A template or a value that fails for one learner must not keep the others from their mail. Somebody can
            # mend it, so the row waits for another attempt.
            log.error("email_log=%s message=%s could not be rendered: %s", row.pk, self._message.label(), trace(error))
            detail = f"{type(error).__name__}: {error}"
            return Outcome(status=words.PENDING, reason="render_error", detail=detail, ours=True)
        prepared = Prepared(
            to_address=letter.recipient.email_address,
            course_id=draft.course_id,
            enrollment_id=draft.enrollment_id,
            payment_id=draft.payment_id,
            channel=_name_of(channel),
            subject=subject,
            message_id=letter.headers["Message-ID"],
            content=content,
        )
        return Letter(row, letter, rendered, channel, prepared, draft.course_keys, body)

    def _ace_message(self, row: EmailLog, draft: Draft, person: Verdict, context: Context) -> Message:
        # Planning may be hours ago: a changed account is mailed where it is now.
        address = row.to_address if self._run.is_test else person.address
        return self._pattern.with_values(
            uuid=row.message_uuid,
            recipient=Recipient(draft.user_id, address),
            expiration_time=row.expires_at,
            _context=partial(context.of, row.message_uuid),
            language=language_of(draft),
            options={
                **self._options,
                FILE_PATH: f"{self._folder}/{row.id}.html",
                REFERENCE: receipts.reference(row),
                **self._campaign(draft),
            },
            headers=self._headers.for_mail(
                row.message_uuid, str(context.personal["unsubscribe_url",]), self._message.headers(draft)
            ),
        )

    def _campaign(self, draft: Draft) -> dict[str, Any]:
        """Return the options of a mail that a service with profiles of its own sends."""
        channel = self._message.channel()
        # Not test mails: such a service would take the tester's address for that of the person it is about. Nor a call
        # of somebody's code about a person whom it has no name of.
        if not channel or not draft.external_user_id or self._run.is_test:
            return {}
        return {
            "override_default_channel": channel,
            CAMPAIGN: Campaign(
                name=self._message.campaign(draft),
                trigger_properties=draft.shared,
                external_user_id=draft.external_user_id,
                recipient_properties=draft.personal,
            ),
        }

    def _content(self, letter: Message, rendered: RenderedEmail, subject: str) -> tuple[bytes, Body | None]:
        """Return what the log keeps of a mail, and the body that this refers to."""
        reply_to = letter.options["reply_to"]
        said = {
            "From": headers.sender({"from_address": letter.options["from_address"]}, rendered.from_name),
            **({"Reply-To": ", ".join(reply_to)} if reply_to else {}),
            **letter.headers,
        }
        if isinstance(rendered, Filled):
            kept = bodies.difference(rendered, letter.uuid, subject=subject, headers=said, today=self._today)
            if kept is not None:
                return kept
        whole = {
            "subject": subject,
            "html": document(rendered, letter.language),
            "text": rendered.body,
            "headers": said,
        }
        return pack_content(whole), None


class _Message(Message):  # type: ignore[misc]  # edx_ace has no type information
    """An ACE message whose context may be given as what makes it, and is then made when somebody reads it."""

    _context: Any

    def with_values(self, **values: Any) -> _Message:
        """Return a message like this one with some other values.

        ACE's constructor checks each value's type and draws a uuid by lot, which takes longer than all else here.
        """
        made = object.__new__(_Message)
        made.__dict__.update(self.__dict__, **values)
        return made

    @property
    def context(self) -> dict[str, Any]:
        """The values for the templates."""
        if callable(self._context):
            self._context = self._context()
        made: dict[str, Any] = self._context
        return made

    @context.setter
    def context(self, given: Any) -> None:
        self._context = given


def _template(draft: Draft) -> contextlib.AbstractContextManager[None]:
    """Have the mail made of the template its draft names, if it names one."""
    if draft.template_id is None:
        return contextlib.nullcontext()
    return stored.using(EmailTemplate.objects.get(pk=draft.template_id))


@cache
def _name_of(channel: Channel) -> str:
    """Return the name under which ACE knows a channel."""
    registered = channels().channel_type_to_channel_impl[channel.channel_type]
    return next((name for name, known in registered.items() if known is channel), type(channel).__name__)
