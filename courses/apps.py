"""Django's entry to the ground floor."""

from django.apps import AppConfig

from courses import beats


class CoursesConfig(AppConfig):
    """Facts about courses, learners and sites, and the signals and events that tell others of a change."""

    name = "courses"
    verbose_name = "Courses and learners"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from courses import checks, openedx  # noqa: F401  (registers the checks and the event receivers)
        from courses.eventbus import checks as transport_checks  # noqa: F401  (registers those of the transport)
        from courses.eventbus.pokes import PROCESS_TASK, QUEUE, RELAY_TASK

        beats.also(beats.Entry(name="courses: publish events", task=RELAY_TASK, seconds=10, queue=QUEUE))
        beats.also(beats.Entry(name="courses: handle events", task=PROCESS_TASK, seconds=10, queue=QUEUE))
