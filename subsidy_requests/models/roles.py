"""Who may ask and who may decide, where the platform's own roles are not asked."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

LEARNER: Final = "learner"
ADMIN: Final = "admin"
ROLES: Final = (LEARNER, ADMIN)


class EnterpriseRoleAssignment(models.Model):
    """One role of one account at one enterprise. Read only where SUBSIDY_REQUESTS_ROLES names this table."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="enterprise_roles", db_index=False
    )
    enterprise_customer_uuid = models.UUIDField(_("enterprise"))
    role = models.CharField(
        _("role"), max_length=7, choices=[(LEARNER, _("learner")), (ADMIN, _("administrator"))], default=LEARNER
    )

    class Meta:
        verbose_name = _("role at an enterprise")
        verbose_name_plural = _("roles at enterprises")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "enterprise_customer_uuid", "role"],
                name="subsidy_role_once",
                violation_error_message=_("role: this account has it at this enterprise already."),
            ),
            models.CheckConstraint(condition=Q(role__in=("learner", "admin")), name="subsidy_role_known"),
        ]
        indexes = [models.Index(fields=["enterprise_customer_uuid", "role"], name="subsidy_role_enterprise")]

    def __str__(self) -> str:
        return f"{self.role} {self.user_id} at {self.enterprise_customer_uuid}"
