"""The setting that puts edited templates before the files, and what does without it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.template import Engine, engines
from django.template.backends.django import DjangoTemplates

from email_automation import checks
from email_automation.pipeline import message
from email_automation.pipeline.message import MessageType
from email_automation.templating import frame
from email_automation.templating.backend import EditedTemplates
from email_automation.templating.checking import problems
from tests.mail.stock import ROOT

EDITED, FILES = django_settings.TEMPLATES


def ids() -> list[str | None]:
    return [entry.id for entry in checks.check_edited_templates(None)]


def test_the_project_has_it_first() -> None:
    first, second = engines.all()
    assert isinstance(first, EditedTemplates) and isinstance(second, DjangoTemplates)
    assert ids() == []
    assert first.check() == []


@pytest.mark.parametrize("entries", [[FILES], [FILES, EDITED], []])
def test_a_project_without_it_is_told(settings: Any, entries: list[Any]) -> None:
    settings.TEMPLATES = entries
    assert ids() == ["email_automation.W008"]


def test_others_may_stand_around_it(settings: Any) -> None:
    other = {"BACKEND": "django.template.backends.dummy.TemplateStrings", "NAME": "other"}
    settings.TEMPLATES = [other, EDITED, FILES, other | {"NAME": "another"}]
    assert ids() == []


def test_it_needs_no_options(settings: Any) -> None:
    settings.TEMPLATES = [{"BACKEND": EDITED["BACKEND"], "NAME": "edited"}, FILES]
    assert isinstance(engines["edited"], EditedTemplates)


def test_django_itself_still_finds_its_own_engine() -> None:
    assert Engine.get_default() is engines["django"].engine
    assert frame.ordinary() is engines["django"]


def test_a_project_without_files_is_told_so(settings: Any) -> None:
    settings.TEMPLATES = [EDITED]
    with pytest.raises(LookupError, match="no DjangoTemplates"):
        frame.ordinary()


@pytest.mark.parametrize(
    ("body", "takes"),
    [
        ("<p>a</p>", False),
        ("{% block content %}{% endblock %}", True),
        ("{% block other %}{% endblock %}", False),
        ('{% extends "email_automation/edx_ace/base/body.html" %}', True),
        ("{% if a %}{% block content %}{% endblock %}{% endif %}", True),
    ],
)
def test_a_message_whose_files_have_no_room_for_edited_html_cannot_be_edited(
    settings: Any, body: str, takes: bool
) -> None:
    kind = message.get("courseupdate")
    name = f"{kind.owner()}/edx_ace/{kind.NAME}/email/body.html"
    loaders = [
        ("django.template.loaders.locmem.Loader", {name: body}),
        "django.template.loaders.app_directories.Loader",
    ]
    settings.TEMPLATES = [EDITED, {**FILES, "APP_DIRS": False, "OPTIONS": {**FILES["OPTIONS"], "loaders": loaders}}]
    assert frame.takes_content(kind) is takes
    found = problems(kind, subject="a", html="<p>a</p>", text="", languages=["en"])
    assert [(problem.field, problem.line) for problem in found] == ([] if takes else [("html_content", 0)])


def test_a_message_without_files_cannot_be_edited_either() -> None:
    class Bare(MessageType):
        NAME = "bare"

    Bare.__module__ = "schedules.messages.bare"
    assert not frame.takes_content(Bare)


def test_it_can_be_made_while_models_are_still_being_imported() -> None:
    program = (
        "import sys, email_automation.templating.backend as made\n"
        "made.EditedTemplates({'NAME': 'edited', 'DIRS': [], 'APP_DIRS': False, 'OPTIONS': {}})\n"
        "assert not [name for name in sys.modules if name.startswith(('email_automation.models', 'courses.models'))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
