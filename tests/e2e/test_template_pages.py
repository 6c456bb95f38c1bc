"""The pages on which the course team edits templates, in a browser without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from email_automation.models import EmailTemplate
from email_automation.services import EmailTemplateService
from tests import factories

from .conftest import OpenPage
from .look import sideways

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row() -> EmailTemplate:
    factories.platform_site()
    EmailTemplateService.create_default_templates()
    return EmailTemplate.objects.get(email_type="weekly_progress", language="en")


@pytest.fixture
def editor(client: Client) -> Any:
    """The cookies of somebody who may edit everything."""
    client.force_login(factories.UserFactory(admin=True))
    return client.cookies


def test_the_preview_shows_the_mail_wide_narrow_and_dark(open_page: OpenPage, row: EmailTemplate, editor: Any) -> None:
    page = open_page(f"/admin/email_automation/emailtemplate/{row.pk}/preview/", cookies=editor, width=1600)
    frames = page.frames[1:]
    assert len(frames) == 3
    assert all("Hi Ada" in frame.inner_text("body") for frame in frames)
    backgrounds = [
        frame.evaluate("getComputedStyle(document.querySelector('.m-card')).backgroundColor") for frame in frames
    ]
    assert backgrounds[0] == backgrounds[1] != backgrounds[2]


@pytest.mark.parametrize("width", [320, 1200])
def test_the_preview_fits_its_window(open_page: OpenPage, row: EmailTemplate, editor: Any, width: int) -> None:
    page = open_page(f"/admin/email_automation/emailtemplate/{row.pk}/preview/", cookies=editor, width=width)
    assert sideways(page) <= 0
