"""Edited templates in the mail that is sent."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core import mail
from django.db import connection, transaction
from django.template import TemplateDoesNotExist, engines
from django.template.loader import get_template
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from email_automation.models import EmailLog, EmailTemplate
from email_automation.pipeline import dispatch, message
from email_automation.pipeline.delivery import deliver
from email_automation.templating import stored
from email_automation.templating.errors import TemplateError
from tests.message_factories import CourseUpdate

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]
KIND = message.get("courseupdate")
FOLDER = "schedules/edx_ace/courseupdate/email"
DAY = date(2017, 8, 1)
HTML = '<h2>Mine for {{ user.first_name }}</h2><p>{{ course_name }}</p><a class="button" href="{{ cta_url }}">Go</a>'


@pytest.fixture
def site() -> Site:
    return Site.objects.get(pk=django_settings.SITE_ID)


@pytest.fixture
def factory(site: Site) -> CourseUpdate:
    made = CourseUpdate()
    made.switch(site, enqueue=True, deliver=True)
    return made


@pytest.fixture
def send(factory: CourseUpdate, site: Site) -> Any:
    """Send the update to one new learner and return the mail."""

    def sent(language: str = "", **names: str) -> Any:
        (person,) = factory.due(1, day=DAY, site=site, language=language)
        type(person).objects.filter(pk=person.pk).update(**names)
        assert dispatch.run_daily(KIND, site.pk, day=DAY).sent == 1
        return mail.outbox.pop()

    return sent


def row(**fields: Any) -> EmailTemplate:
    given = {
        "name": "Mine",
        "email_type": "courseupdate",
        "subject": "Mine: {{ user.first_name }}",
        "html_content": HTML,
    }
    made = EmailTemplate(**given | fields)
    made.full_clean()
    made.save()
    return made


def html_of(sent: Any) -> str:
    return str(sent.alternatives[0][0])


# Acceptance


def test_a_row_takes_the_place_of_the_files(send: Any) -> None:
    row(language="en")
    sent = send()
    assert sent.subject == "Mine: Ada"
    assert "<title>Mine: Ada</title>" in html_of(sent)
    assert ">Mine for Ada</h2>" in html_of(sent)
    assert "Mine for Ada\n\nCourse" in sent.body


def test_frame_footer_and_unsubscribe_link_stay_around_it(send: Any) -> None:
    plain = send()
    row(language="en")
    sent = send()
    for text in (html_of(sent), sent.body):
        assert "You are getting this email because you enrolled in a self-paced course at" in text
        assert re.search(r"https://\S+/email/unsubscribe/", text)
        assert re.search(r"https://\S+/email/preferences/", text)
        assert "Welcome to week" not in text and "Earn a certificate" not in text and "Hi Ada" not in text
    assert sent.from_email == plain.from_email
    assert html_of(sent).count("<!DOCTYPE") == html_of(sent).count("</html>") == 1
    assert sent.body.count("\n\n\n") == 0
    assert set(sent.extra_headers) == set(plain.extra_headers)


def test_case_017_a_row_for_en_leaves_spanish_mail_alone_and_one_for_all_does_not(send: Any) -> None:
    row(language="en", subject="English row")
    assert send("es").subject.startswith("Semana 1 del curso ")
    row(language="", subject="Row for all")
    assert send("es").subject == "Row for all"
    assert send("en").subject == "English row"
    row(language="es", subject="Fila")
    assert send("es").subject == "Fila"
    assert send("fr").subject == "Row for all"


def test_case_016_a_name_is_escaped_once_in_html_and_stands_as_it_is_in_text(send: Any) -> None:
    row(language="en", text_content="Hello {{ user.first_name }}")
    sent = send(first_name='Ann <b> & "co"')
    assert sent.subject == 'Mine: Ann <b> & "co"'
    assert 'Hello Ann <b> & "co"\n' in sent.body
    assert ">Mine for Ann &lt;b&gt; &amp; &quot;co&quot;</h2>" in html_of(sent)
    assert "<title>Mine: Ann &lt;b&gt; &amp; &quot;co&quot;</title>" in html_of(sent)
    assert "&amp;amp;" not in html_of(sent) and "&amp;lt;" not in html_of(sent)


def test_a_text_made_from_the_html_is_not_escaped(send: Any) -> None:
    row(language="en")
    assert 'Mine for Ann <b> & "co"\n' in send(first_name='Ann <b> & "co"').body


def test_a_name_with_line_breaks_adds_no_header(send: Any) -> None:
    row(language="en")
    sent = send(first_name="Ann\r\nBcc: eve@example.com")
    assert sent.subject == "Mine: Ann Bcc: eve@example.com"
    assert "\nBcc" not in sent.message().as_string().partition("\n\n")[0]


def test_case_009_what_is_edited_between_planning_and_sending_is_used(
    factory: CourseUpdate, site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = row(language="en", subject="Before")
    stored.refresh()
    settings.CELERY_BROKER_URL = "memory://"
    monkeypatch.setattr("email_automation.pipeline.wake.current_app.send_task", lambda *args, **kwargs: None)
    factory.due(1, day=DAY, site=site)
    dispatch.run_daily(KIND, site.pk, day=DAY)
    made.subject = "After"
    made.save()
    deliver(EmailLog.objects.values_list("pk", flat=True))
    assert [sent.subject for sent in mail.outbox] == ["After"]


@pytest.mark.parametrize(
    "change",
    [
        {"html_content": "{% load x %}"},
        {"html_content": "<script>a()</script>"},
        {"html_content": "<p>a</p></table>"},
        {"subject": "{{ a"},
        {"text_content": "{% if user %}"},
    ],
)
def test_a_row_that_came_in_unchecked_and_is_broken_leaves_the_files_in_use(
    send: Any, caplog: pytest.LogCaptureFixture, change: dict[str, str]
) -> None:
    made = row(language="en")
    EmailTemplate.objects.filter(pk=made.pk).update(**change)
    assert send().subject.startswith("Week 1 of ")
    assert send().subject.startswith("Week 1 of ")
    told = [record for record in caplog.records if f"email_template={made.pk} " in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"]
    EmailTemplate.objects.filter(pk=made.pk).update(subject="{% broken %}")
    send()
    assert len([record for record in caplog.records if f"email_template={made.pk} " in record.getMessage()]) == 2
    EmailTemplate.objects.filter(pk=made.pk).update(subject="Mended", html_content="<p>a</p>", text_content="")
    assert send().subject == "Mended"


def test_a_row_of_a_message_nobody_knows_stops_nothing(send: Any) -> None:
    EmailTemplate.objects.create(name="x", email_type="gone", subject="S", html_content="<p>a</p>")
    assert send().subject.startswith("Week 1 of ")


def test_an_invalid_edit_leaves_the_last_good_version_in_use(send: Any) -> None:
    made = row(language="en")
    made.html_content = "{{ nowhere }}"
    with pytest.raises(Exception, match="nowhere: no such variable"):
        made.full_clean()
    assert ">Mine for Ada</h2>" in html_of(send())


def test_a_template_that_explodes_for_real_values_stops_this_mail_with_a_reason(
    factory: CourseUpdate, site: Site
) -> None:
    made = row(language="en")
    EmailTemplate.objects.filter(pk=made.pk).update(
        html_content="{% for a in week_highlights %}" * 14 + "x" + "{% endfor %}" * 14
    )
    factory.due(1, day=DAY, site=site)
    assert not dispatch.run_daily(KIND, site.pk, day=DAY).ok
    log = EmailLog.objects.get()
    assert (log.status, log.reason) == ("pending", "render_error")
    assert "the template takes too many steps" in log.error_message


# Which rows count


def test_stock_and_inactive_rows_are_not_consulted(send: Any) -> None:
    row(language="en", is_active=False)
    stock = row(language="en", is_stock=True)
    assert send().subject.startswith("Week 1 of ")
    stock.subject = "Edited"
    stock.save()
    assert send().subject == "Edited"


def test_a_deleted_or_rolled_back_row_is_forgotten(send: Any) -> None:
    made = row(language="en")
    assert send().subject == "Mine: Ada"
    made.delete()
    assert send().subject.startswith("Week 1 of ")
    with transaction.atomic():
        row(language="en", subject="Never")
        stored.refresh()
        assert stored.current("courseupdate", "en")
        transaction.set_rollback(True)
    stored.refresh()
    assert stored.current("courseupdate", "en") is None


def test_an_update_of_many_rows_is_noticed_too(send: Any) -> None:
    made = row(language="en")
    assert send().subject == "Mine: Ada"
    EmailTemplate.objects.filter(pk=made.pk).update(subject="Updated")
    assert send().subject == "Updated"
    EmailTemplate.objects.filter(pk=made.pk).update(email_type="enrollment")
    assert send().subject.startswith("Week 1 of ")


def test_using_a_row_holds_for_its_message_in_this_thread_only() -> None:
    made, seen = row(language="es", is_active=False, subject="Forced"), []

    def subject() -> str:
        with translation.override("en"):
            return get_template(f"{FOLDER}/subject.txt").render({"week_num": 1, "course_name": "C"}).strip()

    with stored.using(made):
        thread = threading.Thread(target=lambda: seen.append(subject()))
        thread.start()
        thread.join()
        assert subject() == "Forced"
        assert stored.current("enrollment", "en") is None
    assert [subject(), *seen] == ["Week 1 of C"] * 2
    made.subject = "{{"
    with pytest.raises(TemplateError, match="subject: a stray"), stored.using(made):
        pass


def test_only_what_has_changed_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    original = stored._compiled
    monkeypatch.setattr(stored, "_compiled", lambda made: compiled.append(made.pk) or original(made))
    first, second = row(language="en"), row(language="es")
    stored.refresh()
    stored.refresh()
    second.subject = "New"
    second.save()
    stored.refresh()
    assert compiled == [first.pk, second.pk, second.pk]


def test_a_child_process_can_refresh_while_a_thread_of_its_parent_was_doing_so() -> None:
    with stored._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if stored._lock.acquire(timeout=2) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# What it costs


def statements(act: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def test_a_refresh_is_one_statement_and_one_more_when_something_changed(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        stored.refresh()
    for language in ("", "en", "es"):
        row(language=language)
    with django_assert_num_queries(2):
        stored.refresh()
    with django_assert_num_queries(1):
        stored.refresh()


def test_an_edited_mail_asks_the_database_nothing_more(factory: CourseUpdate, site: Site) -> None:
    def counted(people: int) -> int:
        factory.due(people, day=DAY, site=site)
        return statements(lambda: dispatch.run_daily(KIND, site.pk, day=DAY))

    counted(1)
    without = [counted(1), counted(9)]
    row(language="en")
    counted(1)
    assert [counted(1), counted(9)] == without


def test_a_page_asks_the_database_nothing(django_assert_num_queries: Any) -> None:
    row(language="en")
    stored.refresh()
    with django_assert_num_queries(0), translation.override("en"):
        for part in ("subject.txt", "from_name.txt", "head.html", "body.html", "body.txt"):
            get_template(f"{FOLDER}/{part}").render(dict(KIND.variables))
        get_template("email_automation/pages/status.html")


# The backend


@pytest.fixture
def known() -> Iterator[None]:
    """Have the process know a row for all languages of every message."""
    for kind in message.all_messages():
        row(email_type=kind.NAME, subject="S", html_content="<p>a</p>")
    stored.refresh()
    yield


@pytest.mark.parametrize(
    "name",
    [
        f"{FOLDER}/from_name.txt",
        f"{FOLDER}/body.xhtml",
        f"{FOLDER}/../email/body.html",
        "schedules/edx_ace/courseupdate/push/body.txt",
        "email_automation/edx_ace/courseupdate/email/body.html",
        "schedules/edx_ace/nothing/email/body.html",
        "schedules/edx_ace/base/body.html",
        "registration/login.html",
        "courseupdate",
        "",
    ],
)
def test_it_answers_for_nothing_else(known: None, name: str) -> None:
    with pytest.raises(TemplateDoesNotExist):
        engines["edited"].get_template(name)


def test_it_answers_for_every_message_and_part(known: None) -> None:
    for kind in message.all_messages():
        for part in ("subject.txt", "head.html", "body.html", "body.txt"):
            assert engines["edited"].get_template(f"{kind.owner()}/edx_ace/{kind.NAME}/email/{part}")


def test_it_answers_in_no_language_too(known: None) -> None:
    with translation.override(None):
        assert get_template(f"{FOLDER}/subject.txt").render({}) == "S"


def test_threads_render_one_template_at_once(known: None) -> None:
    with translation.override("en"):
        template = get_template(f"{FOLDER}/body.txt")
    results: list[str] = []
    values = {**KIND.variables, "brand": {}, "site_name": "S", "user": {"first_name": "Ada"}}
    threads = [threading.Thread(target=lambda: results.append(template.render(values))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1
