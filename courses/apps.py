"""Django's entry to the ground floor."""

from django.apps import AppConfig


class CoursesConfig(AppConfig):
    """Facts about courses, learners and sites, and the signals that tell others of a change."""

    name = "courses"
    verbose_name = "Courses and learners"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from courses import checks, openedx  # noqa: F401  (registers the checks and the event receivers)
