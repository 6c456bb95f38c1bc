"""What a run came to, told learner by learner: who got which mail, and who got none and why. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple

from django.contrib.sites.models import Site

from courses.models import Enrollment
from courses.sites import org_lists
from email_automation import words
from email_automation.explanation import Explanation, explain
from email_automation.models import EmailLog
from email_automation.pipeline import message as messages
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run
from schedules.models import ScheduleCreationRecord

#: The messages of the day, in the order of the report.
MESSAGES = ("recurringnudge_day3", "recurringnudge_day10", "upgradereminder", "courseupdate")

IN_WORDS = {
    "no_highlights": "the course has no highlights for this week",
    words.ALREADY_SENT: "the other site's run has mailed this occasion already",
    words.NO_EMAIL_ADDRESS: "there is no address that mail could go to",
    words.UNSUBSCRIBED: "wants no mail at all",
    words.OPTED_OUT: "has switched this kind of mail off",
    words.OPTED_OUT_COURSE: "wants no mail about these courses",
    words.SUPPRESSED: "mail to this address bounced before",
    ScheduleCreationRecord.HELD_BACK: "the enrolment was held back, so it has no schedule",
    ScheduleCreationRecord.FAILED: "making the schedule failed",
}


class Sent(NamedTuple):
    """One mail that went out."""

    learner: str
    message: str
    language: str
    remark: str
    about: str


class Unsent(NamedTuple):
    """One learner without a mail: the word a summary or a log would use, and the same in words."""

    learner: str
    reason: str
    words: str
    about: str


def sent(site: Site, today: date) -> Iterator[Sent]:
    """Yield the mails of a site, message by message, and within each those caught up first, then by user names."""
    rows = EmailLog.objects.filter(site=site, status__in=words.HANDED_OFF).select_related("recipient").defer("content")
    for name in MESSAGES:
        of_message = rows.filter(email_type=name).order_by("day", "recipient__username")
        found = contents(of_message)
        for row in of_message:
            draft, about = found[row.pk]
            label, remark = _in_short(name, draft.shared)
            late = "" if row.day == today else f"was due {row.day}"
            yield Sent(
                row.recipient.get_username(), label, draft.language, ", ".join(filter(None, (remark, late))), about
            )


def _in_short(name: str, shared: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the report calls a mail, and what is worth telling of it."""
    offer = "upgrade offer" if shared["show_upsell"] else ""
    match name:
        case "upgradereminder":
            return "reminder", f"days left: {shared['days_left']}"
        case "courseupdate":
            return f"week {shared['week_num']}", offer
        case _:
            return name.removeprefix("recurringnudge_").replace("day", "day "), offer


def contents(rows: Iterable[EmailLog]) -> dict[int, tuple[Draft, str]]:
    """Return {id of the row: (draft, titles of its courses)}, as the message's own resolver says them."""
    runs: dict[tuple[object, ...], list[EmailLog]] = {}
    for row in rows:
        runs.setdefault((row.email_type, row.day, row.instant), []).append(row)
    found = {}
    for group in runs.values():
        first = group[0]
        message = messages.get(first.email_type)
        day = first.day or first.instant.date()
        run = Run(message=message.label(), site_id=first.site_id, now=first.instant, day=day)
        by_target = {row.target_id: row for row in group}
        drafts = message.resolver().drafts(run, [row.target_id for row in group if row.target_id is not None])
        titles = _titles(key for draft in drafts for key in draft.course_keys)
        for draft in drafts:
            about = " + ".join(titles[key] for key in draft.course_keys)
            found[by_target[draft.target_id].pk] = (draft, about)
    return found


def _titles(keys: Iterable[str]) -> dict[str, str]:
    found = Enrollment.objects.filter(course__key__in=set(keys)).values_list("course__key", "course__title")
    return dict(found.distinct().order_by())


def unsent(site: Site, today: date) -> Iterator[Unsent]:
    """Yield the learners of a site's courses who got no mail from it, and why, in the order of user names."""
    mailed = EmailLog.objects.filter(site=site, email_type__in=MESSAGES, status__in=words.HANDED_OFF)
    places = (
        Enrollment.objects.filter(course__org__in=org_lists()[site.pk])
        .exclude(user_id__in=mailed.values("recipient_id"))
        .select_related("user", "course", "schedule", "schedule_creation_record")
        .order_by("user__username", "created_at")
    )
    by_learner: dict[int, list[Enrollment]] = {}
    for place in places:
        by_learner.setdefault(place.user_id, []).append(place)
    for user_id, rows in by_learner.items():
        reason, in_words = _why(user_id, site, rows)
        about = ", ".join(
            f"{row.course.title} (day {(today - row.created_at.astimezone(UTC).date()).days})" for row in rows
        )
        yield Unsent(rows[0].user.get_username(), reason, in_words, about)


def _why(user_id: int, site: Site, places: Sequence[Enrollment]) -> tuple[str, str]:
    """Return the reason as a word and in words: what was recorded, else what `explain_message` would say."""
    for place in places:
        if record := getattr(place, "schedule_creation_record", None):
            return record.outcome, IN_WORDS[record.outcome]
    rows = EmailLog.objects.filter(recipient_id=user_id, site=site, email_type__in=MESSAGES)
    if row := rows.defer("content").first():
        return row.reason, IN_WORDS.get(row.reason, row.status)
    explanations = [explain(messages.get(name), user_id, site.pk) for name in MESSAGES]
    for found in explanations:
        if found.due:
            reason = words.ALREADY_SENT if found.entries else found.refusal
            return reason, IN_WORDS[words.group(reason)]
    failing = min((_failing(found) for found in explanations), key=_distance)
    return ", ".join(one.name for one in failing), "; ".join(f"not true: {one.sentence}" for one in failing)


def _failing(found: Explanation) -> list[Condition]:
    """Return the conditions that fail for the schedule that comes closest to a mail."""
    return min(
        ([condition for condition, holds in finding.answers if not holds] for finding in found.findings), key=_distance
    )


def _distance(failing: Sequence[Condition]) -> tuple[bool, int]:
    """Sort by how far from a mail: whose day it is not is further away than whom any other rule keeps from it."""
    return any(condition.name == "in_window" for condition in failing), len(failing)
