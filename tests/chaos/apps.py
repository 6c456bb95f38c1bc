"""An app that makes the nudge behave like transactional mail: rather twice than not at all."""

from django.apps import AppConfig


class RatherTwiceConfig(AppConfig):
    """Changes one message once all are registered."""

    name = "tests.chaos"
    label = "rather_twice"

    def ready(self) -> None:
        from email_automation.pipeline import message

        message.get("recurringnudge_day3").resend_unknown = 1
