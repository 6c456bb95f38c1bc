"""Delivery: from log ids to mails handed over. Worker, retry, sweep and command all come through here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from courses import sites

from .. import words
from ..models import EmailLog
from . import ledger, letters, policy
from . import message as messages
from .message import MessageType
from .outcome import Outcome, Tally
from .resolver import Draft
from .run import Run
from .slicing import slices

#: Switches, conditions and consent are read once for so many mails.
SLICE = 50


@dataclass(frozen=True)
class Checked:
    """Who of some targets gets a mail now: the drafts, what policy read of their people, and why the others do not."""

    drafts: list[Draft]
    people: Mapping[int, policy.Verdict]
    refused: dict[int, str]


def deliver(log_ids: Iterable[int]) -> Tally:
    """Send what of these rows is due and nobody else is sending, and return the counts of what became of them.

    Worker, retry, sweep and command all call this. Rows that are not ours to send are left alone and not counted.
    """
    tally = Tally()
    for batch in slices(log_ids, SLICE):
        rows = ledger.lease(batch)
        try:
            for message, run, group in _by_run(rows):
                _deliver_slice(message, run, group, tally)
        except Exception:
            # Whatever this was, the rows it did not reach need not wait for their lease to run out.
            with contextlib.suppress(Exception):
                ledger.release(rows)
            raise
    return tally


def _by_run(rows: Sequence[EmailLog]) -> Iterator[tuple[type[MessageType], Run, list[EmailLog]]]:
    groups: dict[tuple[Any, ...], list[EmailLog]] = {}
    for row in rows:
        override = row.to_address if row.is_test else ""
        groups.setdefault((row.email_type, row.site_id, row.instant, row.day, override), []).append(row)
    for (name, site_id, instant, day, override), group in groups.items():
        message = messages.get(name)
        yield message, Run(message=message.label(), site_id=site_id, now=instant, day=day, override=override), group


def _deliver_slice(message: type[MessageType], run: Run, rows: list[EmailLog], tally: Tally) -> None:
    by_target = {row.target_id: row for row in rows if row.target_id is not None}
    checked = check(message, run, list(by_target))
    for reason in sorted(set(checked.refused.values())):
        refused = [by_target[target] for target, word in checked.refused.items() if word == reason]
        tally.note(Outcome.skipped(reason), ledger.settle(refused, Outcome.skipped(reason)))
    if not checked.drafts:
        return
    brand = sites.brand(rows[0].site)
    waiting = [(by_target[draft.target_id], draft) for draft in checked.drafts]
    done: tuple[EmailLog, Outcome] | None = None
    while waiting:
        row, draft = waiting.pop(0)
        letter = letters.prepare(message, run, row, draft, checked.people[draft.user_id], brand)
        if isinstance(letter, Outcome):
            ledger.settle([row], letter)
            _note(tally, row, letter)
            continue
        following = (row, letter.prepared, message.lease)
        if done is None:
            began = ledger.begin(*following[:2], lease=message.lease)
        else:
            began = ledger.finish_and_begin(done, following)
            _note(tally, *done)
        # Not begun: withdrawn or taken over meanwhile; its new owner counts it.
        done = (row, letters.hand_off(letter)) if began else None
        if done and done[1].unreachable:
            break
    if done is not None:
        ledger.finish(*done)
        _note(tally, *done)
        if waiting:
            # Everybody behind would wait for the same time-out; an attempt is counted, nothing is handed over.
            tally.note(done[1], ledger.settle([row for row, _ in waiting], done[1]))


def check(message: type[MessageType], run: Run, target_ids: Sequence[int]) -> Checked:
    """Return what may go out now and why the rest may not: conditions, then policy, then the message's switches.

    A constant number of statements, whatever the number of targets. Dry runs ask the same question.
    """
    resolver = message.resolver()
    drafts = resolver.drafts(run, target_ids)
    refused = {draft.target_id: draft.skip for draft in drafts if draft.skip}
    gone = sorted(set(target_ids) - {draft.target_id for draft in drafts})
    if gone:
        failing = resolver.failing(run, gone)
        refused |= {target: failing.get(target, words.NO_LONGER_ELIGIBLE) for target in gone}
    willing = [draft for draft in drafts if not draft.skip]
    people, unwelcome = policy.refusals(message, willing)
    refused |= unwelcome
    going = [draft for draft in willing if draft.target_id not in refused]
    refused |= dict.fromkeys(message.stopped(run, going), words.STOPPED)
    return Checked([draft for draft in going if draft.target_id not in refused], people, refused)


def _note(tally: Tally, row: EmailLog, outcome: Outcome) -> None:
    """Count what the ledger made of an outcome: an attempt too many turns "try again" into `failed`."""
    tally.note(Outcome(status=row.status, reason=row.reason, ours=outcome.ours))
