"""What counts as a hard bounce: the words by which a mail server or a provider says that there is no such mailbox.

Such an address is suppressed until an administrator releases it, so what only may mean it does not count. The reasons
are in docs/decisions/0020-a-hard-bounce-names-the-mailbox.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from anymail.signals import AnymailTrackingEvent, RejectReason

#: Enhanced status codes that deny the mailbox itself (RFC 3463, section 3.2, and RFC 7505 for the last; the register is
#: IANA's "SMTP Enhanced Status Codes"). Not X.1.2, which blames the domain and may be a resolver's fault; not X.2.1,
#: by which Gmail also says "too many mails just now"; and nothing of X.2.2 (full) or X.7 (policy).
NO_SUCH_MAILBOX: Final = frozenset(
    {
        "5.1.1",  # bad destination mailbox address
        "5.1.3",  # bad destination mailbox address syntax
        "5.1.6",  # destination mailbox has moved, no forwarding address
        "5.1.10",  # recipient address has null MX
    }
)
# Not a part of an IP address or of a longer number.
ENHANCED: Final = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)")
#: How providers name the recipient in a request they refuse with 400: SendGrid by the field, Mailgun in a sentence.
INVALID_RECIPIENT: Final = re.compile(
    r'"field":\s*"personalizations\.\d+\.to\.|\bto\'? parameter is not a valid address'
)

#: Where a provider says in its own words whether a bounce is final, and which words say so: django-anymail gives soft
#: and hard ones the same reason. Providers that are not here are taken at django-anymail's word.
FINAL: Final[Mapping[str, tuple[tuple[str, ...], frozenset[str]]]] = {
    "Amazon SES": (("bounce", "bounceType"), frozenset({"Permanent"})),
    "Brevo": (("event",), frozenset({"hard_bounce", "invalid_email"})),
    "MailerSend": (("data", "type"), frozenset({"hard_bounced"})),
    "Mailjet": (("error",), frozenset({"user unknown", "mailbox inactive"})),
    "Mandrill": (("event",), frozenset({"hard_bounce"})),
    "Postmark": (("Type",), frozenset({"HardBounce", "BadEmailAddress"})),
    "Resend": (("data", "bounce", "type"), frozenset({"Permanent"})),
    "SendGrid": (("type",), frozenset({"bounce"})),
    "SendinBlue": (("event",), frozenset({"hard_bounce", "invalid_email"})),
    # Its classes "Invalid Recipient" and "Generic Bounce: No RCPT".
    "SparkPost": (("msys", "*", "bounce_class"), frozenset({"10", "30"})),
    "Unisender Go": (("delivery_info", "delivery_status"), frozenset({"err_user_unknown", "err_user_inactive"})),
}
#: Codes that blame something else, whatever the provider makes of it: for now, no room, or policy.
OTHER_CAUSE: Final = re.compile(r"4\.|5\.2\.2$|5\.7\.")


def enhanced_code(text: str) -> str:
    """Return the first enhanced status code in a server's words, '' where there is none."""
    found = ENHANCED.search(text)
    return found.group() if found else ""


def denies_mailbox(text: str) -> bool:
    """Return whether a server's refusal says that there is no such mailbox."""
    return enhanced_code(text) in NO_SUCH_MAILBOX


def refuses_recipient(provider: str, statuses: set[Any]) -> bool:
    """Return whether a provider's answer to a mail means its recipient: django-anymail's words for all recipients.

    Mandrill's "rejected" is also said of a sender or a template of ours.
    """
    return statuses == {"invalid"} or (statuses <= {"invalid", "rejected"} and provider != "Mandrill")


def is_hard(event: AnymailTrackingEvent, provider: str) -> bool:
    """Return whether a report that a mail did not arrive means that there is no such mailbox."""
    code = enhanced_code(str(event.mta_response or ""))
    if code in NO_SUCH_MAILBOX:
        return True
    path, finals = FINAL.get(provider, ((), frozenset()))
    said = _at(event.esp_event, path) if path else None
    final = said in finals if said is not None else event.reject_reason in (RejectReason.INVALID, RejectReason.BOUNCED)
    return final and not OTHER_CAUSE.match(code)


def _at(said: Any, path: Sequence[str]) -> str | None:
    """Return the text at a place in a provider's report, None where it is silent; `*` is the only key there."""
    for name in path:
        if not isinstance(said, Mapping):
            return None
        said = next(iter(said.values()), None) if name == "*" else said.get(name)
    return said if isinstance(said, str) else None
