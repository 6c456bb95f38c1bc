"""What people must not save: each is refused on its field, with its line, within a second."""

from __future__ import annotations

import time

import pytest
from django.core.exceptions import ValidationError

from email_automation.models import EmailTemplate

from .hostile_templates import HOSTILE, Hostile

pytestmark = pytest.mark.django_db
FINE = {"subject": "A subject", "html_content": "<p>HTML</p>", "text_content": ""}


def shown(case: Hostile) -> str:
    return f"{case.field}:{case.source[:50]!r}"


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 100
    assert len({(case.field, case.source) for case in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("case", HOSTILE, ids=shown)
def test_it_is_refused_with_its_line(case: Hostile) -> None:
    row = EmailTemplate(name="x", email_type="courseupdate", **{**FINE, case.field: case.source})
    started = time.thread_time()
    with pytest.raises(ValidationError) as caught:
        row.clean()
    assert time.thread_time() - started < 1
    assert set(caught.value.message_dict) == {case.field}
    told = caught.value.message_dict[case.field]
    expected = [message for message in told if case.fragment in message]
    assert expected, told
    assert any(message.startswith(f"line {case.line}: ") == bool(case.line) for message in expected), told
