"""The accounts app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    """Accounts of learners, teachers and staff."""

    name = "lms.accounts"
    label = "accounts"
    verbose_name = _("Accounts")
