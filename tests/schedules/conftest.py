"""The baseline of the acceptance cases: clock, site S, courses C and D, 21 days to upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.contrib.sites.models import Site

from courses.models import Course
from schedules.models import DynamicUpgradeDeadlineConfiguration
from tests.factories import platform_site

from .scene import NOW, configure, offered


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands at 2017-08-01 00:00 until a test moves it."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def site(db: Any, clock: time_machine.Traveller) -> Site:
    """Site S: example.com, no organisations of its own, every switch on, nobody held back."""
    found = platform_site(domain="example.com", name="Example")
    configure(found)
    return found


@pytest.fixture
def days(site: Site) -> DynamicUpgradeDeadlineConfiguration:
    """The global deadline setting: 21 days."""
    row: DynamicUpgradeDeadlineConfiguration = DynamicUpgradeDeadlineConfiguration.objects.create(
        enabled=True, deadline_days=21
    )
    return row


@pytest.fixture
def c(days: Any) -> Course:
    """Course C."""
    return offered("C")


@pytest.fixture
def d(days: Any) -> Course:
    """Course D, like C."""
    return offered("D")
