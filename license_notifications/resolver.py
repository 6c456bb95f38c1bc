"""Which administrators are told how far the licences are used up, and what they read. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db.models import Case, CharField, Count, IntegerField, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from email_automation import words
from email_automation.language import chosen_language, wishes_of
from email_automation.models import EmailLog
from email_automation.pipeline.conditions import Condition, annotated, every
from email_automation.pipeline.resolver import AUDIENCE_PAGE, AudienceRow, Draft, Resolver
from email_automation.pipeline.run import Run

from . import figures, plans
from .conditions import (
    DIGEST,
    OF_PLAN,
    SLOT_DUE,
    THRESHOLD_OPEN,
    THRESHOLD_REACHED,
    UTILIZATION,
    WEEK_OVER,
    rows_of_admin,
    this_week,
    week_of,
)
from .models import NO_PLAN, THRESHOLD_75, THRESHOLD_100, WEEKLY, EnterpriseAdmin, NotificationTimestamp
from .occasions import Occasion
from .plans import Choice

UTILIZATION_NAME: Final = "license_utilization"
DIGEST_NAME: Final = "license_weekly_digest"

#: The words by which runs count who has been told already, and who has no address.
COUNTED_AS: Final = {
    "threshold_open": words.ALREADY_SENT,
    "slot_due": words.ALREADY_SENT,
    "has_address": words.NO_EMAIL_ADDRESS,
}


class NoticeResolver(Resolver):
    """One notice per administrator of an enterprise. The target is the EnterpriseAdmin.

    Everybody of an enterprise is told the same numbers: while planning those the run has read, afterwards those that
    the claim has written down.
    """

    message_name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    #: What can be true of a run only, and is not asked again when the mail is handed off.
    planning_only = frozenset(rule.name for rule in (*OF_PLAN, THRESHOLD_REACHED, THRESHOLD_OPEN, WEEK_OVER, SLOT_DUE))
    user_path = "account_id"
    #: Of whom a run says that they are left out, when the first of these fails and everything before it holds.
    counted: ClassVar[tuple[Condition, ...]]
    #: What has to be known of a person, by the rule that asks for it, and the rules that fail with it.
    needed: ClassVar[Mapping[str, str]] = {"has_address": "no e-mail address"}
    follows: ClassVar[Mapping[str, Sequence[str]]] = {}

    def rows(self) -> QuerySet[EnterpriseAdmin]:
        """Return every administrator who has an account here."""
        return EnterpriseAdmin.objects.filter(account__isnull=False)

    def candidates(self, run: Run) -> QuerySet[EnterpriseAdmin]:
        """Return the listed administrators of the enterprises there is something to tell of."""
        told = figures.where(run, lambda choice: figures.is_told(choice, run.now))
        return self.rows().filter(enterprise_customer_uuid__in=told, listed=True)

    def remembering(self, admins: QuerySet[EnterpriseAdmin], run: Run) -> QuerySet[EnterpriseAdmin]:
        """Return administrators with `kind` and `tries`: what they would be told, and how often that was tried."""
        raise NotImplementedError

    def kind_of(self, choice: Choice) -> str:
        """Return the kind of notice that a plan's numbers call for."""
        raise NotImplementedError

    def eligible(self, run: Run, *, target_ids: Sequence[int] | None = None) -> QuerySet[EnterpriseAdmin]:
        """Return who is due or, of some, who still is."""
        if target_ids is None:
            return self.remembering(super().eligible(run), run)
        # Without the memory: what is claimed says itself what is told, and to read all plans for each call costs more
        # than the call.
        return self.among(run, pk__in=target_ids).filter(every(self.lasting(), run))

    def audience(self, run: Run) -> Iterator[list[AudienceRow]]:
        """Yield who is due by enterprise; no page ends in the middle of one."""
        # Ordered here, because databases disagree about the order of uuids.
        found = sorted(self._keys(self.eligible(run)), key=lambda row: (row[3], row[4]))
        page: list[AudienceRow] = []
        for _, rows in groupby(found, key=lambda row: row[3]):
            page += [self.audience_row(run, row) for row in rows]
            if len(page) >= AUDIENCE_PAGE:
                yield page
                page = []
        if page:
            yield page

    occasion_paths = ("email", "enterprise_customer_uuid", "ecu_id", "kind", "tries", "anchor_at")

    def audience_row(self, run: Run, row: Sequence[Any]) -> AudienceRow:
        """Return an administrator's row with the address of the directory; an enterprise is a batch."""
        address, enterprise = row[2], row[3]
        return super().audience_row(run, row)._replace(address=address, batch=str(enterprise))

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return the key's text: kind, ECU, plan or week, day, number of the try."""
        _, enterprise, ecu_id, kind, tries, anchor = values
        choice = figures.choices(run).get(enterprise)
        weekly = kind == WEEKLY
        return str(
            Occasion(
                message=self.message_name,
                kind=kind,
                ecu_id=ecu_id,
                plan_uuid=NO_PLAN if weekly or choice is None else choice.plan_uuid,
                slot=max(week_of(anchor, run.now), 0) if weekly and anchor else 0,
                day=run.day,
                attempt=tries + 1,
            )
        )

    def left_out(self, run: Run) -> Mapping[str, int]:
        """Return how many of those there is something to tell are not told, by the first rule that fails."""
        failing = [When(**{f"holds_{rule.name}": False}, then=Value(rule.name)) for rule in self.conditions]
        asked = annotated(self.candidates(run), self.conditions, run)
        reasons = asked.annotate(failing=Case(*failing, default=Value(""), output_field=CharField()))
        found = dict(reasons.order_by().values_list("failing").annotate(number=Count("pk")))
        return {COUNTED_AS.get(rule.name, rule.name): found[rule.name] for rule in self.counted if rule.name in found}

    def lacking(self, run: Run, rule: str) -> list[tuple[UUID, int]]:
        """Return (enterprise, ECU) of those who are not told for the sake of one rule, and of what follows from it."""
        asked = annotated(self.candidates(run), self.conditions, run)
        others = {other.name for other in self.conditions} - {rule, *self.follows.get(rule, ())}
        found = asked.filter(**{f"holds_{rule}": False}, **{f"holds_{other}": True for other in sorted(others)})
        return list(found.order_by("ecu_id").values_list("enterprise_customer_uuid", "ecu_id"))

    def occasions(self, run: Run, user_id: int) -> list[AudienceRow]:
        """Return what a run could be about for one person, and the tries to tell it that have not failed."""
        admins = self.remembering(self.among(run, **{self.user_path: user_id}), run)
        found = [self.audience_row(run, row) for row in self._keys(admins)]
        tries = EmailLog.objects.filter(recipient_id=user_id, email_type=self.message_name)
        tried = [
            Occasion.parsed(text) for text in tries.exclude(status=words.FAILED).values_list("occasion", flat=True)
        ]
        return found + [
            row._replace(occasion=str(earlier))
            for row in found
            for earlier in tried
            if earlier.thing == Occasion.parsed(row.occasion).thing
        ]

    def subject_of(self, row: EnterpriseAdmin) -> str:
        """Return the ECU's number and its enterprise."""
        return f"ECU {row.ecu_id} of enterprise {row.enterprise_customer_uuid}"

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return a notice for each of these administrators, in a constant number of statements."""
        admins: list[Any] = list(self.eligible(run, target_ids=target_ids))
        claims = {} if run.is_test or run.dry_run else self._claims(admins)
        unclaimed = {admin.enterprise_customer_uuid for admin in admins if admin.ecu_id not in claims}
        choices = figures.choices_of(run, unclaimed)
        frozen = plans.described({claim.reported_plan_uuid or NO_PLAN for claim in claims.values()})
        wishes = wishes_of({admin.account_id for admin in admins})
        drafts = []
        for admin in admins:
            claim = claims.get(admin.ecu_id)
            choice = choices.get(admin.enterprise_customer_uuid)
            if claim is not None:
                plan = frozen.get(claim.reported_plan_uuid or NO_PLAN)
                choice = plan.counting(claim.total, claim.allocated) if plan else None
            if choice is None:
                continue
            drafts.append(
                Draft(
                    target_id=admin.pk,
                    user_id=admin.account_id,
                    address=admin.email,
                    external_user_id=str(admin.lms_user_id),
                    language=chosen_language(wishes.get(admin.account_id, ""), ""),
                    shared=figures.told(choice, claim.kind if claim else self.kind_of(choice)),
                    personal={"user_name": admin.user_name},
                    occasion=str(self._claimed_for(claim, run)) if claim else "",
                )
            )
        return drafts

    def _claimed_for(self, claim: NotificationTimestamp, run: Run) -> Occasion:
        return Occasion(
            self.message_name, claim.kind, claim.ecu_id, claim.plan_uuid, claim.slot, run.day, claim.attempts
        )

    def _claims(self, admins: Sequence[EnterpriseAdmin]) -> dict[int, NotificationTimestamp]:
        """Return by ECU what has been claimed for these administrators and not ended yet; the newest of several."""
        rows = NotificationTimestamp.objects.filter(
            ecu_id__in=[admin.ecu_id for admin in admins], kind__in=self.kinds, state=NotificationTimestamp.CLAIMED
        )
        return {row.ecu_id: row for row in rows.order_by("claimed_at", "pk")}


class UtilizationResolver(NoticeResolver):
    """Who has not been told yet that three quarters, or all, of the licences are allocated."""

    message_name = UTILIZATION_NAME
    kinds = (THRESHOLD_75, THRESHOLD_100)
    conditions = UTILIZATION
    counted = tuple(rule for rule in UTILIZATION if rule.name not in ("threshold_reached", "first_of_person"))

    def remembering(self, admins: QuerySet[EnterpriseAdmin], run: Run) -> QuerySet[EnterpriseAdmin]:
        """Return administrators with the threshold that their enterprise's plan has reached."""
        full = figures.where(run, lambda choice: choice.reached_100)
        chosen = [choice.plan_uuid for choice in figures.choices(run).values()]
        kind = Case(
            When(enterprise_customer_uuid__in=full, then=Value(THRESHOLD_100)),
            default=Value(THRESHOLD_75),
            output_field=CharField(),
        )
        row = rows_of_admin().filter(kind=OuterRef("kind"), plan_uuid__in=chosen)
        return admins.annotate(kind=kind).annotate(tries=_tries(row))

    def kind_of(self, choice: Choice) -> str:
        """Return the threshold that is reached, of two the higher one; a test mail may be about none."""
        return figures.threshold(choice) or THRESHOLD_75


class DigestResolver(NoticeResolver):
    """Who has begun another week as an administrator, and has not had its figures."""

    message_name = DIGEST_NAME
    kinds = (WEEKLY,)
    conditions = DIGEST
    counted = tuple(rule for rule in DIGEST if rule.name not in ("week_over", "first_of_person"))
    needed = {**NoticeResolver.needed, "has_anchor": "not known since when active, so no weekly mail"}
    follows = {"has_anchor": ("week_over",)}

    def remembering(self, admins: QuerySet[EnterpriseAdmin], run: Run) -> QuerySet[EnterpriseAdmin]:
        """Return administrators with the tries of the week the run falls into."""
        row = rows_of_admin().filter(this_week(run))
        return admins.annotate(kind=Value(WEEKLY), tries=_tries(row))

    def kind_of(self, choice: Choice) -> str:
        """Return the one kind there is."""
        return WEEKLY


def _tries(rows: QuerySet[NotificationTimestamp]) -> Coalesce:
    return Coalesce(Subquery(rows.order_by("-slot").values("attempts")[:1]), 0, output_field=IntegerField())
