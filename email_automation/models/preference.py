"""What people agreed to receive, and the addresses that get nothing."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from courses.models import Course

from .. import words


class EmailPreference(models.Model):
    """What one person agreed to receive; a missing row means the defaults, and reading never writes one.

    Saving takes effect at once: mails of a category that goes off are withdrawn in the same transaction, and a
    category that comes back on gets a new epoch, which makes its old unsubscribe links invalid.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="email_preference")
    enrollment_emails = models.BooleanField(_("enrolment confirmations"), default=True)
    demo_emails = models.BooleanField(_("after a demo class"), default=True)
    payment_emails = models.BooleanField(_("payment confirmations"), default=True)
    progress_emails = models.BooleanField(_("weekly progress"), default=True)
    content_emails = models.BooleanField(_("new course content"), default=True)
    reminder_emails = models.BooleanField(_("course reminders and highlights"), default=True)
    goal_emails = models.BooleanField(_("weekly goal reminders"), default=True)
    admin_emails = models.BooleanField(_("licence notices for administrators"), default=True)
    is_subscribed = models.BooleanField(_("any mail at all"), default=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    suppressed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("Set after a hard bounce or a complaint; clear it to mail the address again."),
    )
    suppression_reason = models.CharField(max_length=100, blank=True)
    token_epochs = models.JSONField(default=dict, blank=True, editable=False)

    history = HistoricalRecords(history_change_reason_field=models.CharField(max_length=100, null=True))

    class Meta:
        verbose_name = _("e-mail preference")

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"

    def accepts(self, category: str) -> bool:
        """Return whether mails of this category are wanted, leaving suppression aside."""
        return self.is_subscribed and bool(getattr(self, f"{category}_emails"))

    def can_receive_email(self, email_type: str) -> bool:
        """Return whether the person may get this message. Raises ValueError for an unknown message name."""
        from .. import consent
        from ..pipeline import message

        wanted = self.accepts(message.get(email_type).category)
        return wanted and self.suppressed_at is None and not consent.suppressed_among([self.user.email])

    def epoch(self, name: str) -> int:
        """Return the number that unsubscribe links of a category, or of `course:<id>`, must carry to be valid."""
        return int(self.token_epochs.get(name, 0))

    def unsubscribe(self, *, source: str = "") -> None:
        """Stop every mail to this person."""
        self._subscribe(False, source=source)

    def resubscribe(self, *, source: str = "") -> None:
        """Allow mail again, except for the categories that are off one by one."""
        self._subscribe(True, source=source)

    def _subscribe(self, wanted: bool, *, source: str) -> None:
        # Only the switch is written: this object may be older than somebody's newer choice, or than a suppression.
        from .. import consent

        stored = consent.set_preferences(self.user_id, {"is_subscribed": wanted}, source=source)
        if stored.pk is not None:
            self.pk, self._state.adding = stored.pk, False
            self.refresh_from_db()

    def save(self, *args: Any, source: str = "", **kwargs: Any) -> None:
        """Write the row; `source` (one-click, preference page, admin …) goes into its history."""
        from ..pipeline import ledger

        with transaction.atomic():
            before = type(self)._default_manager.select_for_update().filter(user_id=self.user_id).first() or type(self)(
                user_id=self.user_id
            )
            if (written := kwargs.get("update_fields")) is not None:
                # What is not written must not decide anything either.
                switches = {f"{category}_emails" for category in words.CATEGORIES}
                for name in {"is_subscribed", "unsubscribed_at", "suppressed_at", *switches} - set(written):
                    setattr(self, name, getattr(before, name))
            epochs = dict(before.token_epochs)
            for category in words.CATEGORIES:
                if self.accepts(category) and not before.accepts(category):
                    epochs[category] = before.epoch(category) + 1
            self.token_epochs = epochs
            if self.is_subscribed:
                self.unsubscribed_at = None
            elif before.is_subscribed:
                self.unsubscribed_at = timezone.now()
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "token_epochs", "unsubscribed_at"}
            self._change_reason = source or None
            super().save(*args, **kwargs)
            ledger.withdraw(self)

    @classmethod
    def of(cls, user_id: int) -> Self:
        """Return the person's preferences, or the defaults as an unsaved row."""
        return cls.objects.filter(user_id=user_id).first() or cls(user_id=user_id)


class CourseOptOut(models.Model):
    """One person who wants no lifecycle mail about one course."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="course_opt_outs")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "course"], name="email_course_opt_out_once")]

    def __str__(self) -> str:
        return f"user {self.user_id}, course {self.course_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the row; mails that are planned for this person are looked at again before they go."""
        from ..pipeline import ledger

        with transaction.atomic():
            super().save(*args, **kwargs)
            ledger.reconsider(self.user_id)


class SuppressedAddress(models.Model):
    """An address that gets no mail, known by a keyed digest only, so that it outlives whoever it belonged to.

    `consent.address_digest` makes the digest. A hard bounce, a complaint or an erasure adds a row; an administrator
    takes it away.
    """

    digest = models.CharField(max_length=64, unique=True, editable=False)
    reason = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")

    def __str__(self) -> str:
        return f"{self.digest[:12]}…"
