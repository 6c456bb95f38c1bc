"""Rows of edited templates: what is refused, what an edit makes of a stock row, and what makes the stock rows."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.utils import translation

from email_automation.models import EmailTemplate
from email_automation.pipeline import message
from email_automation.templating import defaults, stock
from email_automation.templating.defaults import create_default_templates
from email_automation.templating.edited import Sources
from email_automation.templating.sandbox import Template
from email_automation.templating.writer import Unwritable

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]
LANGUAGES = ("en", "es", "fr")


def row(**fields: Any) -> EmailTemplate:
    given = {"name": "Mine", "email_type": "courseupdate", "subject": "S", "html_content": "<p>a</p>"}
    return EmailTemplate(**given | fields)


def errors(made: EmailTemplate) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as caught:
        made.full_clean()
    return caught.value.message_dict


def stock_row() -> EmailTemplate:
    create_default_templates()
    return EmailTemplate.objects.get(email_type="courseupdate", language="en")


# What is refused


def test_a_good_row_is_accepted_in_one_language_or_in_all() -> None:
    for language in ("", *LANGUAGES):
        row(language=language).full_clean()


def test_the_message_must_be_a_registered_one() -> None:
    (told,) = errors(row(email_type="nothing"))["email_type"]
    assert "“nothing” is no message" in told and "courseupdate" in told and "weekly_progress" in told


def test_the_language_must_be_released() -> None:
    (told,) = errors(row(language="xx"))["language"]
    assert told == "“xx” is not released; choose from en, es, fr."


def test_only_one_row_is_active_for_a_message_and_language() -> None:
    first = row(language="es", name="The first")
    first.save()
    told = errors(row(language="es"))["__all__"]
    assert f"“The first” (number {first.pk}) is active for this message and language" in told[0]
    for other in (
        row(),
        row(language="fr"),
        row(language="es", is_active=False),
        row(language="es", email_type="enrollment"),
    ):
        other.full_clean()
    first.full_clean()
    first.is_active = False
    first.save()
    row(language="es").full_clean()


@pytest.mark.parametrize("subject", ["", "  ", "a\nb", "a\r\nb", "x" * 201])
def test_a_subject_is_one_line_of_up_to_200_characters(subject: str) -> None:
    assert set(errors(row(subject=subject))) == {"subject"}


def test_a_long_template_may_make_a_short_subject() -> None:
    row(subject="{% if week_num == 1 %}" + "a" * 150 + "{% else %}" + "b" * 150 + "{% endif %}").full_clean()
    assert set(errors(row(subject="a" * 1001))) == {"subject"}


def test_each_mistake_stands_at_its_field_with_its_line() -> None:
    told = errors(row(subject="{{ a }}", html_content="<p>\n{{ b }}\n</div>", text_content="{% load x %}"))
    assert told["subject"] == [next(iter(told["subject"]))] and told["subject"][0].startswith("line 1: a: no such")
    assert [line.partition(":")[0] for line in told["html_content"]] == ["line 2", "line 3"]
    assert told["text_content"][0].startswith("line 1: {% load %} is not available")


def test_a_row_is_tried_in_its_own_language_and_one_for_all_in_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: set[str | None] = set()
    original = Template.render_values

    def render(*args: Any, **kwargs: Any) -> str:
        tried.add(translation.get_language())
        return original(*args, **kwargs)

    monkeypatch.setattr(Template, "render_values", render)
    row(language="es").full_clean()
    assert tried == {"es"}
    row().full_clean()
    assert tried == set(LANGUAGES)


# Stock rows


def test_there_is_a_stock_row_for_each_message_and_language() -> None:
    kinds = list(message.all_messages())
    assert create_default_templates() == len(kinds) * len(LANGUAGES)
    assert create_default_templates() == 0
    rows = EmailTemplate.objects.all()
    assert {(made.email_type, made.language) for made in rows} == {(k.NAME, code) for k in kinds for code in LANGUAGES}
    assert all(made.is_stock and made.is_active for made in rows)
    assert rows.get(email_type="courseupdate", language="es").name == "Weekly course update (es)"
    assert EmailTemplate.history.count() == rows.count()
    for made in rows:
        made.full_clean()


def test_an_edited_row_is_left_alone_and_a_changed_file_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    edited, other = stock_row(), EmailTemplate.objects.get(email_type="courseupdate", language="es")
    edited.html_content = "<p>Mine</p>"
    edited.save()
    monkeypatch.setattr(defaults, "sources", lambda kind, language: Sources("New", "<p>New</p>", "New"))
    assert create_default_templates() == 0
    edited.refresh_from_db()
    other.refresh_from_db()
    assert (edited.html_content, edited.is_stock) == ("<p>Mine</p>", False)
    assert (other.subject, other.html_content, other.text_content) == ("New", "<p>New</p>", "New")
    assert other.is_stock
    assert other.history.count() == 2
    history = EmailTemplate.history.count()
    assert create_default_templates() == 0
    assert EmailTemplate.history.count() == history


def test_where_people_have_a_row_in_use_there_is_no_stock_row() -> None:
    row(language="es").save()
    create_default_templates()
    assert not EmailTemplate.objects.get(email_type="courseupdate", language="es").is_stock


def test_a_stock_row_that_was_switched_off_is_not_made_again() -> None:
    made = stock_row()
    made.is_active = False
    made.save()
    assert create_default_templates() == 0
    made.refresh_from_db()
    assert made.is_stock


def test_a_message_for_which_the_sandbox_has_no_words_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def sources(kind: Any, language: str) -> Sources:
        if language == "fr":
            raise Unwritable("no words")
        return stock.sources(kind, language)

    monkeypatch.setattr(defaults, "sources", sources)
    create_default_templates()
    assert set(EmailTemplate.objects.values_list("language", flat=True)) == {"en", "es"}
    assert "language=fr has no stock template: no words" in caplog.text


def test_it_costs_a_constant_number_of_statements(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        create_default_templates()
    with django_assert_max_num_queries(5):
        create_default_templates()


@pytest.mark.parametrize("name", ["subject", "html_content", "text_content", "language"])
def test_an_edit_makes_a_stock_row_an_ordinary_one(name: str) -> None:
    made = stock_row()
    setattr(made, name, "")
    made.save()
    made.refresh_from_db()
    assert not made.is_stock


def test_so_does_an_edit_of_one_field() -> None:
    made = stock_row()
    before = made.updated_at
    made.html_content = "<p>Mine</p>"
    made.save(update_fields=["html_content"])
    made.refresh_from_db()
    assert not made.is_stock
    assert made.updated_at > before


def test_an_edit_that_is_not_stored_does_not() -> None:
    made = stock_row()
    made.html_content = "<p>Mine</p>"
    made.save(update_fields=["name"])
    made.refresh_from_db()
    assert made.is_stock


def test_saving_it_as_it_is_does_not() -> None:
    made = stock_row()
    made.name = "Renamed"
    made.save()
    made.is_active = False
    made.save(update_fields=["is_active"])
    made.save(update_fields=[])
    made.refresh_from_db()
    assert made.is_stock
    assert (made.name, made.is_active) == ("Renamed", False)


def test_an_instance_that_was_read_before_somebody_edited_it_does_not_make_it_stock_again() -> None:
    stale = stock_row()
    fresh = EmailTemplate.objects.get(pk=stale.pk)
    fresh.subject = "Mine"
    fresh.save()
    stale.save()
    stale.refresh_from_db()
    assert not stale.is_stock


def test_restoring_a_version_of_the_files_is_an_edit_too() -> None:
    made = stock_row()
    made.subject = "Mine"
    made.save()
    made.history.earliest().instance.save()
    made.refresh_from_db()
    assert made.subject != "Mine"
    assert not made.is_stock


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_two_at_once_make_each_row_once() -> None:
    made, start = [], threading.Barrier(4)

    def create() -> None:
        start.wait()
        try:
            made.append(create_default_templates())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert connection.vendor
    assert len(made) == 4
    assert sum(made) == EmailTemplate.objects.count() == len(list(message.all_messages())) * len(LANGUAGES)
