"""Delivery: from log ids to mails handed over. Worker, retry, sweep and command all come through here."""

from __future__ import annotations

import contextlib
import logging
import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from django.db import connection

from courses import sites
from courses.bulk import slices

from .. import words
from ..conf import setting
from ..models import EmailLog, EmailQueue
from ..templating import stored
from . import cohort, ledger, policy
from . import message as messages
from .calls import CallResolver
from .desk import Desk
from .handoff import HandOff
from .letters import Letter
from .message import MessageType
from .outcome import Outcome, Tally, trace
from .resolver import SITE, Draft, Resolver
from .run import Run
from .turn import Turn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """Who of some targets gets a mail now: the drafts, what policy read of their people, and why the others do not.

    `people` and `refused` are by target id.
    """

    drafts: list[Draft]
    people: Mapping[int, policy.Verdict]
    refused: dict[int, str]


def deliver(
    log_ids: Iterable[int], *, held: Collection[UUID | None] = (), turn: Turn | None = None, briefly: bool = False
) -> Tally:
    """Send what of these rows is due and nobody else is sending, and return the counts of what became of them.

    Worker, retry, sweep and command all call this. Rows that are not ours to send are left alone and not counted;
    `held` are the tokens of rows that the caller has held since claiming them. When a `turn` is over, the rows it has
    not come to are free again, and it names them; one mail at least is tried. For `briefly` see `ledger.lease`. Raises
    RuntimeError inside a transaction: what is handed off cannot be rolled back.
    """
    tally = Tally()
    turn = turn or Turn(math.inf)
    # Switches, conditions and consent are read once for so many mails.
    for number, batch in enumerate(slices(log_ids, setting("EMAIL_BATCH_SIZE"))):
        if number and turn.is_over:
            turn.left += batch
            continue
        stored.refresh()
        cohort.look_again()
        rows = ledger.lease(batch, held=held, briefly=briefly)
        try:
            for group_number, (message, run, group) in enumerate(_by_run(rows)):
                if group_number and turn.is_over:
                    turn.leave(group)
                else:
                    _deliver_group(message, run, group, tally, turn)
            if turn.left:
                left = set(turn.left)
                ledger.release([row for row in rows if row.pk in left])
        except BaseException:
            # Also when somebody presses Ctrl-C: the rows it did not reach need not wait for their lease to run out.
            with contextlib.suppress(Exception):
                ledger.release(rows)
            raise
    return tally


def _by_run(rows: Sequence[EmailLog]) -> Iterator[tuple[type[MessageType], Run, list[EmailLog]]]:
    """Yield the rows that can be drafted together; no target is twice in a group."""
    groups: dict[tuple[Any, ...], list[EmailLog]] = {}
    seen: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        override = row.to_address if row.is_test else ""
        key = (row.email_type, row.site_id, row.instant, row.day, override, row.target_id is None)
        target = _target_of(row)
        groups.setdefault((*key, seen[*key, target]), []).append(row)
        seen[*key, target] += 1
    for (name, site_id, instant, day, override, _, _), group in groups.items():
        message = messages.get(name)
        run = Run(
            message=message.label(),
            site_id=site_id,
            now=instant,
            day=day or instant.astimezone(UTC).date(),
            override=override,
            triggered=day is None,
            memory={SITE: group[0].site},
        )
        yield message, run, group


def _target_of(row: EmailLog) -> int:
    """Return what a row's resolver is asked about: the message's target or, for a call, the call's entry."""
    if row.target_id is not None:
        return row.target_id
    queued: EmailQueue | None = getattr(row, "queued", None)
    return queued.pk if queued is not None else 0


def _resolver_of(message: type[MessageType], rows: Sequence[EmailLog]) -> Resolver:
    return CallResolver(message) if rows[0].target_id is None else message.resolver()


def _deliver_group(message: type[MessageType], run: Run, rows: list[EmailLog], tally: Tally, turn: Turn) -> None:
    try:
        _deliver_slice(message, run, rows, tally, turn)
    except Exception as error:
        # One message's mistake must not hold up everybody else's mail at every sweep, so its rows step back.
        log.error("message=%s site=%s broke off: %s", run.message, run.site_id, trace(error))
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        detail = f"{type(error).__name__}: {error}"
        tally.update(ledger.settle(rows, Outcome(status=words.PENDING, reason="broke_off", detail=detail, ours=True)))


def _deliver_slice(message: type[MessageType], run: Run, rows: list[EmailLog], tally: Tally, turn: Turn) -> None:
    by_target = {_target_of(row): row for row in rows}
    checked = check(message, run, list(by_target), resolver=_resolver_of(message, rows))
    for reason in sorted(set(checked.refused.values())):
        refused = [by_target[target] for target, word in checked.refused.items() if word == reason]
        tally.update(ledger.settle(refused, Outcome.skipped(reason)))
    # In the order of the rows, which is that of sending, and not in which the resolver has found them.
    drafts = {draft.target_id: draft for draft in checked.drafts}
    going = [(row, drafts[target]) for target, row in by_target.items() if target in drafts]
    # What the mail is about may have moved on to another occasion, which has a key and a claim of its own.
    moved = [row for row, draft in going if draft.occasion and draft.occasion != row.occasion]
    if moved:
        tally.update(ledger.settle(moved, Outcome.skipped(words.NO_LONGER_ELIGIBLE)))
    waiting = deque((row, draft) for row, draft in going if row not in moved)
    if not waiting:
        return
    site = rows[0].site
    desk, hand_off = Desk(message, run, sites.brand(site), domain=site.domain), HandOff(message, tally)
    hand_off.send(_prepared(desk, hand_off, waiting, checked, tally, turn))
    if hand_off.down is None:
        turn.leave(row for row, _ in waiting)
    hand_off.put_off([row for row, _ in waiting])


def _prepared(
    desk: Desk, hand_off: HandOff, waiting: deque[tuple[EmailLog, Draft]], checked: Checked, tally: Tally, turn: Turn
) -> Iterator[Letter]:
    """Yield the mails that go out, each prepared when it is asked for; none once their provider is down.

    One is tried in any case, and none is taken once the turn is over.
    """
    while waiting and hand_off.down is None:
        row, draft = waiting.popleft()
        letter = desk.prepare(row, draft, checked.people[draft.target_id])
        if isinstance(letter, Outcome):
            tally.update(ledger.settle([row], letter))
        else:
            yield letter
        if turn.is_over:
            return


def check(
    message: type[MessageType], run: Run, target_ids: Sequence[int], *, resolver: Resolver | None = None
) -> Checked:
    """Return what may go out now and why the rest may not: conditions, then policy, then the message's switches.

    A constant number of statements, whatever the number of targets. Dry runs ask the same question. The targets are
    those of the message's own resolver unless another is given.
    """
    resolver = resolver or message.resolver()
    # By target: a resolver that drafted somebody twice must not mail them twice.
    drafts = list({draft.target_id: draft for draft in resolver.drafts(run, target_ids)}.values())
    refused = {draft.target_id: draft.skip for draft in drafts if draft.skip}
    gone = sorted(set(target_ids) - {draft.target_id for draft in drafts})
    if gone:
        failing = resolver.failing(run, gone)
        refused |= {target: failing.get(target, words.NO_LONGER_ELIGIBLE) for target in gone}
    willing = [draft for draft in drafts if not draft.skip]
    people, unwelcome = policy.refusals(message, willing, courses_asked=resolver.asks_course_opt_outs)
    refused |= unwelcome
    going = [draft for draft in willing if draft.target_id not in refused]
    refused |= dict.fromkeys(message.stopped(run, going), words.STOPPED)
    return Checked([draft for draft in going if draft.target_id not in refused], people, refused)
