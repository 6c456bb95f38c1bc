"""What the weekly run came to, enrolment by enrolment: whose report says what, and who got none and why. Only reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from django.contrib.sites.models import Site
from django.db.models import QuerySet

from courses.models import Enrollment
from courses.sites import org_lists
from email_automation import words
from email_automation.models import EmailLog
from email_automation.pipeline import message as messages
from email_automation.pipeline import policy

from . import report

LABEL = "email_automation.weekly_progress"


class Reported(NamedTuple):
    """One report that went out: the share completed by the end of the week, of how many things, and the week itself."""

    learner: str
    language: str
    completed: str
    that_week: str
    about: str


def reported(site: Site, monday: date) -> Iterator[Reported]:
    """Yield the reports of a site that a run of this day has sent, by user names."""
    rows = _mails(site, monday).filter(status__in=words.HANDED_OFF).order_by("recipient__username", "pk")
    contents = report.contents(rows)
    for row in rows:
        draft, about = contents[row.pk]
        figures = draft.shared["report"]
        new = sum(figures[f"{kind}_this_week"] for kind in ("videos", "quizzes", "assignments"))
        yield Reported(
            row.recipient.get_username(),
            draft.language,
            f"{figures['completion_percentage']} %, {figures['completed']} of {figures['total']}",
            f"{new} in {figures['time_spent']} min" if figures["time_spent"] else "-",
            about,
        )


def unreported(site: Site, monday: date) -> Iterator[report.Unsent]:
    """Yield the enrolments of a site of which a run of this day has sent no report, and why, by user names."""
    mailed = _mails(site, monday).filter(status__in=words.HANDED_OFF)
    places = list(
        Enrollment.objects.filter(course__org__in=org_lists()[site.pk])
        .exclude(pk__in=mailed.values("target_id"))
        .select_related("user", "course")
        .order_by("user__username", "pk")
    )
    kind = messages.get(LABEL)
    sentences = {condition.name: condition.sentence for condition in kind.resolver.conditions}
    failing = kind.resolver().failing(kind.starting(site.pk, day=monday), [place.pk for place in places])
    people = policy.verdicts(kind, {policy.Addressee(place.user_id) for place in places})
    withdrawn = dict(_mails(site, monday).values_list("target_id", "reason"))
    for place in places:
        if reason := failing.get(place.pk, ""):
            in_words = f"not true: {sentences[reason]}"
        else:
            reason = people[policy.Addressee(place.user_id)].refusal or withdrawn.get(place.pk, "")
            in_words = report.IN_WORDS[reason if reason in report.IN_WORDS else words.group(reason)]
        yield report.Unsent(place.user.get_username(), reason, in_words, place.course.title)


def _mails(site: Site, monday: date) -> QuerySet[EmailLog]:
    rows = EmailLog.objects.filter(site=site, email_type=messages.get(LABEL).NAME, day=monday)
    return rows.select_related("recipient").defer("content")
