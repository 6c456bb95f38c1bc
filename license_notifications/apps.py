"""Django's entry point to licence notices."""

from django.apps import AppConfig


class LicenseNotificationsConfig(AppConfig):
    """Licences, and notices of how far they are used up."""

    name = "license_notifications"
    verbose_name = "Licence notices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from courses import beats
        from email_automation.pipeline import chores

        from . import checks, directory, handlers, parts, tasks  # noqa: F401  (two register what they declare)

        beats.also(tasks.ENTRY)
        chores.also(parts.close_finished)
        chores.also(directory.forget_unlisted)
