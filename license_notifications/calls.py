"""What each hand-off of a run came to, in one line: for people, and for whoever reads the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from courses.bulk import slices
from email_automation import words
from email_automation.models import EmailLog

from . import figures
from .models import EnterpriseAdmin
from .occasions import Occasion
from .plans import Choice

WOULD_SEND = "would send"


class Call(NamedTuple):
    """One call to the mail service: what came of it, of what kind, whose, of which plan, and to which ECUs."""

    word: str
    kind: str
    enterprise_uuid: UUID
    plan_uuid: UUID
    ecu_ids: list[int]

    def __str__(self) -> str:
        ecu_ids = ",".join(map(str, self.ecu_ids))
        return (
            f"{self.word} {self.kind} enterprise={self.enterprise_uuid} plan={self.plan_uuid} "
            f"recipients={len(self.ecu_ids)} ecu_ids={ecu_ids}"
        )


def made(log_ids: Sequence[int], choices: Mapping[UUID, Choice]) -> Iterator[Call]:
    """Yield what came of the mails of a batch; those that were withdrawn made no call."""
    mails = EmailLog.objects.filter(pk__in=log_ids).exclude(status__in=(words.SKIPPED, words.SENDING))
    found = list(mails.values_list("status", "occasion", "target_id"))
    enterprises = dict(
        EnterpriseAdmin.objects.filter(pk__in=[target for *_, target in found]).values_list(
            "pk", "enterprise_customer_uuid"
        )
    )
    together: dict[tuple[str, str, UUID], list[int]] = defaultdict(list)
    for status, occasion, target in found:
        word = words.SENT if status in words.HANDED_OFF else status
        if target in enterprises:
            tried = Occasion.parsed(occasion)
            together[word, tried.kind, enterprises[target]].append(tried.ecu_id)
    for (word, kind, enterprise), ecu_ids in sorted(together.items()):
        yield Call(word, kind, enterprise, choices[enterprise].plan_uuid, sorted(ecu_ids))


def rehearsed(
    targets: Iterable[int], choices: Mapping[UUID, Choice], *, size: int, kind_of: str = ""
) -> Iterator[Call]:
    """Yield the calls that mails about these targets would make, in the order in which they would be made."""
    admins = EnterpriseAdmin.objects.in_bulk(list(targets)).values()
    by_enterprise: dict[UUID, list[int]] = defaultdict(list)
    for admin in admins:
        by_enterprise[admin.enterprise_customer_uuid].append(admin.ecu_id)
    for enterprise, ecu_ids in sorted(by_enterprise.items()):
        choice = choices[enterprise]
        for batch in slices(sorted(ecu_ids), size):
            yield Call(WOULD_SEND, kind_of or figures.threshold(choice), enterprise, choice.plan_uuid, batch)
