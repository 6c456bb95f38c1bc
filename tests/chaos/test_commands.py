"""Commands that are killed, race each other, and lose their database, without a broker."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from email_automation import consent, words
from email_automation.models import EmailLog, MessageRun
from tests.crowd import learners_due
from tests.processes import Project, wait_until
from tests.smtp import Server, stalls

from .conftest import DAY, NUDGE, age_leases, figures, make_due

pytestmark = [pytest.mark.chaos, pytest.mark.django_db(transaction=True)]


def test_case_089_a_run_that_is_killed_and_started_again_mails_everybody_once(cadence: Project, server: Server) -> None:
    people = learners_due(100, day=DAY)
    server.otherwise = stalls("END", 0.01)
    first = cadence.command(*NUDGE)
    wait_until(lambda: len(server.received) >= 40, "40 mails are out", process=first)
    first.kill()
    out = len(server.received)
    assert 40 <= out < 100
    assert EmailLog.objects.filter(status=words.SENDING).count() <= 1
    age_leases()
    figures(cadence.run(*NUDGE, status=None))
    cadence.run("process_email_queue")
    assert len(server.addresses) == len(set(server.addresses))
    unknown = EmailLog.objects.filter(status=words.UNKNOWN).count()
    assert unknown <= 1
    assert EmailLog.objects.filter(status=words.SENT).count() == 100 - unknown
    assert len(server.received) >= 100 - unknown
    assert set(server.addresses) <= {person.email for person in people}
    assert MessageRun.objects.get(message__endswith="day3").status == MessageRun.DONE


def test_a_run_that_is_killed_again_and_again_still_mails_everybody_once(cadence: Project, server: Server) -> None:
    learners_due(100, day=DAY)
    server.otherwise = stalls("END", 0.01)
    for part in (15, 35, 55, 75):
        process = cadence.command("process_email_queue") if part > 15 else cadence.command(*NUDGE)
        wait_until(lambda part=part: len(server.received) >= part, f"{part} mails are out", process=process)
        process.kill()
        age_leases()
    cadence.run("process_email_queue")
    unknown = EmailLog.objects.filter(status=words.UNKNOWN).count()
    assert unknown <= 4
    assert EmailLog.objects.filter(status=words.SENT).count() == 100 - unknown
    assert len(server.addresses) == len(set(server.addresses)) >= 100 - unknown


def test_case_088_two_runs_at_once_mail_each_learner_once(cadence: Project, server: Server) -> None:
    people = learners_due(120, day=DAY)
    server.otherwise = stalls("END", 0.005)
    both = [cadence.command(*NUDGE) for _ in range(2)]
    assert [process.end() for process in both] == [0, 0]
    assert server.addresses == sorted(person.email for person in people)
    found = [figures(process.text) for process in both]
    assert [figure["audience"] for figure in found] == [120, 120]
    assert sum(figure["sent"] for figure in found) == 120
    assert MessageRun.objects.get(message__endswith="day3").sent == 120


def test_case_014_two_sweeps_at_once_send_each_row_once(cadence: Project, server: Server) -> None:
    people = learners_due(1000, day=DAY)
    # Planned, and never delivered: the broker is away.
    cadence.environment["CELERY_BROKER_URL"] = "redis://127.0.0.1:1/0"
    cadence.run(*NUDGE, status=1)
    assert EmailLog.objects.filter(status=words.PENDING).count() == 1000
    both = [cadence.command("process_email_queue") for _ in range(2)]
    assert [process.end() for process in both] == [0, 0]
    assert server.addresses == sorted(person.email for person in people)
    sent = [int(re.findall(r"sent=(\d+)", process.text)[0]) for process in both]
    assert sum(sent) == 1000
    assert min(sent) > 0


@pytest.mark.parametrize("kills", [1, 6])
def test_connections_to_the_database_that_are_cut_cost_nobody_a_mail(
    cadence: Project, server: Server, kills: int
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("cuts connections of PostgreSQL")
    people = learners_due(120, day=DAY)
    server.otherwise = stalls("END", 0.01)
    process = cadence.command(*NUDGE)
    for number in range(kills):
        wait_until(lambda least=10 + 15 * number: len(server.received) >= least, "some mails are out", process=process)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    process.end()
    age_leases()
    make_due()
    cadence.run("process_email_queue", status=None)
    assert server.addresses == sorted(person.email for person in people)
    assert set(EmailLog.objects.values_list("status", flat=True)) == {words.SENT}


def test_nothing_is_handed_off_after_an_opt_out_in_the_middle_of_a_batch(cadence: Project, server: Server) -> None:
    people = learners_due(150, day=DAY)
    server.otherwise = stalls("END", 0.01)
    process = cadence.command(*NUDGE)
    wait_until(lambda: len(server.received) >= 20, "20 mails are out", process=process)
    # Some of the slice that is being sent, and some of those behind it.
    out = [*people[40:50], *people[120:130]]
    for person in out:
        consent.opt_out(person.pk, "reminder", source="test")
    withdrawn = set(EmailLog.objects.filter(reason="opted_out:reminder").values_list("to_address", flat=True))
    assert process.end() == 0
    # The slice in hand is a race; the people behind it were far from their turn.
    assert withdrawn >= {person.email for person in people[120:130]}
    assert not withdrawn & set(server.addresses)
    assert len(server.addresses) == len(set(server.addresses)) == 150 - len(withdrawn)
    assert figures(process.text)["sent"] == 150 - len(withdrawn)
