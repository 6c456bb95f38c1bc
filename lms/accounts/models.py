"""The project's user account."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person with an account, and what they are here for."""

    class Role(models.TextChoices):
        """What a person is here for; permissions are Django's own and do not follow from it."""

        STUDENT = "student", _("student")
        TEACHER = "teacher", _("teacher")
        ADMIN = "admin", _("administrator")

    # Indexed, because providers report bounces and complaints by address.
    email = models.EmailField(_("email address"), blank=True, db_index=True)
    role = models.CharField(
        _("role"),
        max_length=16,
        choices=Role.choices,
        default=Role.STUDENT,
        help_text=_("What the person is here for. It grants no permission."),
    )
