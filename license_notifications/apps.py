"""Django's entry point to licence notices."""

from django.apps import AppConfig


class LicenseNotificationsConfig(AppConfig):
    """Licences, and notices of how far they are used up."""

    name = "license_notifications"
    verbose_name = "Licence notices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from email_automation.pipeline import chores

        from . import (
            checks,  # noqa: F401  (registers the system checks)
            directory,
            handlers,  # noqa: F401  (registers what the granting part hears)
        )

        chores.also(directory.forget_unlisted)
