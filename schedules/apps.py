"""Django's entry point to schedules."""

from django.apps import AppConfig


class SchedulesConfig(AppConfig):
    """Connects the handlers that make schedules and keep them true."""

    name = "schedules"
    verbose_name = "Schedules"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from email_automation.pipeline import chores

        from . import (
            handlers,  # noqa: F401  (connects the receivers)
            recompute,
        )

        chores.also(recompute.run_waiting)
