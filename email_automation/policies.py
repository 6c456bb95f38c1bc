"""ACE policies of our own, registered under the entry point `openedx.ace.policy`."""

from __future__ import annotations

from edx_ace.channel import ChannelType
from edx_ace.message import Message
from edx_ace.policy import Policy, PolicyResult

from . import consent
from .models import CourseOptOut, EmailPreference
from .pipeline import message as messages
from .pipeline.desk import CHECKED_BY_ENGINE


class BulkEmailOptout(Policy):  # type: ignore[misc]  # edx_ace has no type information
    """Policy `bulk_email_optout`: no e-mail to who does not want it, also for messages a host sends by `ace.send()`.

    The engine has asked in bulk before it comes here; asking again for each mail would be a query per learner.
    """

    def check(self, message: Message) -> PolicyResult:
        """Deny the e-mail channel when preferences, suppression or a course opt-out say no."""
        if message.options.get(CHECKED_BY_ENGINE) or message.recipient is None:
            return PolicyResult()
        user_id = message.recipient.lms_user_id
        preference = EmailPreference.of(user_id)
        course_keys = message.context.get("course_ids") or []
        transactional = bool(message.options.get("transactional"))
        denied = (
            preference.suppressed_at is not None
            or bool(consent.suppressed_among([message.recipient.email_address or ""]))
            or not preference.accepts(self._category(message))
            or (
                not transactional
                and bool(course_keys)
                and CourseOptOut.objects.filter(user_id=user_id, course__key__in=course_keys).count()
                == len(course_keys)
            )
        )
        return PolicyResult(deny={ChannelType.EMAIL} if denied else set())

    @staticmethod
    def _category(message: Message) -> str:
        try:
            return messages.get(message.name).category
        except ValueError:
            # A host's own message that the engine does not know: the broadest of the lifecycle categories.
            return "reminder"
