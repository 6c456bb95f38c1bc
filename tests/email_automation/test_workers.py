"""How a worker's process is set up."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.signals import task_prerun, worker_init
from django.urls import clear_url_caches, get_resolver
from edx_ace.channel import ChannelType, channels

from email_automation import workers
from lms.celery import app


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note when old connections are looked for."""
    found: list[bool] = []
    monkeypatch.setattr(workers, "close_old_connections", lambda: found.append(True))
    return found


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def sender(*, is_eager: bool) -> Any:
    return SimpleNamespace(request=SimpleNamespace(is_eager=is_eager))


@pytest.mark.parametrize("is_eager", [True, False])
def test_a_task_of_a_worker_begins_with_a_look_at_its_connections(closed: list[bool], is_eager: bool) -> None:
    workers.keep_connections(sender=sender(is_eager=is_eager))
    assert closed == ([] if is_eager else [True])


@pytest.mark.usefixtures("collector")
def test_what_is_loaded_is_none_of_the_collectors_business() -> None:
    clear_url_caches()
    workers.load()
    assert gc.get_freeze_count() > 10_000
    # So no mail has to find out where every page is.
    assert get_resolver()._populated
    assert "django_mail" in channels().channel_type_to_channel_impl[ChannelType.EMAIL]


def test_our_application_has_it_and_another_can() -> None:
    assert app.conf.CELERY_DB_REUSE_MAX > 10**9
    other = Celery("other", set_as_current=False)
    workers.install(other)
    assert other.conf.CELERY_DB_REUSE_MAX == app.conf.CELERY_DB_REUSE_MAX
    for signal, receiver in ((task_prerun, workers.keep_connections), (worker_init, workers.load)):
        assert [live for live in signal._live_receivers(None) if live == receiver] == [receiver]
