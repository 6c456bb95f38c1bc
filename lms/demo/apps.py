"""The demo as an app."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """A small site to look at; where it is one, the outbox leads to its page."""

    name = "lms.demo"

    def ready(self) -> None:
        """Tell the outbox of the page."""
        from email_automation.views import outbox

        from .views import way_here

        outbox.also(way_here)
