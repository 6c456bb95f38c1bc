"""The Celery application: `celery -A lms worker -l info`, `celery -A lms beat -l info`."""

import gc
import logging
import os
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready

DEFAULT_SETTINGS = "lms.envs.devstack"

# Celery reads the variable while the application is created, so it has to stand before the next line.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", DEFAULT_SETTINGS)

app = Celery("lms")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def keep_what_is_loaded_from_the_collector(**kwargs: Any) -> None:
    """Have the garbage collector leave alone what a worker has loaded, which stays until it ends.

    It would go through all of that again and again while mails are made: a sixth of a worker's time. Before a pool
    forks, so that the memory stays shared too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)


@worker_ready.connect
def say_when_there_is_nothing_to_do(**kwargs: Any) -> None:
    """Tell an operator who started a worker without a broker that it will stay idle."""
    if app.conf.task_always_eager:
        logging.getLogger(__name__).warning(
            "CELERY_BROKER_URL is not set: tasks run in the process that creates them and this worker stays idle"
        )
