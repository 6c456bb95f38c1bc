"""The templates that people edit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models import Case, F, Value, When
from django.db.models.functions import Concat
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from ..pipeline import message as messages

#: What makes a stock row say something else than the files.
CONTENT: Final = ("email_type", "language", "subject", "html_content", "text_content")


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
    # The subject of a mail has at most 200 characters; a template that chooses between several has more.
    subject = models.CharField(max_length=1000)
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

    def clean(self) -> None:
        """Refuse what could not be sent: each field's errors with their lines, in every language of the site.

        What is stored stays in use until something better is saved.
        """
        errors: dict[str, list[str]] = defaultdict(list)
        kind = self._kind(errors)
        released = [code for code, _name in settings.LANGUAGES]
        if self.language and self.language not in released:
            errors["language"].append(
                _("“%(language)s” is not released; choose from %(released)s.")
                % {"language": self.language, "released": ", ".join(released)}
            )
        if other := self._other_active():
            errors[NON_FIELD_ERRORS].append(
                _("“%(name)s” (number %(pk)s) is active for this message and language; switch it off first.")
                % {"name": other.name, "pk": other.pk}
            )
        if kind is not None:
            # Checking reads the values of all models.
            from ..templating.checking import problems

            languages = [self.language] if self.language in released else released
            for problem in problems(
                kind, subject=self.subject, html=self.html_content, text=self.text_content, languages=languages
            ):
                errors[problem.field].append(str(problem))
        if errors:
            raise ValidationError(dict(errors))

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Store the row. A stock row that says something else than what is stored is an ordinary one from now on."""
        if update_fields is not None:
            update_fields = set(update_fields)
        if self.is_stock and self.pk is not None and self._says_something_new(update_fields):
            self.is_stock = False
            if update_fields is not None:
                update_fields |= {"is_stock"}
        if update_fields:
            update_fields |= {"updated_at"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def _kind(self, errors: dict[str, list[str]]) -> type[messages.MessageType] | None:
        known = [kind.NAME for kind in messages.all_messages()]
        if self.email_type in known:
            return messages.get(self.email_type)
        errors["email_type"].append(
            _("“%(email_type)s” is no message; choose from %(known)s.")
            % {"email_type": self.email_type, "known": ", ".join(sorted(known))}
        )
        return None

    def _other_active(self) -> EmailTemplate | None:
        if not self.is_active:
            return None
        rows = EmailTemplate.objects.filter(is_active=True, email_type=self.email_type, language=self.language)
        return rows.exclude(pk=self.pk).first()

    def _says_something_new(self, update_fields: set[str] | None) -> bool:
        names = [name for name in CONTENT if update_fields is None or name in update_fields]
        stored = EmailTemplate.objects.filter(pk=self.pk).values(*names).first() if names else None
        return stored is not None and any(stored[name] != getattr(self, name) for name in names)
