"""The templates in the admin: who may do what, the check before saving, preview, test mail, history."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from email_automation.models import EmailLog, EmailTemplate
from email_automation.pipeline import message
from email_automation.services import EmailService, EmailTemplateService
from email_automation.templating.listing import variables
from tests import factories

pytestmark = pytest.mark.django_db

HTML = "<h2>Welcome {{ user.first_name|default:user.username }}!</h2>\n<p>You are in {{ course.title }}.</p>"


@pytest.fixture
def row() -> EmailTemplate:
    return EmailTemplate.objects.create(
        name="Welcome", email_type="enrollment", language="en", subject="Hi {{ user.first_name }}", html_content=HTML
    )


@pytest.fixture
def superuser(client: Client) -> Any:
    person = factories.UserFactory(admin=True, email="editor@example.com", first_name="Edith")
    client.force_login(person)
    return person


def address(name: str, row: EmailTemplate | None = None) -> str:
    return reverse(f"admin:email_automation_emailtemplate_{name}", args=[row.pk] if row else [])


def form(row: EmailTemplate, **changes: Any) -> dict[str, Any]:
    names = ("name", "email_type", "language", "subject", "html_content", "text_content")
    return {name: getattr(row, name) for name in names} | {"is_active": "on"} | changes


def staff(client: Client, *permissions: str) -> Any:
    person = factories.UserFactory(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(person)
    return person


def test_it_saves_what_is_right_and_the_next_mail_says_it(client: Client, superuser: Any, row: EmailTemplate) -> None:
    saved = client.post(address("change", row), form(row, subject="Welcome, {{ user.first_name }}"))
    assert saved.status_code == 302
    EmailService().send_email(superuser, "enrollment", course=factories.CourseFactory())
    assert mail.outbox[-1].subject == "Welcome, Edith"


@pytest.mark.parametrize(
    ("html", "line", "said"),
    [
        ("<p>fine</p>\n{{ user.password }}", 2, "no such variable"),
        ("{% load i18n %}", 1, "not available"),
        ("<p>a</p>\n<p>b</p>\n{% if course %}", 3, "never ended"),
    ],
)
def test_case_015_it_refuses_what_is_wrong_with_its_line_and_the_last_version_keeps_sending(
    client: Client, superuser: Any, row: EmailTemplate, html: str, line: int, said: str
) -> None:
    refused = client.post(address("change", row), form(row, html_content=html))
    assert refused.status_code == 200
    text = refused.content.decode()
    assert f"line {line}: " in text
    assert said in text
    row.refresh_from_db()
    assert row.html_content == HTML
    EmailService().send_email(superuser, "enrollment", course=factories.CourseFactory())
    assert mail.outbox[-1].subject == "Hi Edith"


def test_a_stock_row_becomes_the_editors_with_the_first_change(client: Client, superuser: Any) -> None:
    EmailTemplateService.create_default_templates()
    row = EmailTemplate.objects.get(email_type="enrollment", language="en")
    assert "stock: shows what the files say" in client.get(address("change", row)).content.decode()
    assert client.post(address("change", row), form(row)).status_code == 302
    row.refresh_from_db()
    assert row.is_stock
    client.post(address("change", row), form(row, subject="Glad you are here"))
    row.refresh_from_db()
    assert not row.is_stock
    EmailService().send_email(superuser, "enrollment", course=factories.CourseFactory())
    assert mail.outbox[-1].subject == "Glad you are here"


def test_the_preview_shows_the_mail_in_frames_that_can_do_nothing(
    client: Client, superuser: Any, row: EmailTemplate
) -> None:
    page = client.get(address("preview", row))
    text = page.content.decode()
    assert page.status_code == 200
    assert text.count("<iframe sandbox ") == text.count("<iframe") == 3
    assert "Hi Ada" in text
    assert "Welcome Ada!" in text
    assert "List-Unsubscribe" in text
    assert not EmailLog.objects.exists()


def test_the_preview_shows_what_stands_in_the_form_and_saves_nothing(
    client: Client, superuser: Any, row: EmailTemplate
) -> None:
    page = client.post(address("preview", row), form(row, subject="Only tried")).content.decode()
    assert "Only tried" in page
    assert "it is not saved" in page
    broken = client.post(address("preview", row), form(row, html_content="a\n{% include 'x' %}")).content.decode()
    assert "line 2" in broken
    assert "<iframe" not in broken
    row.refresh_from_db()
    assert (row.subject, row.html_content) == ("Hi {{ user.first_name }}", HTML)


def test_the_preview_warns_of_a_mail_that_would_be_cut_off(client: Client, superuser: Any, row: EmailTemplate) -> None:
    large = form(row, html_content=f"<p>{'long ' * 19_700}</p>")
    assert "Some mail programs cut it off" in client.post(address("preview", row), large).content.decode()
    assert "Some mail programs cut it off" not in client.get(address("preview", row)).content.decode()


@pytest.mark.parametrize("is_active", [True, False])
def test_a_test_mail_goes_to_whoever_asks_and_can_opt_nobody_out(
    client: Client, superuser: Any, row: EmailTemplate, is_active: bool
) -> None:
    EmailTemplate.objects.update(is_active=is_active)
    answer = client.post(address("test", row), follow=True)
    assert "on its way to you" in answer.content.decode()
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["editor@example.com"], "Hi Edith")
    assert "Coastal Navigation for Beginners" in sent.body
    assert "/email/unsubscribe/" not in sent.body
    assert not [name for name in sent.extra_headers if name.lower().startswith("list-unsubscribe")]
    assert EmailLog.objects.get().is_test


def test_a_test_mail_that_cannot_go_out_says_why(client: Client, superuser: Any, row: EmailTemplate) -> None:
    type(superuser).objects.update(email="")
    assert "no_email_address" in client.post(address("test", row), follow=True).content.decode()
    assert mail.outbox == []


def test_a_test_mail_takes_a_post(client: Client, superuser: Any, row: EmailTemplate) -> None:
    assert client.get(address("test", row)).status_code == 405
    assert mail.outbox == []


def test_who_may_only_look_sees_the_saved_version_and_sends_nothing(client: Client, row: EmailTemplate) -> None:
    staff(client, "view_emailtemplate")
    assert "Welcome Ada!" in client.post(address("preview", row), form(row, html_content="mine")).content.decode()
    assert client.post(address("test", row)).status_code == 403
    assert client.post(address("change", row), form(row, subject="x")).status_code == 403
    assert "Send a test" not in client.get(address("change", row)).content.decode()


def test_who_may_not_look_sees_nothing(client: Client, row: EmailTemplate) -> None:
    staff(client, "test_emailtemplate")
    for name in ("preview", "change"):
        assert client.get(address(name, row)).status_code == 403
    assert client.post(address("test", row)).status_code == 403


def test_an_older_version_can_be_looked_at_and_restored(client: Client, superuser: Any, row: EmailTemplate) -> None:
    client.post(address("change", row), form(row, subject="Newer"))
    history = client.get(address("history", row)).content.decode()
    assert "Hi {{ user.first_name }}" in history
    assert "Newer" in history
    oldest = row.history.order_by("history_id").first()
    version = reverse("admin:email_automation_emailtemplate_simple_history", args=[row.pk, oldest.history_id])
    assert client.post(version, form(row)).status_code == 302
    row.refresh_from_db()
    assert row.subject == "Hi {{ user.first_name }}"


def test_the_page_lists_every_variable_with_an_example(client: Client, superuser: Any, row: EmailTemplate) -> None:
    page = client.get(address("change", row)).content.decode()
    found = variables(message.get("enrollment"))
    assert {"{{ course.title }}", "{{ payment.amount }}", "{{ custom_message }}"} <= {each.name for each in found}
    assert all(each.name in page for each in found)


@pytest.mark.parametrize("kind", list(message.all_messages()), ids=lambda kind: kind.NAME)
def test_what_the_list_offers_is_accepted(kind: type[message.MessageType]) -> None:
    offered = "\n".join(f"<p>{each.name}</p>" for each in variables(kind))
    row = EmailTemplate(name="all", email_type=kind.NAME, subject="x", html_content=offered)
    row.full_clean()


def test_the_list_costs_the_same_for_few_and_for_many(client: Client, superuser: Any) -> None:
    counts = []
    for number in (1, 50):
        for index in range(number):
            EmailTemplate.objects.create(
                name=f"{number}-{index}", email_type="enrollment", subject="s", html_content="h", is_active=False
            )
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address("changelist")).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
