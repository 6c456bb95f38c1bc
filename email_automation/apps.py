"""Django's entry point to the engine."""

from django.apps import AppConfig


class EmailAutomationConfig(AppConfig):
    """Registers the checks and every installed app's messages."""

    name = "email_automation"
    verbose_name = "E-mail automation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from courses import autoenrolment
        from courses.eventbus import duty

        from . import (
            checks,  # noqa: F401  (registers the system checks)
            signals,  # noqa: F401  (connects the receivers)
        )
        from .channels import checks as channel_checks  # noqa: F401  (registers those of the channels)
        from .pipeline import chores, message

        chores.also(duty.do)
        chores.also(autoenrolment.retry_due)
        message.autodiscover()
