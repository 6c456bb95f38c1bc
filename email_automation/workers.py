"""How a Celery worker is set up to deliver fast: `workers.install(app)`, where the application is made."""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import Any

from celery import Celery, Task
from celery.signals import task_prerun, worker_init
from django.db import close_old_connections
from django.urls import NoReverseMatch, reverse
from edx_ace.channel import channels


def install(app: Celery) -> None:
    """Have the workers of an application keep their connections and load at their beginning what every mail needs."""
    # Celery closes the database's connections with every task, whatever CONN_MAX_AGE says; see `keep_connections`.
    app.conf.CELERY_DB_REUSE_MAX = sys.maxsize
    task_prerun.connect(keep_connections)
    worker_init.connect(load)


def keep_connections(sender: Task, **kwargs: Any) -> None:
    """Have tasks share a connection to the database as a server's requests do.

    One that is too old or broken is closed, and a kept one is tried before it is used, as the settings say. A new
    connection for each task costs PostgreSQL more than the mails of the task do.
    """
    # A task in the process that created it may be inside a transaction.
    if not sender.request.is_eager:
        close_old_connections()


def load(**kwargs: Any) -> None:
    """Load ACE's channels and the addresses of pages, and have the garbage collector leave alone what is loaded by now.

    It stays until the worker ends, and the collector would go through all of it again and again while mails are made:
    a sixth of a worker's time. Before a pool forks, so that its processes share that memory.
    """
    channels()
    # Finds out about every page. Whoever has not included ours is told so by a check.
    with contextlib.suppress(NoReverseMatch):
        reverse("email_automation:preferences", args=["0:0"])
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)
