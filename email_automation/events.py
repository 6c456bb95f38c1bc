"""What the messages about events share: facts that are mailed once each, and the switches that hold such mail back.

A trigger writes the fact's id into the outbox, so most mails go out that way. A run of the clock finds the facts of its
day instead, also those that were recorded without telling anybody; the key keeps each fact to one mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import Q, QuerySet

from courses import sites
from courses.models import Course, SiteOrg
from courses.switches import switch_is_active

from . import words
from .language import chosen_language, wishes_of
from .links import SiteLinks
from .packing import View
from .pipeline.conditions import Condition
from .pipeline.message import MessageType, Stage
from .pipeline.resolver import Draft, Resolver
from .pipeline.run import Run

#: What utm_source says.
SOURCE = "email_automation"
#: Waffle switches that stop one message: nothing is planned, or nothing that is planned is handed off.
HOLD, STOP = "email_automation.hold_{}", "email_automation.stop_{}"


class SwitchedMessage(MessageType):
    """A message that is on until somebody activates one of its two waffle switches."""

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return whether the switch of this stage lets the message through."""
        return not switch_is_active((HOLD if stage == "enqueue" else STOP).format(cls.NAME))


class EventMessage(SwitchedMessage):
    """A mail that follows at once what somebody has just done and waits for."""

    transactional = True
    resend_unknown = 1
    max_lateness = 7


def on_run_day(run: Run, field: str) -> Q:
    """Return the rule that a moment lies in the run's UTC day; for a triggered run, which has its facts named, none."""
    if run.triggered:
        return Q()
    first = datetime.combine(run.day, time(), tzinfo=UTC)
    return Q(**{f"{field}__gte": first, f"{field}__lt": first + timedelta(days=1)})


def happened_on_run_day(field: str, sentence: str) -> Condition:
    """Return the condition that the fact is of the run day."""
    return Condition("on_run_day", lambda run: on_run_day(run, field), f"{sentence} on the run day (UTC)")


def mailed_by_site(field: str) -> Condition:
    """Return the condition that the run's site mails about the course that `field` leads to.

    It is the one that `owner_sites` names, so that a mail comes from the same site whoever starts it.
    """

    def q(run: Run) -> Q:
        if run.triggered:
            return Q()
        listed = SiteOrg.objects.order_by()
        own = listed.filter(configuration__site_id=run.site_id).values("org")
        earlier = listed.filter(configuration__site_id__lt=run.site_id).values("org")
        owned = Q(**{f"{field}__org__in": own}) & ~Q(**{f"{field}__org__in": earlier})
        if run.site_id != settings.SITE_ID:
            return owned
        return owned | ~Q(**{f"{field}__org__in": listed.values("org")}) | Q(**{field: None})

    return Condition("org_of_site", q, "The course belongs to the run's site")


def active_account(field: str) -> Condition:
    """Return the condition that the account is active."""
    return Condition("active_user", Q(**{f"{field}__is_active": True}), "The account is active")


class FactResolver(Resolver):
    """One mail per fact: the target is the fact, a row with a `user_id` and perhaps a course.

    Subclasses name the message, the field that says when it happened, the conditions, `rows`, and `shared`.
    """

    message_name: ClassVar[str]
    date_field: ClassVar[str]

    def candidates(self, run: Run) -> QuerySet[Any]:
        """Return the facts of the run day, or all of them for a run that has them named."""
        return self.rows().filter(on_run_day(run, self.date_field))

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `<message>:<fact>`."""
        return occasion(self.message_name, target_id)

    def course_of(self, fact: Any) -> Course | None:
        """Return the course a fact is about."""
        course: Course | None = fact.course
        return course

    def about(self, fact: Any) -> dict[str, Any]:
        """Return the fields of a draft that name the rows the mail is about, beside the course."""
        return {}

    def shared(self, fact: Any, view: View) -> dict[str, Any] | None:
        """Return the values of one mail, None for no mail."""
        raise NotImplementedError

    def prepared(self, run: Run, facts: Sequence[Any]) -> None:
        """Read in bulk what `shared` needs beside the facts themselves; a resolver serves one call of `drafts`."""

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return one draft per fact that still qualifies, in a constant number of statements."""
        facts = list(self.eligible(run, target_ids=target_ids))
        self.prepared(run, facts)
        wishes = wishes_of({fact.user_id for fact in facts})
        site = sites.with_look(run.site_id)
        site_language = getattr(getattr(site, "configuration", None), "language", "")
        drafts = []
        for fact in facts:
            course = self.course_of(fact)
            key = course.key if course else ""
            wish = wishes.get(fact.user_id, "")
            language = chosen_language(wish, course.language if course else "", site_language)
            links = SiteLinks(site, source=SOURCE, campaign=self.message_name, first_course=key)
            shared = self.shared(fact, View(language, links))
            drafts.append(
                Draft(
                    target_id=fact.pk,
                    user_id=fact.user_id,
                    language=language,
                    shared=shared or {},
                    course_id=course.pk if course else None,
                    course_keys=(key,) if key else (),
                    skip="" if shared is not None else words.NO_LONGER_ELIGIBLE,
                    **self.about(fact),
                )
            )
        return drafts


def occasion(message_name: str, target_id: int) -> str:
    """Return what a mail about a fact is once-only about."""
    return f"{message_name}:{target_id}"


def owner_sites(courses: Sequence[Course | None]) -> dict[int | None, int]:
    """Return {course id: id of the site that mails about it}; no course, or one that no site lists: SITE_ID."""
    owners = sites.sites_for_orgs({course.org for course in courses if course is not None})
    found: dict[int | None, int] = {None: settings.SITE_ID}
    for course in courses:
        if course is not None:
            found[course.pk] = owners[course.org].pk
    return found
