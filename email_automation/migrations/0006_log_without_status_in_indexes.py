from django.db import migrations, models
from django.db.models import Case, Q, When
from django.db.models.deletion import SET_NULL

import email_automation.models.indexes

TABLE = "email_automation_emaillog"
OPEN = ("pending", "sending")


class AddToEndOnce(migrations.SeparateDatabaseAndState):
    """Add both columns; on PostgreSQL in one statement, since each one writes the whole table anew."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute(
            f"ALTER TABLE {TABLE} "
            "ADD COLUMN open_priority smallint GENERATED ALWAYS AS "
            "(CASE WHEN status IN ('pending', 'sending') THEN priority END) STORED, "
            "ADD COLUMN ended_as varchar(12) GENERATED ALWAYS AS "
            "(CASE WHEN status IN ('pending', 'sending') THEN NULL ELSE status END) STORED"
        )


def drop_indexes_of_foreign_keys(apps, schema_editor):
    """Drop the indexes that Django made for these columns, and leave the foreign keys as they are.

    Altering the fields would make the keys anew, for which PostgreSQL reads the whole table. MariaDB's indexes belong to
    the keys and stay.
    """
    connection = schema_editor.connection
    if connection.vendor == "mysql":
        return
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, TABLE)
    for name, found in constraints.items():
        alone = found["columns"] in (["course_id"], ["enrollment_id"], ["payment_id"])
        if found["index"] and alone and not (found["unique"] or found["primary_key"]):
            schema_editor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")


def foreign_key(to):
    return models.ForeignKey(
        null=True, blank=True, db_index=False, on_delete=SET_NULL, related_name="+", to=to
    )


ADD_COLUMNS = [
    migrations.AddField(
        "emaillog",
        "open_priority",
        models.GeneratedField(
            expression=Case(When(status__in=OPEN, then="priority")),
            output_field=models.SmallIntegerField(null=True),
            db_persist=True,
        ),
    ),
    migrations.AddField(
        "emaillog",
        "ended_as",
        models.GeneratedField(
            expression=Case(When(status__in=OPEN, then=None), default="status"),
            output_field=models.CharField(max_length=12, null=True),
            db_persist=True,
        ),
    ),
]
FOREIGN_KEYS = [
    migrations.AlterField("emaillog", "course", foreign_key("courses.course")),
    migrations.AlterField("emaillog", "enrollment", foreign_key("courses.enrollment")),
    migrations.AlterField("emaillog", "payment", foreign_key("courses.payment")),
]
INDEXES = [
    email_automation.models.indexes.SparseIndex(
        fields=["open_priority", "next_attempt_at", "id"],
        name="email_log_open",
        condition=Q(open_priority__isnull=False),
    ),
    email_automation.models.indexes.SparseIndex(
        fields=["ended_as", "id"], name="email_log_ended", condition=Q(ended_as__isnull=False)
    ),
    models.Index(fields=["run", "open_priority"], name="email_log_run_open"),
    models.Index(fields=["to_address"], name="email_log_address"),
    email_automation.models.indexes.SparseIndex(
        fields=["provider_message_id"], name="email_log_provider_id", condition=~Q(provider_message_id="")
    ),
    models.Index(fields=["enrollment"], name="email_log_enrollment", condition=Q(enrollment__isnull=False)),
    models.Index(fields=["payment"], name="email_log_payment", condition=Q(payment__isnull=False)),
]


class Migration(migrations.Migration):
    """Fewer and smaller indexes on the log, none of which changes between a mail's claim and its end."""

    dependencies = [("courses", "0002_facts_for_mail"), ("email_automation", "0005_bodies")]

    operations = [
        # Before the table is written anew, which makes every index anew.
        migrations.RemoveIndex("emaillog", "email_log_due"),
        migrations.AlterField("emaillog", "to_address", models.CharField(max_length=254)),
        migrations.AlterField("emaillog", "provider_message_id", models.CharField(blank=True, max_length=255)),
        migrations.SeparateDatabaseAndState(
            [migrations.RunPython(drop_indexes_of_foreign_keys, migrations.RunPython.noop)], FOREIGN_KEYS
        ),
        # The new constraint first, so that there never is none.
        migrations.AddConstraint(
            "emaillog",
            models.UniqueConstraint(
                fields=["dedupe_key"], name="email_log_once", opclasses=["varchar_pattern_ops"]
            ),
        ),
        migrations.AlterField(
            "emaillog", "dedupe_key", models.CharField(editable=False, max_length=191, null=True)
        ),
        AddToEndOnce(ADD_COLUMNS, ADD_COLUMNS),
        *(migrations.AddIndex("emaillog", index) for index in INDEXES),
        # After `email_log_run_open`, because MariaDB needs one of them for the foreign key.
        migrations.RemoveIndex("emaillog", "email_log_run_status"),
    ]
