"""Django's entry point to weekly goals."""

from django.apps import AppConfig


class CourseGoalsConfig(AppConfig):
    """Weekly learning goals and their reminder."""

    name = "course_goals"
    verbose_name = "Weekly goals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers the system checks)
