"""Events on their way: what is to be published, and what came in and is to be handled."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q


class EventOutbox(models.Model):
    """An event that is published when the transaction that wrote it has committed."""

    event_id = models.UUIDField(unique=True, editable=False)
    event_type = models.CharField(max_length=255)
    topic = models.CharField(max_length=255)
    payload = models.BinaryField(help_text="The data as it goes over the wire (Avro).")
    headers = models.JSONField(help_text="The metadata as it goes over the wire.")
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="Empty: not published yet.")
    is_published = models.GeneratedField(
        expression=Q(published_at__isnull=False),  # type: ignore[arg-type]  # Django takes a condition, too
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        verbose_name = "outgoing event"
        # Read in one direction by the relay and in the other one by the admin's list.
        indexes: ClassVar = [models.Index(fields=["is_published", "-id"], name="courses_outbox_unpublished")]

    def __str__(self) -> str:
        return f"event {self.event_id}"


class EventRelay(models.Model):
    """Who may publish now, and how publishing has gone lately: one row."""

    name = models.CharField(max_length=32, unique=True)
    owner = models.CharField(max_length=32, blank=True, help_text="Empty: nobody is publishing.")
    leased_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Passes in a row that broke off.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="No pass begins earlier.")
    alerted_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class EventInbox(models.Model):
    """An event that came in for one consumer, stored as it came before anybody has looked into it."""

    RECEIVED, DONE, DEFERRED, DEAD = "received", "done", "deferred", "dead"
    STATES: ClassVar = (DEAD, DEFERRED, RECEIVED, DONE)

    consumer = models.CharField(max_length=64)
    event_id = models.CharField(max_length=64, help_text="Of the event, or of its entry in the stream if it has none.")
    event_type = models.CharField(max_length=255, blank=True)
    payload = models.BinaryField(help_text="The data as it came (Avro).")
    headers = models.JSONField(help_text="What came beside the data.")
    entry = models.CharField(max_length=64, blank=True, help_text="Id of the entry in the stream.")
    state = models.CharField(max_length=16)
    reason = models.CharField(max_length=255, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="Times the handler has failed.")
    deferrals = models.PositiveIntegerField(default=0, help_text="Times the handler has put it off.")
    created_at = models.DateTimeField()
    received_at = models.DateTimeField(help_text="When it came, or when it was last made due again by hand.")
    due_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="Empty: nothing is to be done.")
    done_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        verbose_name = "incoming event"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["consumer", "event_id"], name="courses_inbox_consumer_event"),
        ]
        indexes: ClassVar = [models.Index(fields=["state", "-id"], name="courses_inbox_state")]
        permissions: ClassVar = [("requeue_eventinbox", "Can have dead incoming events handled again")]

    def __str__(self) -> str:
        return f"event {self.event_id} for {self.consumer}"
