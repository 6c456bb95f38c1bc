"""What every message keeps to, whatever it is about. Parametrised over the register: a new message joins by itself.

What needs several processes (two schedulers at once, a killed worker) is in tests/chaos/test_contract_processes.py.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.sites.models import Site
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from courses.models import Course
from email_automation import consent, values, words
from email_automation.braze_standin.server import BrazeStandIn
from email_automation.channels import CAMPAIGN_CHANNEL
from email_automation.channels.braze import BrazeCampaignChannel
from email_automation.channels.mail import DjangoMailChannel
from email_automation.explanation import explain
from email_automation.models import CourseOptOut, EmailLog, MessageRun
from email_automation.pipeline import dispatch, letters, message, policy, sweep, wake
from email_automation.pipeline.delivery import check, deliver
from email_automation.pipeline.outcome import Outcome
from email_automation.pipeline.resolver import Draft
from tests.message_factories import FACTORIES, MessageFactory

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]

LABELS = sorted(kind.label() for kind in message.all_messages())
#: The settings by which messages go out as campaigns of another service, and the label of such a variant.
CAMPAIGN_SETTINGS = ("LICENSE_NOTIFICATION_CHANNEL", "SUBSIDY_REQUESTS_CHANNEL")
BY_CAMPAIGN = f"@{CAMPAIGN_CHANNEL}"
LANGUAGES = [code for code, _ in settings.LANGUAGES]
DAY = date(2017, 8, 1)
MOST_PER_FOLLOWED_MAIL = 6


@pytest.fixture
def site() -> Site:
    return Site.objects.get(pk=settings.SITE_ID)


def variants() -> list[str]:
    """Every message, and once more those that can also go out as campaigns."""
    with override_settings(**dict.fromkeys(CAMPAIGN_SETTINGS, CAMPAIGN_CHANNEL)):
        also = [kind.label() + BY_CAMPAIGN for kind in message.all_messages() if kind.channel() == CAMPAIGN_CHANNEL]
    return sorted([*LABELS, *also])


@pytest.fixture
def campaigns(braze: BrazeStandIn, settings: Any, monkeypatch: Any) -> Iterator[None]:
    """Have messages go out as campaigns; each mail that a stand-in has taken is put into the outbox as ours would be.

    So everything that is asked of mails is asked of these too.
    """
    for name in CAMPAIGN_SETTINGS:
        setattr(settings, name, CAMPAIGN_CHANNEL)
    taken = 0

    def told(handed: Sequence[letters.Letter], outcome: Outcome) -> Outcome:
        nonlocal taken
        if outcome.status == words.SENT and isinstance(handed[0].channel, BrazeCampaignChannel):
            taken += len(handed)
            mail.outbox += [DjangoMailChannel().build(letter.message, letter.rendered) for letter in handed]
        return outcome

    one, several = letters.hand_off, letters.hand_off_together
    monkeypatch.setattr(letters, "hand_off", lambda letter: told([letter], one(letter)))
    monkeypatch.setattr(letters, "hand_off_together", lambda handed: told(handed, several(handed)))
    yield
    assert len(braze.delivered) == taken
    # A test mail is an ordinary one: the service would take the tester's address for the person's own.
    others = EmailLog.objects.filter(status=words.SENT).exclude(channel=CAMPAIGN_CHANNEL)
    assert all(others.values_list("is_test", flat=True))


@pytest.fixture(params=variants())
def kind(request: pytest.FixtureRequest) -> type[message.MessageType]:
    label, _, channel = request.param.partition("@")
    if channel:
        request.getfixturevalue("campaigns")
    return message.get(label)


@pytest.fixture
def factory(kind: type[message.MessageType], site: Site) -> MessageFactory:
    made = FACTORIES[kind.label()]()
    made.switch(site, enqueue=True, deliver=True)
    return made


def run(kind: type[message.MessageType], site: Site, **options: Any) -> dispatch.Summary:
    return dispatch.run_daily(kind, site.pk, day=options.pop("day", DAY), **options)


def drafts_of(kind: type[message.MessageType], site: Site) -> list[Draft]:
    resolver, started = kind.resolver(), kind.starting(site.pk, day=DAY)
    return resolver.drafts(started, [row.target_id for page in resolver.audience(started) for row in page])


def selects_only(queries: CaptureQueriesContext) -> bool:
    return all(query["sql"].lstrip("( ").upper().startswith("SELECT") for query in queries.captured_queries)


def adds_up(summary: dispatch.Summary) -> bool:
    return summary.audience == (summary.sent + sum(summary.skipped.values()) + summary.failed + summary.retry)


def test_every_message_has_a_factory() -> None:
    assert set(FACTORIES) == set(LABELS)
    assert LABELS


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_renders_html_and_text_in_each_language_with_nothing_missing(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, language: str, strict_templates: Any
) -> None:
    factory.due(1, day=DAY, site=site, language=language)
    summary = run(kind, site)
    assert (summary.sent, summary.errors) == (1, [])
    (sent,) = mail.outbox
    (html, mime), *_ = sent.alternatives
    assert mime == "text/html"
    # A style sheet's own braces close its media queries.
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    for part in (sent.subject, sent.from_email, sent.body, body):
        assert part.strip()
        assert not any(mark in part for mark in ("{{", "}}", "{%", "%}"))
    assert "\n" not in sent.subject
    assert f'lang="{language}"' in html
    assert len(html.encode()) < 60 * 1024
    row = EmailLog.objects.get()
    content = row.stored_content()
    assert content is not None
    assert (content["html"], content["text"], content["subject"]) == (html, sent.body, row.subject)


def test_each_language_reads_differently(kind: type[message.MessageType], factory: MessageFactory, site: Site) -> None:
    for language in LANGUAGES:
        factory.due(1, day=DAY, site=site, language=language)
    run(kind, site)
    assert len({sent.subject for sent in mail.outbox}) == len(LANGUAGES)


def test_it_sends_exactly_one_mail_to_each_person_who_is_due(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    people = factory.due(7, day=DAY, site=site)
    drafts = drafts_of(kind, site)
    summary = run(kind, site)
    assert sorted(sent.to[0] for sent in mail.outbox) == sorted(person.email for person in people)
    assert all(len(sent.recipients()) == 1 for sent in mail.outbox)
    assert (summary.audience, summary.sent, summary.ok) == (7, 7, True)
    assert adds_up(summary)
    assert set(EmailLog.objects.values_list("status", flat=True)) == {words.SENT}
    about = {draft.target_id: draft.course_id for draft in drafts}
    assert dict(EmailLog.objects.values_list("target_id", "course_id")) == about


def test_a_second_run_sends_nothing(kind: type[message.MessageType], factory: MessageFactory, site: Site) -> None:
    factory.due(3, day=DAY, site=site)
    run(kind, site)
    again = run(kind, site)
    assert (again.sent, again.skipped) == (0, {factory.already_sent: 3})
    assert adds_up(again)
    assert len(mail.outbox) == 3


def test_who_opted_out_of_the_category_gets_none_with_a_reason(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    person, other = factory.due(2, day=DAY, site=site)
    consent.opt_out(person.pk, kind.category, source="test")
    summary = run(kind, site)
    assert [sent.to for sent in mail.outbox] == [[other.email]]
    assert summary.skipped == {"opted_out": 1}
    assert adds_up(summary)
    assert explain(kind, person.pk, site.pk, day=DAY).refusal == f"opted_out:{kind.category}"


def test_who_opted_out_of_the_course_gets_none_with_a_reason(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    if kind.transactional:
        pytest.skip("transactional mail does not depend on course opt-outs")
    if not factory.about_course:
        pytest.skip("the mail is about no course")
    person, _ = factory.due(2, day=DAY, site=site)
    for course in Course.objects.all():
        CourseOptOut.objects.create(user=person, course=course)
    summary = run(kind, site)
    assert (summary.sent, summary.skipped) == (1, {"opted_out": 1})
    if factory.plans_by_course:
        assert not EmailLog.objects.filter(recipient=person).exists()
    else:
        assert EmailLog.objects.get(recipient=person).reason == words.OPTED_OUT_COURSE
        assert EmailLog.objects.get(recipient=person).dedupe_key is None


@pytest.mark.parametrize("address", ["", "no address"])
def test_who_cannot_be_mailed_gets_none_with_a_reason(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, address: str
) -> None:
    person, _ = factory.due(2, day=DAY, site=site)
    factory.readdress(person, address)
    summary = run(kind, site)
    assert (summary.sent, summary.skipped) == (1, {"no_email_address": 1})


def test_who_is_inactive_gets_none(kind: type[message.MessageType], factory: MessageFactory, site: Site) -> None:
    person, other = factory.due(2, day=DAY, site=site)
    type(person).objects.filter(pk=person.pk).update(is_active=False)
    summary = run(kind, site)
    assert [sent.to for sent in mail.outbox] == [[other.email]]
    assert adds_up(summary)


def test_who_becomes_inactive_after_planning_gets_none(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    person, _ = factory.due(2, day=DAY, site=site)
    rows = planned(kind, site, settings)
    type(person).objects.filter(pk=person.pk).update(is_active=False)
    tally = deliver(rows)
    assert (tally[words.SENT], tally[words.SKIPPED]) == (1, 1)
    row = EmailLog.objects.get(recipient=person)
    assert (row.status, row.dedupe_key) == (words.SKIPPED, None)
    assert row.reason


def planned(kind: type[message.MessageType], site: Site, settings: Any, **options: Any) -> list[int]:
    """Plan a run, and return the ids of its rows, which nobody delivers."""
    settings.CELERY_BROKER_URL = "memory://"
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(wake.current_app, "send_task", lambda *args, **kwargs: None)
            summary = run(kind, site, **options)
    finally:
        settings.CELERY_BROKER_URL = ""
    assert summary.errors == []
    return list(EmailLog.objects.filter(status=words.PENDING).order_by("pk").values_list("pk", flat=True))


def test_reading_costs_the_same_for_one_and_for_fifty(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    counts: dict[str, list[int]] = {"audience": [], "drafts": [], "policy": [], "check": []}
    for number in (1, 49):
        factory.due(number, day=DAY, site=site)
        resolver, started = kind.resolver(), kind.starting(site.pk, day=DAY)
        with CaptureQueriesContext(connection) as queries:
            rows = [row for page in resolver.audience(started) for row in page]
        counts["audience"].append(len(queries))
        targets, people = [row.target_id for row in rows], [policy.addressee(row) for row in rows]
        with CaptureQueriesContext(connection) as queries:
            assert len(resolver.drafts(started, targets)) == len(rows)
        counts["drafts"].append(len(queries))
        with CaptureQueriesContext(connection) as queries:
            policy.verdicts(kind, people)
        counts["policy"].append(len(queries))
        with CaptureQueriesContext(connection) as queries:
            assert len(check(kind, started, targets).drafts) == len(rows)
        counts["check"].append(len(queries))
    assert {name: len(set(found)) for name, found in counts.items()} == dict.fromkeys(counts, 1), counts
    assert counts["audience"][0] == factory.audience_statements
    assert counts["drafts"][0] <= 8


def test_delivering_costs_one_statement_per_mail_beside_a_constant(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    costs = []
    settings.EMAIL_BATCH_SIZE = 50
    # Three, so that what the log keeps of a whole cohort is kept by then.
    for number in (3, 50):
        factory.due(number, day=DAY, site=site)
        rows = planned(kind, site, settings)
        with CaptureQueriesContext(connection) as queries:
            assert deliver(rows)[words.SENT] == number
        costs.append(len(queries))
    # A message that follows outcomes is told of each in the same transaction: savepoint, row, its own write, release.
    per_mail = MOST_PER_FOLLOWED_MAIL if kind.wants_on_finish() else 1
    assert costs[1] - costs[0] <= per_mail * 47


def test_planning_writes_the_same_number_of_statements_for_one_and_for_fifty(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    costs = []
    for day, number in ((DAY, 1), (DAY, 50)):
        factory.due(number, day=day, site=site)
        with CaptureQueriesContext(connection) as queries:
            planned(kind, site, settings)
        statements = [query["sql"] for query in queries.captured_queries]
        # SQLite takes at most so many parameters in a statement, so there one insert is cut into several.
        inserts = [sql for sql in statements if sql.startswith("INSERT") and "emaillog" in sql]
        assert len(inserts) == 1 or connection.vendor == "sqlite"
        costs.append(len(statements) - len(inserts))
    # The first run also makes its MessageRun row, in a savepoint of its own.
    assert costs[1] <= costs[0]


def test_reading_writes_nothing(kind: type[message.MessageType], factory: MessageFactory, site: Site) -> None:
    people = factory.due(3, day=DAY, site=site)
    resolver, started = kind.resolver(), kind.starting(site.pk, day=DAY)
    with CaptureQueriesContext(connection) as queries:
        targets = [row.target_id for page in resolver.audience(started) for row in page]
        resolver.drafts(started, targets)
        resolver.failing(started, targets)
        explain(kind, people[0].pk, site.pk, day=DAY)
    assert targets
    assert selects_only(queries)


def test_drafts_are_plain_values_and_what_is_personal_is_their_own(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    factory.due(3, day=DAY, site=site)
    drafts = drafts_of(kind, site)
    assert len({id(draft.personal) for draft in drafts}) == 3
    for draft in drafts:
        assert json.loads(json.dumps(draft.shared)) == draft.shared
        assert all(isinstance(value, str) for value in draft.personal.values())


def test_nobody_changes_what_a_draft_says(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.due(3, day=DAY, site=site)
    made: list[tuple[Any, Any]] = []
    draft = kind.resolver.drafts

    def watched(self: Any, *args: Any) -> Any:
        found = draft(self, *args)
        made.extend((each, copy.deepcopy((each.shared, each.about, each.personal))) for each in found)
        return found

    monkeypatch.setattr(kind.resolver, "drafts", watched)
    assert run(kind, site).sent == 3
    assert len(made) == 3
    # Drafts of one cohort may have the same dicts, so a change would be one of somebody else's mail.
    assert all((each.shared, each.about, each.personal) == before for each, before in made)


def test_everything_a_draft_says_is_declared_with_an_example_of_its_shape(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    factory.due(2, day=DAY, site=site)
    declared = values.EXAMPLES | dict(kind.variables)
    for draft in drafts_of(kind, site):
        for name, value in (draft.about | draft.shared | draft.personal).items():
            assert name in declared
            assert fits(value, declared[name]), (name, value, declared[name])


def fits(value: Any, example: Any) -> bool:
    """Whether a template that works with the example works with the value: no key of it is missing, at any depth."""
    if isinstance(value, dict) and isinstance(example, dict):
        return value.keys() == example.keys() and all(fits(value[key], example[key]) for key in example)
    if isinstance(value, list) and isinstance(example, list):
        return bool(example) and all(fits(item, example[0]) for item in value)
    return value is None or isinstance(value, dict | list) == isinstance(example, dict | list)


def test_nothing_personal_crosses_the_broker(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any, monkeypatch: Any
) -> None:
    people = factory.due(2, day=DAY, site=site)
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(wake.current_app, "send_task", lambda *args, **kwargs: sent.append((*args, kwargs)))
    settings.CELERY_BROKER_URL = "memory://"
    summary = run(kind, site)
    payload = json.dumps(sent)
    assert sorted(pk for call in sent for pk in call[1]["args"][0]) == sorted(
        EmailLog.objects.values_list("pk", flat=True)
    )
    assert "@" not in payload
    assert not any(name in payload for person in people for name in (person.username, person.last_name))
    assert {call[1]["queue"] for call in sent} == {kind.queue()}
    assert (summary.sent, summary.retry) == (0, 2)
    assert adds_up(summary)


def test_an_override_address_gets_every_mail_and_uses_nobody_up(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    people = factory.due(3, day=DAY, site=site)
    test_run = run(kind, site, override="qa@example.com")
    assert [sent.to for sent in mail.outbox] == [["qa@example.com"]] * 3
    assert test_run.sent == 3
    assert sorted(EmailLog.objects.values_list("recipient_id", flat=True)) == sorted(person.pk for person in people)
    for sent in mail.outbox:
        assert not [name for name in sent.extra_headers if name.lower().startswith("list-unsubscribe")]
        assert "/email/unsubscribe/" not in sent.body + sent.alternatives[0][0]
        assert "/email/test-mail/" in sent.body
    assert not MessageRun.objects.exists()
    assert explain(kind, people[0].pk, site.pk, day=DAY).verdict == "A run of this day would send this mail."
    mail.outbox.clear()
    assert run(kind, site, override="qa@example.com").sent == 3
    assert run(kind, site).sent == 3
    assert {sent.to[0] for sent in mail.outbox} == {"qa@example.com", *(person.email for person in people)}


def test_a_dry_run_tells_the_same_and_writes_nothing(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    person, *_ = factory.due(4, day=DAY, site=site)
    consent.opt_out(person.pk, kind.category, source="test")
    with CaptureQueriesContext(connection) as queries:
        dry = run(kind, site, dry_run=True)
    assert selects_only(queries)
    assert mail.outbox == []
    assert not EmailLog.objects.exists()
    assert not MessageRun.objects.exists()
    real = run(kind, site)
    assert (dry.audience, dry.sent, dry.skipped) == (real.audience, real.sent, real.skipped)
    again = run(kind, site, dry_run=True)
    assert (again.sent, again.skipped) == (0, {factory.already_sent: 3, "opted_out": 1})


def test_a_closed_gate_plans_nothing_and_closes_the_day(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    factory.due(2, day=DAY, site=site)
    factory.switch(site, enqueue=False, deliver=True)
    summary = run(kind, site)
    assert (summary.audience, summary.sent, summary.ok) == (0, 0, True)
    assert not EmailLog.objects.exists()
    assert list(statuses()) == [MessageRun.DONE] * factory.day_is_remembered


def test_a_gate_closed_after_planning_stops_what_is_queued_and_gives_the_keys_back(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    factory.due(5, day=DAY, site=site)
    rows = planned(kind, site, settings)
    factory.switch(site, enqueue=True, deliver=False)
    tally = deliver(rows)
    assert tally.reasons == {"stopped": 5}
    assert mail.outbox == []
    factory.switch(site, enqueue=True, deliver=True)
    assert run(kind, site).sent == 5


def test_a_given_date_equals_waiting_for_it(
    kind: type[message.MessageType], factory: MessageFactory, site: Site
) -> None:
    factory.due(2, day=DAY, site=site)
    if factory.one_day:
        factory.due(3, day=DAY + timedelta(days=1), site=site)

    def planned_for(summary: dispatch.Summary) -> tuple[Any, ...]:
        instant = ["instant"] if factory.day_has_instant else []
        rows = sorted(EmailLog.objects.values_list("recipient_id", "occasion", "subject", "day", *instant))
        bodies = sorted(sent.body for sent in mail.outbox)
        EmailLog.objects.all().delete()
        MessageRun.objects.all().delete()
        factory.forget()
        mail.outbox.clear()
        ids = {pk: number for number, pk in enumerate(sorted(row[0] for row in rows))}
        return [(ids[row[0]], *row[1:]) for row in rows], len(bodies), summary.sent

    dated = planned_for(run(kind, site))
    with time_machine.travel(datetime(2017, 8, 1, factory.hour, tzinfo=UTC), tick=False):
        waited = planned_for(run(kind, site, day=None, catch_up=False))
    assert dated == waited
    assert dated[2] == 2


def test_a_mail_that_is_late_expires_and_gives_its_key_back(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    factory.due(2, day=DAY, site=site)
    planned(kind, site, settings)
    row = EmailLog.objects.first()
    assert row is not None
    started = kind.starting(site.pk, day=DAY)
    assert row.expires_at - row.created_at == kind.expiry(started) - started.now
    with time_machine.travel(row.expires_at + timedelta(seconds=1), tick=False):
        tally = sweep.sweep()
    assert tally.reasons == {"expired": 2}
    assert mail.outbox == []
    assert set(EmailLog.objects.values_list("dedupe_key", flat=True)) == {None}


def test_the_sweep_sends_what_nobody_was_woken_up_for(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    factory.due(3, day=DAY, site=site)
    planned(kind, site, settings)
    assert list(statuses()) == [MessageRun.PLANNED] * factory.day_is_remembered
    assert sweep.sweep()[words.SENT] == 3
    assert sweep.sweep()[words.SENT] == 0
    assert list(statuses()) == [MessageRun.DONE] * factory.day_is_remembered
    assert all(sent == 3 for sent in MessageRun.objects.values_list("sent", flat=True))


def statuses() -> Iterable[str]:
    """Return the statuses of the runs on record."""
    return MessageRun.objects.values_list("status", flat=True)


def test_a_worker_gone_silent_is_not_sent_again_more_often_than_the_message_allows(
    kind: type[message.MessageType], factory: MessageFactory, site: Site, settings: Any
) -> None:
    factory.due(1, day=DAY, site=site)
    (pk,) = planned(kind, site, settings)
    silent = {"status": words.SENDING, "attempts": 1, "lease_expires_at": timezone.now() - timedelta(seconds=1)}
    sent = 0
    for _ in range(3):
        EmailLog.objects.filter(pk=pk).exclude(status=words.UNKNOWN).update(**silent)
        sent += sweep.sweep()[words.SENT]
    assert sent == kind.resend_unknown
    assert EmailLog.objects.get(pk=pk).status == words.UNKNOWN
    assert EmailLog.objects.get(pk=pk).dedupe_key


def test_explain_agrees_with_the_run(kind: type[message.MessageType], factory: MessageFactory, site: Site) -> None:
    (person,) = factory.due(1, day=DAY, site=site)
    assert explain(kind, person.pk, site.pk, day=DAY).due
    assert explain(kind, person.pk, site.pk, day=DAY).verdict == "A run of this day would send this mail."
    assert not explain(kind, person.pk, site.pk, day=DAY + timedelta(days=5)).due or not factory.one_day
    run(kind, site)
    after = explain(kind, person.pk, site.pk, day=DAY)
    assert [entry.status for entry in after.entries] == [words.SENT]
    assert "log row" in after.verdict
