"""Every page of the admin, as four visitors see it. The pages are found in the admin's own URL patterns, and a row is
made for each model, so what is added to the admin is crawled without being named here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from itertools import count
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.sites import site as admin_site
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sites.models import Site
from django.core import mail
from django.db import connection, models
from django.db.models import fields as kinds
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, resolve, reverse
from django.utils import timezone
from factory.django import DjangoModelFactory

from tests import factories
from tests.subsidy_requests import factories as request_factories

pytestmark = pytest.mark.django_db

OURS = ("courses", "email_automation", "schedules", "license_notifications")
LARGE = (
    "emaillog", "emailqueue", "weeklyprogressreport", "emailpreference", "messagerun", "enterpriseadmin",
    "notificationtimestamp",
)  # fmt: skip
#: Whose rows nobody makes or deletes on their own pages.
WRITTEN_BY_THE_ENGINE = (
    "emaillog", "emailqueue", "messagerun", "weeklyprogressreport", "license", "notificationtimestamp",
    "notificationrun", "eventoutbox", "eventinbox", "autoenrolment",
)  # fmt: skip
#: What a list may cost; a related filter reads its choices, and so do the third parties' forms in it.
MOST_QUERIES = 12
#: Pages of the site itself, and what they answer a staff account without permissions.
SITE_PAGES = {
    "index": 200,
    "login": 302,
    "logout": 405,
    "password_change": 200,
    "password_change_done": 200,
    "autocomplete": 403,
    "jsi18n": 200,
}
WITH_ARGUMENTS = ("view_on_site", "app_list", None)

USUAL = ("changelist", "add", "history", "delete", "change")

number = count(1)


class Page(NamedTuple):
    """One page of a model's admin: what it is (`change`, `history`, or a name of its own) and where."""

    model: type[models.Model]
    kind: str
    url: str


def specimen(model: type[models.Model]) -> Any:
    """Store a row of any model: a factory's, or one whose required fields are filled by their kinds."""
    if found := FACTORIES.get(model):
        return found()
    values = {field.name: value_for(field) for field in model._meta.concrete_fields if is_wanted(field)}
    row = model(**values | FURTHER.get(model._meta.label, dict)())
    row.save()
    return row


def is_wanted(field: Any) -> bool:
    """Whether a row needs a value in a column, or might show another row because of it."""
    if field.is_relation and field.model._meta.app_label in OURS:
        return True
    return not (field.primary_key or field.generated or field.has_default() or field.null or field.auto_created)


def value_for(field: Any) -> Any:
    if field.name in NAMES:
        return NAMES[field.name]
    if field.is_relation:
        shared = field.related_model is Site and not field.unique
        return Site.objects.get_current() if shared else specimen(field.related_model)
    if field.choices:
        return field.flatchoices[0][0]
    match field:
        case kinds.CharField() | kinds.TextField():
            return f"x{next(number)}"
        case kinds.DateTimeField():
            return timezone.now() + timedelta(minutes=next(number))
        case kinds.DateField():
            return timezone.now().date() + timedelta(days=next(number))
        case kinds.BooleanField():
            return True
        case kinds.UUIDField():
            return uuid4()
        case kinds.BinaryField():
            return b"x"
        case _:
            return next(number)


FACTORIES: dict[Any, type[DjangoModelFactory]] = {
    one._meta.model: one
    for module in (factories, request_factories)
    for _, one in inspect.getmembers(module, inspect.isclass)
    if issubclass(one, DjangoModelFactory) and one._meta.model is not None
}
#: Columns that name something that must exist.
NAMES = {"email_type": "enrollment", "message": "email_automation.enrollment"}
#: What a table of somebody else's asks for besides.
FURTHER: dict[str, Any] = {
    "django_celery_beat.PeriodicTask": lambda: {
        "interval": apps.get_model("django_celery_beat", "IntervalSchedule").objects.create(every=1, period="days")
    },
    "django_celery_beat.SolarSchedule": lambda: {"latitude": next(number) / 100, "longitude": 1},
}


def pages(model: type[models.Model], row: Any) -> Iterator[Page]:
    """The named pages of a model; the first argument of an address is the row, a second one its newest version."""
    prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
    for pattern in admin_site._registry[model].get_urls():
        if pattern.name:
            versions = getattr(row, "history", None)
            arguments = [row.pk, versions.latest("history_id").pk if versions is not None else 0]
            yield Page(
                model,
                pattern.name.removeprefix(prefix),
                reverse(f"admin:{pattern.name}", args=arguments[: arguments_of(pattern)]),
            )


def arguments_of(pattern: URLPattern) -> int:
    return len(pattern.pattern.converters) or pattern.pattern.regex.groups


@pytest.fixture
def rows(db: None) -> dict[type[models.Model], Any]:
    """A row of every model in the admin."""
    return {model: specimen(model) for model in admin_site._registry}


@pytest.fixture
def crawled(rows: dict[type[models.Model], Any]) -> list[Page]:
    """Every page of every model."""
    return [page for model, row in rows.items() for page in pages(model, row)]


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(factories.UserFactory(admin=True))
    return client


def staff(*permissions: Permission) -> Client:
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.set(permissions)
    client = Client()
    client.force_login(user)
    return client


def viewer() -> Client:
    return staff(*Permission.objects.filter(codename__startswith="view_"))


def everything() -> dict[str, list[Any]]:
    """What is stored in every table of the admin and in its history, and what was mailed."""
    tables = [*admin_site._registry, LogEntry]
    stored = {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in tables}
    # Visiting a page as somebody changes nothing else of that person.
    for user in stored["accounts.User"]:
        del user["last_login"]
    return {**stored, "mail": list(mail.outbox)}


def attempts(rows: dict[type[models.Model], Any], page: Page) -> list[dict[str, Any]]:
    """Forms with which somebody might try to change something on a page."""
    actions = ["delete_selected", *(admin_site._registry[page.model].actions or ())]
    names = [getattr(action, "__name__", action) for action in actions]
    sure = {"post": "yes", "confirmed": "yes", "value": "0" * 32, "index": "0", "_selected_action": rows[page.model].pk}
    return [{"_save": "Save"}, *({"action": name, **sure} for name in names)]


class Forms(HTMLParser):
    """The forms of a page that post, but for logging out: (address, fields) for each button, everything ticked."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.found = url, list[tuple[str, dict[str, str]]]()
        self._action, self._fields, self._buttons = "", dict[str, str](), list[tuple[str, dict[str, str]]]()
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method", "").lower() == "post" and given.get("id") != "logout-form":
            self._open, self._action = True, given.get("action") or self.url
            self._fields, self._buttons = {}, []
        elif self._open and tag in ("input", "button"):
            own = {given["name"]: given.get("value", "")} if given.get("name") else {}
            if given.get("type", "submit" if tag == "button" else "text") in ("submit", "image"):
                self._buttons.append((given.get("formaction") or "", own))
            else:
                self._fields |= own

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._open:
            self._open = False
            self.found += [(action or self._action, self._fields | own) for action, own in self._buttons]


def forms_of(url: str, html: str) -> list[tuple[str, dict[str, str]]]:
    parser = Forms(url)
    parser.feed(html)
    return parser.found


def test_there_is_something_to_crawl(crawled: list[Page]) -> None:
    assert {page.kind for page in crawled} >= {"changelist", "add", "history", "delete", "change", "explain", "again"}
    ours = {model for app in OURS for model in apps.get_app_config(app).models}
    assert set(LARGE) <= ours
    assert len(crawled) >= 5 * len(admin_site._registry)


def test_the_anonymous_and_learners_are_asked_to_log_in(crawled: list[Page]) -> None:
    nobody, learner = Client(), Client()
    learner.force_login(factories.UserFactory())
    for page in crawled:
        for visitor in (nobody, learner):
            for response in (visitor.get(page.url), visitor.post(page.url, {"post": "yes"})):
                assert response.status_code == 302, page.url
                assert response["Location"].startswith("/admin/login/?next="), page.url


def test_staff_without_permissions_see_and_change_nothing(
    rows: dict[type[models.Model], Any], crawled: list[Page]
) -> None:
    powerless, answers = staff(), set()
    before = everything()
    for page in crawled:
        # A page that takes a POST alone may say so first.
        assert powerless.get(page.url).status_code in ((403,) if page.kind in USUAL else (403, 405)), page.url
        for data in attempts(rows, page):
            response = powerless.post(page.url, data)
            assert response.status_code == 403, page.url
            answers.add(response.content)
    # One answer for all of them can hold nothing of any.
    assert len(answers) == 1
    assert everything() == before


def test_who_may_only_look_sees_every_list_and_finds_no_way_to_change_anything(
    rows: dict[type[models.Model], Any], crawled: list[Page]
) -> None:
    looking = viewer()
    before = everything()
    for page in crawled:
        response = looking.get(page.url)
        if page.kind in ("changelist", "change", "history"):
            assert response.status_code == 200, page.url
        else:
            assert response.status_code in (200, 403, 405), page.url
        for address, fields in forms_of(page.url, response.content.decode()):
            looking.post(address, fields)
        for data in attempts(rows, page):
            assert looking.post(page.url, data).status_code in (200, 302, 403), page.url
    assert everything() == before


def test_who_may_everything_sees_every_page(crawled: list[Page], root: Client) -> None:
    request = RequestFactory().get("/")
    request.user = factories.UserFactory(admin=True)
    for page in crawled:
        admin: ModelAdmin = admin_site._registry[page.model]
        # Some answer for their own pages otherwise than for those from which a row goes together with its learner.
        request.resolver_match = resolve(page.url)
        allowed = {
            "add": admin.has_add_permission(request),
            "delete": admin.has_delete_permission(request),
        }
        wanted = 200 if allowed.get(page.kind, True) else 403
        assert root.get(page.url).status_code in ((wanted,) if page.kind in USUAL else (200, 405)), page.url
        if page.model._meta.model_name in WRITTEN_BY_THE_ENGINE and page.kind in allowed:
            assert wanted == 403, page.url


@pytest.mark.parametrize("visitor", ["nobody", "powerless", "root"])
def test_the_pages_of_the_site_itself_are_for_staff_and_tell_who_may_nothing_nothing(visitor: str) -> None:
    names = {pattern.name for pattern in admin_site.get_urls() if isinstance(pattern, URLPattern)}
    assert names == {*SITE_PAGES, *WITH_ARGUMENTS}
    row = factories.EnrollmentFactory()
    client = {"nobody": Client, "powerless": staff, "root": lambda: staff(*Permission.objects.all())}[visitor]()
    for name, status in SITE_PAGES.items():
        response = client.get(reverse(f"admin:{name}"))
        if visitor == "nobody":
            assert response.status_code == (200 if name == "login" else 302), name
        elif visitor == "powerless":
            assert response.status_code == status, name
            assert row.user.username not in response.content.decode()
    for app in {model._meta.app_label for model in admin_site._registry}:
        wanted = {"nobody": 302, "powerless": 404, "root": 200}[visitor]
        assert client.get(reverse("admin:app_list", args=[app])).status_code == wanted, app
    own = reverse("admin:view_on_site", args=[ContentType.objects.get_for_model(row).pk, row.pk])
    for address in (own, "/admin/nowhere/"):
        assert client.get(address).status_code == (302 if visitor == "nobody" else 404)


def test_fields_that_complete_themselves_tell_only_who_may_look(rows: dict[type[models.Model], Any]) -> None:
    found = {(model, name) for model, admin in admin_site._registry.items() for name in admin.autocomplete_fields}
    assert found
    visitors = ((Client(), 302), (staff(), 403), (viewer(), 200))
    for model, name in found:
        query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": name}
        for visitor, status in visitors:
            assert visitor.get(reverse("admin:autocomplete"), query).status_code == status, query


@pytest.mark.parametrize("model", admin_site._registry, ids=lambda model: model._meta.label)
def test_a_list_costs_few_queries_whatever_its_length(root: Client, model: type[models.Model]) -> None:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    costs = {}
    for more in (1, 59):
        for _ in range(more):
            specimen(model)
        root.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert root.get(url).status_code == 200
        costs[model._base_manager.count()] = [query["sql"] for query in queries]
    few, many = costs.values()
    assert len(few) == len(many) <= MOST_QUERIES
    counted = re.compile(
        rf"COUNT\(.*(?:email_automation|license_notifications)_({'|'.join(LARGE)})\b", re.IGNORECASE | re.DOTALL
    )
    assert [sql for sql in many if counted.search(sql)] == []
