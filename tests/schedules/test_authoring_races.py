"""Of two authors who save the same section at the same time …"""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.db import connection

from courses.models import Section
from schedules import highlights
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_database]


def test_one_is_told_and_nothing_is_lost_unseen() -> None:
    section = factories.SectionFactory(highlights=["old"])
    shown = highlights.fingerprint(["old"])
    together = Barrier(4)
    saved: list[str] = []
    told: list[str] = []

    def write(text: str) -> None:
        together.wait(timeout=30)
        try:
            highlights.save(section.course, section.pk, [text], shown=shown)
            saved.append(text)
        except highlights.ChangedMeanwhile:
            told.append(text)
        finally:
            connection.close()

    authors = [Thread(target=write, args=[f"of author {number}"]) for number in range(4)]
    for author in authors:
        author.start()
    for author in authors:
        author.join(timeout=60)
    assert (len(saved), len(told)) == (1, 3)
    assert Section.objects.get().highlights == saved
