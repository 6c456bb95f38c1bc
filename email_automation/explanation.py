"""Why a person got a mail, or did not: conditions, then policy, then what the ledger says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Q

from . import words
from .models import EmailLog
from .pipeline import delivery, policy
from .pipeline.message import MessageType
from .pipeline.resolver import Finding
from .pipeline.run import Run

ENTRIES_SHOWN: Final = 20
REFUSALS: Final = {
    words.INACTIVE_USER: "The account is not active.",
    words.NO_EMAIL_ADDRESS: "The account has no address that could be mailed.",
    words.SUPPRESSED: "The address is suppressed after a bounce or a complaint.",
    words.UNSUBSCRIBED: "The person wants no mail at all.",
    words.OPTED_OUT: "The person wants no mail of this kind.",
    words.OPTED_OUT_COURSE: "The person wants no mail about the course.",
}


@dataclass(frozen=True)
class Explanation:
    """Everything `explain_message` says of one message, one person and one run.

    `refusal` is policy's word about the person, `held_back` the reasons for which a mail that is due by its conditions
    would not be handed off, empty when it would.
    """

    message: type[MessageType]
    run: Run
    planning_open: bool
    hand_off_open: bool
    findings: list[Finding]
    refusal: str
    held_back: list[str]
    course_opt_outs: int
    entries: list[EmailLog]

    @property
    def due(self) -> bool:
        """Whether the conditions hold for at least one row."""
        return any(all(holds for _, holds in finding.answers) for finding in self.findings)

    @property
    def may_be_mailed(self) -> bool:
        """Whether policy lets this person be mailed at all."""
        return not self.refusal

    @property
    def refusal_sentence(self) -> str:
        """Policy's word as a sentence, '' when the person may be mailed."""
        return refusal_sentence(self.refusal)

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        occupied = [entry for entry in self.entries if entry.dedupe_key and not entry.is_test]
        if occupied:
            entry = occupied[0]
            return f"There is a mail for this occasion already: log row {entry.pk}, {entry.status}."
        if not self.findings:
            return "Nothing this message is about exists for this person."
        if not self.due:
            name = next(c.name for c, holds in self._closest().answers if not holds)
            return f"No mail: condition {name} does not hold."
        if self.refusal:
            return f"No mail: {self.refusal}."
        if not self.planning_open or not self.hand_off_open:
            return "No mail: the message is switched off for this site."
        if self.held_back:
            return f"No mail: {', '.join(self.held_back)}."
        return "A run of this day would send this mail."

    def _closest(self) -> Finding:
        return max(self.findings, key=lambda finding: sum(holds for _, holds in finding.answers))


def explain(message: type[MessageType], user_id: int, site_id: int, *, day: date | None = None) -> Explanation:
    """Return why a person gets, got, or does not get a message; `day` as the commands' `--date`. Reads only."""
    run = message.starting(site_id, day=day)
    resolver = message.resolver()
    possible = resolver.occasions(run, user_id)
    findings = resolver.explain(run, user_id)
    due = any(all(holds for _, holds in finding.answers) for finding in findings)
    return Explanation(
        message=message,
        run=run,
        planning_open=message.gate(run, "enqueue"),
        hand_off_open=message.gate(run, "deliver"),
        findings=findings,
        refusal=policy.verdict_of(message, user_id, next((row.address for row in possible), "")).refusal,
        held_back=_held_back(message, run, sorted({row.target_id for row in possible})) if due else [],
        course_opt_outs=len(policy.course_opt_outs([user_id])),
        entries=list(
            EmailLog.objects.filter(
                Q(occasion__in={row.occasion for row in possible}), recipient_id=user_id, email_type=message.NAME
            )
            .defer("content")
            .order_by("-id")[:ENTRIES_SHOWN]
        ),
    )


def _held_back(message: type[MessageType], run: Run, target_ids: list[int]) -> list[str]:
    """Return why none of these targets would be mailed, by the same question that delivery asks; [] if one would."""
    checked = delivery.check(message, run, target_ids)
    conditions = {condition.name for condition in message.resolver.conditions}
    return [] if checked.drafts else sorted(set(checked.refused.values()) - conditions)


def refusal_sentence(word: str) -> str:
    """Return one of policy's words as a sentence; a word policy does not know stays as it is."""
    return REFUSALS.get(word) or REFUSALS.get(words.group(word)) or word
