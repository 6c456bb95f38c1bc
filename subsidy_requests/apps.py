"""Django's entry point to subsidy requests."""

from django.apps import AppConfig


class SubsidyRequestsConfig(AppConfig):
    """Requests for licences and coupon codes, and the mails about them."""

    name = "subsidy_requests"
    verbose_name = "Subsidy requests"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from courses import beats

        from . import (
            checks,  # noqa: F401  (registers the system checks)
            handlers,  # noqa: F401  (registers what the requesting part hears)
        )
        from .coupons import handlers as coupon_handlers  # noqa: F401  (registers what the granting part hears)

        beats.also(
            beats.Entry(
                name="subsidy_requests: look after approvals",
                task="subsidy_requests.tasks.sweep_subsidy_requests",
                crontab="*/5 * * * *",
            )
        )
