"""System checks of the engine: misconfiguration is told at start-up, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from celery import current_app
from django.conf import settings
from django.contrib.sites.models import Site
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router
from django.db.models import Model
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template
from django.utils.module_loading import import_string

from . import webhooks, words
from .conf import setting
from .pipeline import message as messages

CHANNELS: Final = "openedx.ace.channel"
POLICY: Final = "bulk_email_optout"
PARTS: Final = ("subject.txt", "from_name.txt", "body.txt", "head.html", "body.html")
SMTP: Final = "smtp.EmailBackend"
#: More would only be more in doubt when a worker dies.
MOST_IN_FLIGHT = 500
#: With more a statement gets long and nothing gets faster; switches and consent are read once for so many.
MOST_IN_A_BATCH = 1000
MAIL_CHANNEL_SETTINGS: Final = ("ACE_CHANNEL_DEFAULT_EMAIL", "ACE_CHANNEL_TRANSACTIONAL_EMAIL")
PROVIDERS: Final = "anymail.backends."
DATABASE_SCHEDULER: Final = "django_celery_beat.schedulers"
EDITED_TEMPLATES: Final = "email_automation.templating.backend.EditedTemplates"
FILE_TEMPLATES: Final = ".DjangoTemplates"

# There is no check of app labels: Django itself refuses to start while two apps have the same one.


@register()
def check_channels(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every enabled channel exists, and the one for e-mail is enabled."""
    enabled = list(getattr(settings, "ACE_ENABLED_CHANNELS", None) or [])
    known = sorted({point.name for point in entry_points(group=CHANNELS)})
    found: list[CheckMessage] = [
        Error(
            f"ACE_ENABLED_CHANNELS names {name!r}, which no installed package provides.",
            hint=f"Choose from: {', '.join(known)}.",
            id="email_automation.E001",
        )
        for name in enabled
        if name not in known
    ]
    for setting_name in MAIL_CHANNEL_SETTINGS:
        name = getattr(settings, setting_name, None)
        if name not in enabled:
            found.append(
                Error(
                    f"{setting_name} is {name!r}, which is not in ACE_ENABLED_CHANNELS, so no e-mail goes out by it.",
                    hint=f"Enabled are: {', '.join(enabled) or 'none'}. ACE_ENABLED_CHANNEL sets all three at once.",
                    id="email_automation.E002",
                )
            )
    return found


@register()
def check_policy(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Mail that a host sends by `ace.send()` asks for consent too."""
    if POLICY in (getattr(settings, "ACE_ENABLED_POLICIES", None) or []):
        return []
    return [
        Warning(
            f"The policy {POLICY!r} is not enabled, so mail sent by ace.send() ignores what people opted out of.",
            hint=f'Add "{POLICY}" to ACE_ENABLED_POLICIES.',
            id="email_automation.W001",
        )
    ]


@register()
def check_timeout(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A silent mail server must not hold a worker for ever."""
    if not settings.EMAIL_BACKEND.endswith(SMTP) or settings.EMAIL_TIMEOUT:
        return []
    return [
        Warning(
            "EMAIL_TIMEOUT is not set, so a mail server that falls silent holds a worker for ever.",
            hint="Set EMAIL_TIMEOUT to seconds, for example 30; it must be shorter than a mail's lease (300).",
            id="email_automation.W002",
        )
    ]


@register()
def check_values(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The engine's own settings have usable values."""
    rules: list[tuple[str, Callable[[Any], bool], str, str]] = [
        ("EMAIL_LOG_DAYS", lambda value: _is_whole(value, at_least=1), "a whole number of at least 1", "E003"),
        (
            "EMAIL_LOG_CONTENT_DAYS",
            lambda value: _is_whole(value, at_least=0),
            "a whole number of at least 0; 0 keeps no content",
            "E004",
        ),
        (
            "EMAIL_BATCH_SIZE",
            lambda value: _is_whole(value, at_least=1) and value <= MOST_IN_A_BATCH,
            f"a whole number from 1 to {MOST_IN_A_BATCH}",
            "E042",
        ),
        (
            "EMAIL_IN_FLIGHT",
            lambda value: _is_whole(value, at_least=1) and value <= MOST_IN_FLIGHT,
            f"a whole number from 1 to {MOST_IN_FLIGHT}; 1 waits for each answer",
            "E040",
        ),
        (
            "EMAIL_MAILS_PER_CONNECTION",
            lambda value: _is_whole(value, at_least=1),
            "a whole number of at least 1",
            "E041",
        ),
        ("EMAIL_RATE_PER_SECOND", _is_rate, "a number above 0, or None for no limit", "E005"),
    ]
    return [
        Error(
            f"{name} is {setting(name)!r}, which the engine cannot use.",
            hint=f"Set it to {allowed}.",
            id=f"email_automation.{number}",
        )
        for name, holds, allowed, number in rules
        if not holds(setting(name))
    ]


def _is_whole(value: Any, *, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _is_rate(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0)


@register()
def check_alert_sinks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every alert sink is a function that can be imported: an alert is the wrong moment to find out."""
    sinks = setting("ALERT_SINKS")
    if not isinstance(sinks, list | tuple):
        problems = [f"ALERT_SINKS is {sinks!r}, not a list."]
    else:
        problems = [problem for path in sinks for problem in _sink_problem(path)]
    return [
        Error(
            problem,
            hint='Give dotted paths of functions, for example ["monitoring.alerts.page"]; empty means log and ADMINS.',
            id="email_automation.E006",
        )
        for problem in problems
    ]


def _sink_problem(path: Any) -> Iterable[str]:
    try:
        sink = import_string(path)
    except (ImportError, AttributeError, TypeError) as error:
        yield f"ALERT_SINKS names {path!r}, which cannot be imported ({type(error).__name__})."
    else:
        if not callable(sink):
            yield f"ALERT_SINKS names {path!r}, which cannot be called."


@register()
def check_celery(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """With a broker, Celery keeps what the engine promises."""
    if not setting("CELERY_BROKER_URL"):
        return []
    conf = current_app.conf
    queues = {getattr(queue, "name", queue) for queue in conf.task_queues or ()}
    missing = sorted({words.TRANSACTIONAL_QUEUE, words.LIFECYCLE_QUEUE} - queues)
    rules: list[tuple[bool, str, str, str]] = [
        (
            bool(conf.task_acks_late and conf.task_reject_on_worker_lost),
            "Celery takes a task off the queue before it is done, so what a killed worker held waits for the sweep.",
            "Set CELERY_TASK_ACKS_LATE and CELERY_TASK_REJECT_ON_WORKER_LOST to True.",
            "W003",
        ),
        (
            not missing,
            f"Workers do not serve the queue {', '.join(missing)}, so mail waits there for the sweep.",
            "List transactional and lifecycle in CELERY_TASK_QUEUES.",
            "W004",
        ),
        (
            str(conf.beat_scheduler).startswith(DATABASE_SCHEDULER),
            "Celery beat does not read its entries from the database, where setup_email_automation puts them.",
            'Set CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler".',
            "W005",
        ),
        (
            not conf.task_always_eager,
            "Tasks run in the process that creates them although there is a broker, so a page waits for the mails.",
            "Leave CELERY_TASK_ALWAYS_EAGER out.",
            "W006",
        ),
    ]
    return [
        Warning(text, hint=hint, id=f"email_automation.{number}") for holds, text, hint, number in rules if not holds
    ]


@register(Tags.templates)
def check_templates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every message has its five templates, and they compile."""
    return [
        Error(
            f"{kind.label()}: the template {name} {problem}.",
            hint=f"A message needs {', '.join(PARTS)} in templates/{kind.owner()}/edx_ace/{kind.NAME}/email/.",
            id="email_automation.E007",
        )
        for kind in messages.all_messages()
        for name in (f"{kind.owner()}/edx_ace/{kind.NAME}/email/{part}" for part in PARTS)
        for problem in _template_problem(name)
    ]


def _template_problem(name: str) -> Iterable[str]:
    try:
        get_template(name)
    except TemplateDoesNotExist:
        yield "is missing"
    except TemplateSyntaxError as error:
        yield f"does not compile ({error})"


@register(Tags.templates)
def check_edited_templates(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What people edit is asked before the files."""
    backends = [str(entry.get("BACKEND")) for entry in settings.TEMPLATES]
    before = next((at for at, backend in enumerate(backends) if backend.endswith(FILE_TEMPLATES)), len(backends))
    if EDITED_TEMPLATES in backends[:before]:
        return []
    return [
        Warning(
            "The backend of edited templates is missing from TEMPLATES, or not before the ordinary one, so mail says "
            "what the files say, whatever people have edited.",
            hint=f'Put {{"BACKEND": "{EDITED_TEMPLATES}", "NAME": "edited"}} first in TEMPLATES.',
            id="email_automation.W008",
        )
    ]


def readable(model: type[Model], databases: Sequence[str] | None) -> str | None:
    """Return the database a check may read a model's table from; None where it is not checked or has no table yet."""
    alias = router.db_for_read(model) or "default"
    if alias not in (databases or ()) or model._meta.db_table not in connections[alias].introspection.table_names():
        return None
    return alias


def in_use(model: type[Model], databases: Sequence[str] | None) -> bool:
    """Return whether a model's table has rows, so that what only they need is missed; False where it is not checked."""
    alias = readable(model, databases)
    return alias is not None and model._default_manager.using(alias).exists()


@register(Tags.database)
def check_site(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """The default site exists, once there are tables: mail about courses of no site in particular is its."""
    alias = readable(Site, databases)
    if alias is None:
        return []
    site_id = getattr(settings, "SITE_ID", None)
    if site_id is not None and Site.objects.using(alias).filter(pk=site_id).exists():
        return []
    return [
        # Not an error: migrations must still run, and the admin is where the row is added.
        Warning(
            f"SITE_ID is {site_id!r}, and there is no such site, so mail that belongs to no other site cannot be sent.",
            hint="Add the site in the admin, or set SITE_ID to the id of one that exists.",
            id="email_automation.W007",
        )
    ]


@register()
def check_webhooks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A provider that sends our mail can tell us what became of it."""
    if not settings.EMAIL_BACKEND.startswith(PROVIDERS):
        return []
    secrets = webhooks.secrets()
    if not secrets:
        return [
            Warning(
                "ANYMAIL has no WEBHOOK_SECRET, so nothing that the provider reports is taken in: a bounced address "
                "goes on being mailed.",
                hint="Set ANYMAIL_WEBHOOK_SECRET to two random texts with a colon between them, and give the provider "
                "https://<secret>@<domain>/email/webhooks/<provider>/tracking/.",
                id="email_automation.W009",
            )
        ]
    return [
        Warning(
            "ANYMAIL's WEBHOOK_SECRET has no colon, so no provider can send it: it is a user name and a password.",
            hint="Write it as <random text>:<random text>.",
            id="email_automation.W010",
        )
        for secret in secrets
        if ":" not in secret
    ]
