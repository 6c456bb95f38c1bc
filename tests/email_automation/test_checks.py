"""Each check says nothing while all is well, and tells its own id and a hint when it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.sites.models import Site
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings

from email_automation import checks
from email_automation.pipeline import message as messages
from tests import factories

Check = Callable[..., list[CheckMessage]]
BROKER = "redis://127.0.0.1:6379/0"


def ids(check: Check, **kwargs: Any) -> list[str]:
    found = check(None, **kwargs)
    assert all(entry.hint for entry in found)
    return [str(entry.id).removeprefix("email_automation.") for entry in found]


def test_our_own_settings_pass_every_check() -> None:
    assert [entry for entry in run_checks() if str(entry.id).startswith("email_automation.")] == []


@pytest.mark.parametrize("channels", [["django_mail"], ["django_mail", "file_email"]])
def test_channels_that_exist_pass(channels: list[str]) -> None:
    with override_settings(
        ACE_ENABLED_CHANNELS=channels,
        ACE_CHANNEL_DEFAULT_EMAIL="django_mail",
        ACE_CHANNEL_TRANSACTIONAL_EMAIL="django_mail",
    ):
        assert ids(checks.check_channels) == []


def test_a_channel_that_nobody_provides_is_an_error() -> None:
    with override_settings(ACE_ENABLED_CHANNELS=["django_mail", "pigeon"]):
        assert ids(checks.check_channels) == ["E001"]
        assert "django_mail" in str(checks.check_channels(None)[0].hint)


@pytest.mark.parametrize("name", ["ACE_CHANNEL_DEFAULT_EMAIL", "ACE_CHANNEL_TRANSACTIONAL_EMAIL"])
@pytest.mark.parametrize("value", ["file_email", None])
def test_an_email_channel_that_is_not_enabled_is_an_error(name: str, value: str | None) -> None:
    with override_settings(ACE_ENABLED_CHANNELS=["django_mail"], **{name: value}):
        assert ids(checks.check_channels) == ["E002"]


def test_no_channel_at_all_is_an_error() -> None:
    with override_settings(ACE_ENABLED_CHANNELS=None):
        assert ids(checks.check_channels) == ["E002", "E002"]


@pytest.mark.parametrize(("policies", "expected"), [(["bulk_email_optout"], []), ([], ["W001"]), (None, ["W001"])])
def test_the_policy_of_consent_is_enabled(policies: Any, expected: list[str]) -> None:
    with override_settings(ACE_ENABLED_POLICIES=policies):
        assert ids(checks.check_policy) == expected


@pytest.mark.parametrize(
    ("backend", "timeout", "expected"),
    [
        ("django.core.mail.backends.smtp.EmailBackend", 30, []),
        ("django.core.mail.backends.smtp.EmailBackend", None, ["W002"]),
        ("email_automation.channels.smtp.EmailBackend", None, ["W002"]),
        ("django.core.mail.backends.console.EmailBackend", None, []),
    ],
)
def test_a_mail_server_is_given_a_time_limit(backend: str, timeout: int | None, expected: list[str]) -> None:
    with override_settings(EMAIL_BACKEND=backend, EMAIL_TIMEOUT=timeout):
        assert ids(checks.check_timeout) == expected


@pytest.mark.parametrize(
    ("name", "good", "bad", "number"),
    [
        ("EMAIL_LOG_DAYS", (1, 90), (0, -1, "90", None, 1.5, True), "E003"),
        ("EMAIL_LOG_CONTENT_DAYS", (0, 30), (-1, "30", None, 0.5, False), "E004"),
        ("EMAIL_BATCH_SIZE", (1, 200, 1000), (0, -1, 1001, "200", None, 1.5, True), "E042"),
        ("EMAIL_IN_FLIGHT", (1, 500), (0, 501, "8", None, 1.5, True), "E040"),
        ("EMAIL_MAILS_PER_CONNECTION", (1, 1000), (0, -1, "8", None, True), "E041"),
        ("EMAIL_RATE_PER_SECOND", (None, 0.5, 10), (0, -1, "10", True, float("nan")), "E005"),
        ("ALERT_SINKS", ([], (), ["django.core.mail.mail_admins"]), ("a.b", None, ["nowhere.at_all"], [7]), "E006"),
        ("ALERT_SINKS", ([],), (["django.core.mail.nothing"], ["django.conf.global_settings.ADMINS"], ["x"]), "E006"),
    ],
)
def test_a_setting_of_ours_has_a_usable_value(name: str, good: Any, bad: Any, number: str) -> None:
    check = checks.check_alert_sinks if name == "ALERT_SINKS" else checks.check_values
    for value in good:
        with override_settings(**{name: value}):
            assert ids(check) == [], value
    for value in bad:
        with override_settings(**{name: value}):
            assert ids(check) == [number], value


@pytest.fixture
def celery(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set what Celery is told; the test suite's own is undone."""
    before = {name: getattr(current_app.conf, name) for name in ("task_always_eager",)}

    def tell(**values: Any) -> None:
        for name, value in values.items():
            before.setdefault(name, getattr(current_app.conf, name))
            setattr(current_app.conf, name, value)

    tell(task_always_eager=False)
    yield tell
    for name, value in before.items():
        setattr(current_app.conf, name, value)


@override_settings(CELERY_BROKER_URL=BROKER)
def test_our_celery_settings_keep_the_promises(celery: Callable[..., None]) -> None:
    assert ids(checks.check_celery) == []


@pytest.mark.parametrize(
    ("told", "number"),
    [
        ({"task_acks_late": False}, "W003"),
        ({"task_reject_on_worker_lost": False}, "W003"),
        ({"task_queues": None}, "W004"),
        ({"task_queues": ["lifecycle"]}, "W004"),
        ({"beat_scheduler": "celery.beat:PersistentScheduler"}, "W005"),
        ({"task_always_eager": True}, "W006"),
    ],
)
def test_a_celery_setting_that_breaks_a_promise_is_told_where_there_is_a_broker(
    celery: Callable[..., None], told: dict[str, Any], number: str
) -> None:
    celery(**told)
    with override_settings(CELERY_BROKER_URL=BROKER):
        assert ids(checks.check_celery) == [number]
    with override_settings(CELERY_BROKER_URL=""):
        assert ids(checks.check_celery) == []


@pytest.fixture
def bare_message() -> Iterator[type[messages.MessageType]]:
    """A message that brings no templates."""

    class Bare(messages.MessageType):
        NAME = "bare"
        title = "Bare"
        category = "reminder"

        @classmethod
        def owner(cls) -> str:
            return "email_automation"

    messages.register(Bare)
    yield Bare
    messages._messages.pop("bare")


def test_every_registered_message_has_its_templates() -> None:
    assert ids(checks.check_templates) == []


def test_each_missing_template_is_an_error_of_its_own(bare_message: Any) -> None:
    found = checks.check_templates(None)
    assert [entry.id for entry in found] == ["email_automation.E007"] * 5
    assert "email_automation/edx_ace/bare/email/from_name.txt is missing" in " ".join(entry.msg for entry in found)


def test_a_template_that_does_not_compile_is_an_error(bare_message: Any) -> None:
    source = {f"email_automation/edx_ace/bare/email/{part}": "fine" for part in checks.PARTS}
    source["email_automation/edx_ace/bare/email/body.html"] = "{% if x %}never ended"
    others = {
        f"{kind.owner()}/edx_ace/{kind.NAME}/email/{part}": "fine"
        for kind in messages.all_messages()
        for part in checks.PARTS
    }
    engine = settings.TEMPLATES[-1]
    loaders = [("django.template.loaders.locmem.Loader", others | source)]
    with override_settings(
        TEMPLATES=[{**engine, "APP_DIRS": False, "OPTIONS": {**engine["OPTIONS"], "loaders": loaders}}]
    ):
        (found,) = checks.check_templates(None)
    assert "bare/email/body.html does not compile" in found.msg


@pytest.mark.django_db
def test_the_default_site_has_a_row() -> None:
    factories.platform_site()
    assert ids(checks.check_site, databases=["default"]) == []
    with override_settings(SITE_ID=4711):
        assert ids(checks.check_site, databases=["default"]) == ["W007"]
        assert ids(checks.check_site, databases=[]) == []
        assert ids(checks.check_site) == []


@pytest.mark.django_db
def test_before_the_first_migration_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.db.backends.base.introspection.BaseDatabaseIntrospection.table_names", lambda self: [])
    with override_settings(SITE_ID=4711):
        assert ids(checks.check_site, databases=["default"]) == []


@pytest.mark.django_db
def test_it_is_asked_only_where_the_database_is_checked() -> None:
    Site.objects.filter(pk=settings.SITE_ID).delete()
    assert "email_automation.W007" not in {entry.id for entry in run_checks()}
    assert "email_automation.W007" in {entry.id for entry in run_checks(databases=["default"])}
