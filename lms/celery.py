"""The Celery application: `celery -A lms worker -l info`, `celery -A lms beat -l info`."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready

from email_automation import workers

DEFAULT_SETTINGS = "lms.envs.devstack"

# Celery reads the variable while the application is created, so it has to stand before the next line.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", DEFAULT_SETTINGS)

app = Celery("lms")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
workers.install(app)


@worker_ready.connect
def say_when_there_is_nothing_to_do(**kwargs: Any) -> None:
    """Tell an operator who started a worker without a broker that it will stay idle."""
    if app.conf.task_always_eager:
        logging.getLogger(__name__).warning(
            "CELERY_BROKER_URL is not set: tasks run in the process that creates them and this worker stays idle"
        )
