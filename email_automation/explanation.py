"""Why a person got a mail, or did not: conditions, then policy, then what the ledger says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.db.models import Q

from .models import EmailLog
from .pipeline import policy
from .pipeline.message import MessageType
from .pipeline.resolver import Finding
from .pipeline.run import Run


class PolicyAnswer(NamedTuple):
    """One question of policy, as a sentence with its answer."""

    sentence: str
    holds: bool


@dataclass(frozen=True)
class Explanation:
    """Everything `explain_message` says of one message, one person and one run."""

    message: type[MessageType]
    run: Run
    planning_open: bool
    hand_off_open: bool
    findings: list[Finding]
    refusal: str
    course_opt_outs: int
    entries: list[EmailLog]

    @property
    def due(self) -> bool:
        """Whether the conditions hold for at least one row."""
        return any(all(holds for _, holds in finding.answers) for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        occupied = [entry for entry in self.entries if entry.dedupe_key]
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
        return "A run of this day would send this mail."

    def _closest(self) -> Finding:
        return max(self.findings, key=lambda finding: sum(holds for _, holds in finding.answers))


def explain(message: type[MessageType], user_id: int, site_id: int, *, day: date | None = None) -> Explanation:
    """Return why a person gets, got, or does not get a message; `day` as the commands' `--date`. Reads only."""
    run = Run.starting(message.label(), site_id, day=day)
    resolver = message.resolver()
    occasions = {row.occasion for row in resolver.occasions(run, user_id)}
    return Explanation(
        message=message,
        run=run,
        planning_open=message.gate(run, "enqueue"),
        hand_off_open=message.gate(run, "deliver"),
        findings=resolver.explain(run, user_id),
        refusal=policy.verdicts(message, [user_id])[user_id].refusal,
        course_opt_outs=len(policy.course_opt_outs([user_id])),
        entries=list(
            EmailLog.objects.filter(Q(occasion__in=occasions), recipient_id=user_id, email_type=message.NAME)
            .defer("content")
            .order_by("-id")[:20]
        ),
    )
