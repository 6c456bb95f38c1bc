"""The templates that people edit."""

from __future__ import annotations

from django.db import models
from django.db.models import Case, F, Value, When
from django.db.models.functions import Concat
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords


class EmailTemplate(models.Model):
    """What one message says in one language, or in all of them, in place of its files.

    `html_content` is the inside of the stock frame: layout, brand, footer and unsubscribe link stay around it. A stock
    row shows what the files say and is never consulted; saving an edit makes it an ordinary one.
    """

    name = models.CharField(max_length=200)
    email_type = models.CharField(_("message"), max_length=100)
    language = models.CharField(
        max_length=16, blank=True, help_text=_("Empty: all languages without a row of their own.")
    )
    subject = models.CharField(max_length=200)
    html_content = models.TextField(_("HTML"))
    text_content = models.TextField(_("text"), blank=True, help_text=_("Empty: made from the HTML."))
    is_active = models.BooleanField(_("active"), default=True)
    is_stock = models.BooleanField(_("stock"), default=False, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    # "Unique among the active rows", in a way that every database has: the key while the row is active, else NULL.
    active_key = models.GeneratedField(
        expression=Case(When(is_active=True, then=Concat(F("email_type"), Value(":"), F("language"))), default=None),
        output_field=models.CharField(max_length=120, null=True),
        db_persist=True,
    )

    history = HistoricalRecords(excluded_fields=["active_key"])

    class Meta:
        verbose_name = _("e-mail template")
        constraints = [models.UniqueConstraint(fields=["active_key"], name="email_template_one_active")]
        permissions = [("test_emailtemplate", "Can send a test mail of a template")]

    def __str__(self) -> str:
        return self.name
