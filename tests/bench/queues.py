"""The peers that queue rendered mail in tables, django-post_office and django-mailer; and smtplib with bytes.

Each gets the same nudges for the same learners, and two processes to send them with.
"""

from __future__ import annotations

import os
import resource
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.core.mail import get_connection
from edx_ace import presentation

from courses.bulk import slices
from email_automation.channels import mime
from email_automation.channels.mail import DjangoMailChannel

from . import peer
from .places import ROOT, Result, RunningSink

BATCH = 1000


def post_office(sink: RunningSink, number: int) -> Result:
    """Queue with `send_many`, send with `send_queued_mail` in two processes."""
    from post_office import mail
    from post_office.models import Email

    def queue() -> None:
        for batch in slices(_mails(), BATCH):
            mail.send_many(
                [
                    {
                        "sender": each.from_email,
                        "recipients": each.to,
                        "subject": each.subject,
                        "message": each.body,
                        "html_message": each.alternatives[0][0],
                        "headers": each.extra_headers,
                    }
                    for each in batch
                ]
            )

    Email.objects.all().delete()
    return _timed(sink, number, queue, [("send_queued_mail", "--processes", "2")])


def mailer(sink: RunningSink, number: int) -> Result:
    """Queue through its backend, send with `send_mail` in two processes."""
    from mailer.models import Message, MessageLog

    def queue() -> None:
        backend = get_connection("mailer.backend.DbBackend")
        for batch in slices(_mails(), BATCH):
            backend.send_messages(batch)

    Message.objects.all().delete()
    MessageLog.objects.all().delete()
    return _timed(sink, number, queue, [("send_mail",), ("send_mail",)])


def raw(sink: RunningSink, number: int) -> Result:
    """Send ready-made bytes over one kept connection with the standard library."""
    ready = [(each.to[0], mime.wire(each)) for each in _mails()]

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", sink.port) as connection:
            for address, data in ready:
                connection.sendmail("noreply@example.com", [address], data)

    return _timed(sink, number, send, [])


def _mails() -> Iterator[Any]:
    """Yield every due learner's mail, rendered."""
    channel = DjangoMailChannel()
    for letter in peer.messages():
        mail = channel.build(letter, presentation.render(channel, letter))
        mail.extra_headers = dict(letter.headers)
        yield mail


def _timed(sink: RunningSink, number: int, start: Callable[[], None], commands: list[tuple[str, ...]]) -> Result:
    sink.report()
    cpu, began = _cpu(), time.perf_counter()
    start()
    queued = time.perf_counter()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "django", *command],
            cwd=ROOT,
            env={**os.environ, "EMAIL_URL": f"smtp://127.0.0.1:{sink.port}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    for process in processes:
        process.wait(1200)
    ended = time.perf_counter()
    taken, _ = sink.report()
    assert taken >= number, f"{taken} of {number} mails"
    return Result(
        rate=number / (ended - began),
        sending_rate=number / ((ended - queued) if commands else (ended - began)),
        cpu_per_thousand=(_cpu() - cpu) / number * 1000,
    )


def _cpu() -> float:
    """Return the processor time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
