"""What somebody's code passes with a call is there for edited templates too, under `context`."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.exceptions import ValidationError

from email_automation.models import EmailTemplate
from email_automation.services import EmailService
from tests import factories

pytestmark = pytest.mark.django_db

HTML = (
    "<p>{{ context.promo.text }}{% if context.vip %} for you{% endif %}</p>"
    "{% for each in context.steps %}<p>{{ each.title|upper }}</p>{% empty %}<p>no steps</p>{% endfor %}"
)


def edited(html: str) -> EmailTemplate:
    row = EmailTemplate(name="Promo", email_type="enrollment", subject="S {{ context.code }}", html_content=html)
    row.full_clean()
    row.save()
    return row


def test_any_name_is_accepted_and_filled_in() -> None:
    edited(HTML)
    context = {"promo": {"text": "Half <price>"}, "vip": True, "steps": [{"title": "one"}], "code": "A1"}
    assert EmailService().send_email(factories.UserFactory(), "enrollment", context=context)
    (sent,) = mail.outbox
    assert sent.subject == "S A1"
    assert "Half &lt;price&gt; for you</p>" in sent.alternatives[0][0]
    assert "ONE" in sent.body


def test_what_is_not_passed_is_empty() -> None:
    edited(HTML)
    assert EmailService().send_email(factories.UserFactory(), "enrollment")
    (sent,) = mail.outbox
    assert sent.subject.strip() == "S"
    assert "no steps" in sent.body


@pytest.mark.parametrize("name", ["context.__class__", "context._x", "promo.text"])
def test_it_opens_nothing_else(name: str) -> None:
    with pytest.raises(ValidationError, match="line 1"):
        edited(f"<p>{{{{ {name} }}}}</p>")
