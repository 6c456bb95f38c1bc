"""Django's entry point to schedules."""

from django.apps import AppConfig


class SchedulesConfig(AppConfig):
    """Connects the handlers that make schedules when learners enrol."""

    name = "schedules"
    verbose_name = "Schedules"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import handlers  # noqa: F401  (connects the receivers)
