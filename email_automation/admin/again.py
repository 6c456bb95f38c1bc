"""Sending a mail of the log again, from its row's page in the admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .. import words
from ..explanation import REFUSALS
from ..models import EmailLog
from ..pipeline import message as registered
from ..pipeline import repetition
from ..pipeline.repetition import Hindered, Hindrance, Repeated

PERMISSION = "email_automation.resend_email"
VALUE, CONFIRMED = "value", "confirmed"
HINDRANCES: Final[dict[Hindrance, Promise]] = {
    Hindrance.TEST: _("This is a test mail. Send another test instead."),
    Hindrance.NOT_ENDED: _("The mail is still on its way."),
    Hindrance.NO_MESSAGE: _("No app declares this message any more."),
    Hindrance.NO_CALL: _("What the mail was made of is not kept any more."),
    Hindrance.DECLINED: _("The app the message belongs to declines."),
}
REASONS: Final[dict[str, Promise]] = {
    words.STOPPED: _("The message is switched off."),
    words.EXPIRED: _("It could not go out in time."),
    words.NO_LONGER_ELIGIBLE: _("What it is about is gone."),
    words.INCOMPLETE: _("A value that the message needs was not given."),
    words.REFUSED_CHANNEL: _("A policy refuses e-mail."),
}


@dataclass(frozen=True)
class Answer:
    """What came of a request: the row to look at, the words and their level, and whether the row is a new one."""

    row: EmailLog
    text: Any
    level: int
    is_new: bool = False


def may_send(request: HttpRequest) -> bool:
    """Return whether whoever asks may send a mail again."""
    return request.user.has_perm(PERMISSION)


def offer(row: EmailLog) -> dict[str, Any]:
    """Return what a row's page needs to offer that its mail is sent again, or to say why it cannot be."""
    newest = repetition.newest(row)
    problem = repetition.hindrance(row) or (Hindrance.NONE if newest.pk == row.pk else repetition.hindrance(newest))
    return {
        "again_hindrance": HINDRANCES.get(problem, ""),
        "again_value": "" if problem else repetition.one_time_value(row).hex,
        "again_newest": None if newest.pk == row.pk else newest,
    }


def send(row: EmailLog, form: QueryDict) -> Answer:
    """Send the mail of a row again, as its page's form asks for it."""
    if form.get(CONFIRMED) != "yes":
        return Answer(row, _("Nothing was sent: tick the box first."), messages.ERROR)
    try:
        value = UUID(form.get(VALUE, ""))
    except ValueError:
        return Answer(row, _("Nothing was sent: this form is incomplete. Use the one below."), messages.ERROR)
    try:
        new = repetition.send_again(row, value)
    except Hindered as hindered:
        return Answer(row, HINDRANCES[hindered.hindrance], messages.ERROR)
    except Repeated as repeated:
        return Answer(repeated.row, _("Nothing more was sent: this mail is newer than your form."), messages.WARNING)
    if new.status in words.HANDED_OFF:
        return Answer(new, _("The mail is sent again. This is its row."), messages.SUCCESS, is_new=True)
    why = " ".join(filter(None, (new.reason, str(in_words(new)))))
    if new.status in repetition.WAITING:
        text, level = _("The mail is not out yet, and another attempt follows. %(why)s"), messages.WARNING
    elif new.status == words.SKIPPED:
        text, level = _("The mail was skipped: %(why)s"), messages.WARNING
    else:
        text, level = _("The mail could not be sent: %(why)s"), messages.ERROR
    return Answer(new, text % {"why": why}, level, is_new=True)


def in_words(row: EmailLog) -> Any:
    """Return the reason of a row as a sentence, '' where it has none."""
    group = words.group(row.reason)
    if known := REFUSALS.get(row.reason) or REFUSALS.get(group) or REASONS.get(group):
        return known
    try:
        conditions = registered.get(row.email_type).resolver.conditions
    except ValueError:
        return ""
    sentence = next((condition.sentence for condition in conditions if condition.name == row.reason), "")
    return _("Not true: %(sentence)s.") % {"sentence": sentence} if sentence else ""
