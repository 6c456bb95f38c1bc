"""Django's entry point to subsidy requests."""

from django.apps import AppConfig


class SubsidyRequestsConfig(AppConfig):
    """Requests for licences and coupon codes, and the mails about them."""

    name = "subsidy_requests"
    verbose_name = "Subsidy requests"
    default_auto_field = "django.db.models.BigAutoField"
