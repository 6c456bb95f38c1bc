"""The pages that links in mails lead to: unsubscribe, preferences, test mail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.template import engines
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

import email_automation
from email_automation import consent, words
from email_automation.models import CourseOptOut, EmailPreference
from tests import factories
from tests.mail.catalogue import entries, msgids

pytestmark = pytest.mark.django_db

ONE_CLICK = "List-Unsubscribe=One-Click"
APP = Path(email_automation.__file__).parent
TEMPLATES, LOCALE = APP / "templates", APP / "locale"
GUARDS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory()


@pytest.fixture
def visitor() -> Client:
    """A browser or a provider: no cookies, and CSRF is checked as in life."""
    return Client(enforce_csrf_checks=True)


def stop_url(user: Any, category: str = "reminder") -> str:
    token = consent.unsubscribe_token(user.pk, category, EmailPreference.of(user.pk).token_epochs)
    return reverse("email_automation:unsubscribe", args=[token])


def choice_url(user: Any) -> str:
    return reverse("email_automation:preferences", args=[consent.preferences_token(user.pk)])


def accepts(user: Any, category: str = "reminder") -> bool:
    return EmailPreference.of(user.pk).accepts(category)


def sources(user: Any) -> list[str]:
    rows = EmailPreference.history.filter(user_id=user.pk).order_by("history_id")
    return list(rows.values_list("history_change_reason", flat=True))


def shown(html: str) -> str:
    found = re.search(r'name="shown" value="([^"]*)"', html)
    assert found
    return found[1]


def ticked(html: str) -> set[str]:
    return set(re.findall(r'<input type="checkbox" name="([^"]+)" checked', html))


class TestUnsubscribe:
    def test_a_hundred_reads_by_a_scanner_change_nothing(self, visitor: Client, ann: Any) -> None:
        url = stop_url(ann)
        for _ in range(50):
            visitor.get(url)
            visitor.head(url)
        assert not EmailPreference.objects.exists()
        assert visitor.post(url).status_code == 200
        assert not accepts(ann)

    def test_the_page_names_the_category_and_has_one_button(self, visitor: Client, ann: Any) -> None:
        page = visitor.get(stop_url(ann)).content.decode()
        assert "course reminders and highlights" in page
        assert page.count("<button") == 1
        assert page.count("<form") == 1
        assert reverse("email_automation:own-preferences") in page
        assert "<script" not in page

    def test_its_link_to_the_preferences_holds_no_token(self, visitor: Client, ann: Any) -> None:
        # An unsubscribe link can do nothing but unsubscribe, so it must not hand out a stronger one.
        assert consent.preferences_token(ann.pk) not in visitor.get(stop_url(ann)).content.decode()

    def test_case_018_one_click_opts_out_with_no_cookie_redirect_or_login(self, visitor: Client, ann: Any) -> None:
        response = visitor.post(stop_url(ann), ONE_CLICK, content_type="application/x-www-form-urlencoded")
        assert response.status_code == 200
        assert not response.cookies
        assert not accepts(ann)
        assert all(accepts(ann, category) for category in words.CATEGORIES if category != "reminder")
        assert sources(ann) == ["one-click"]

    @pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream", "application/json", "x"])
    def test_one_click_works_with_any_content_type_or_none(self, visitor: Client, ann: Any, content_type: str) -> None:
        response = visitor.generic("POST", stop_url(ann), ONE_CLICK, content_type=content_type)
        assert response.status_code == 200
        assert sources(ann) == ["one-click"]

    def test_one_click_works_as_a_multipart_form(self, visitor: Client, ann: Any) -> None:
        assert visitor.post(stop_url(ann), {"List-Unsubscribe": "One-Click"}).status_code == 200
        assert sources(ann) == ["one-click"]

    def test_a_broken_multipart_body_still_unsubscribes(self, visitor: Client, ann: Any) -> None:
        assert visitor.generic("POST", stop_url(ann), "x", content_type="multipart/form-data").status_code == 200
        assert not accepts(ann)

    def test_the_button_is_told_apart_from_one_click(self, visitor: Client, ann: Any) -> None:
        response = visitor.post(stop_url(ann))
        assert response.status_code == 200
        assert 'role="status"' in response.content.decode()
        assert sources(ann) == ["unsubscribe page"]

    def test_a_second_post_changes_nothing_more(self, visitor: Client, ann: Any) -> None:
        for _ in range(3):
            assert visitor.post(stop_url(ann), ONE_CLICK, content_type="text/plain").status_code == 200
        assert sources(ann) == ["one-click"]
        assert "You are unsubscribed" in visitor.get(stop_url(ann)).content.decode()

    def test_it_works_with_a_logged_in_persons_cookies_too_and_for_the_tokens_owner(
        self, visitor: Client, ann: Any
    ) -> None:
        other = factories.UserFactory()
        visitor.force_login(other)
        assert visitor.post(stop_url(ann)).status_code == 200
        assert (accepts(ann), accepts(other)) == (False, True)

    def test_it_sends_no_mail_and_needs_few_queries(self, visitor: Client, ann: Any) -> None:
        url = stop_url(ann)
        with CaptureQueriesContext(connection) as queries:
            visitor.get(url)
        assert len(queries) <= 8
        assert not [query for query in queries if not query["sql"].startswith("SELECT")]
        assert mail.outbox == []

    def test_old_links_are_not_found_after_coming_back(self, visitor: Client, ann: Any) -> None:
        old = stop_url(ann)
        visitor.post(old)
        consent.set_preferences(ann.pk, {"reminder_emails": True}, source="preference page")
        assert visitor.get(old).status_code == visitor.post(old).status_code == 404
        assert accepts(ann)
        assert visitor.get(stop_url(ann)).status_code == 200

    def test_case_018_garbage_foreign_and_swapped_tokens_are_one_plain_page(self, visitor: Client, ann: Any) -> None:
        bob = factories.UserFactory()
        mine, his = (consent.unsubscribe_token(user.pk, "reminder", {}) for user in (ann, bob))
        tokens = [
            "garbage",
            "a:b",
            "%00%ff",
            "x" * 5000,
            f"{his.partition(':')[0]}:{mine.partition(':')[2]}",
            consent.preferences_token(ann.pk),
        ]
        pages = set()
        for token in tokens:
            for response in (visitor.get(f"/email/unsubscribe/{token}/"), visitor.post(f"/email/unsubscribe/{token}/")):
                assert response.status_code == 404
                assert not response.cookies
                pages.add(response.content)
        assert len(pages) == 1
        assert not EmailPreference.objects.exists()

    def test_a_courses_link_stops_mail_about_that_course_alone(self, visitor: Client, ann: Any) -> None:
        course = factories.CourseFactory(title="Basket <weaving>")
        url = reverse("email_automation:unsubscribe", args=[consent.course_token(ann.pk, course.pk, {})])
        page = visitor.get(url).content.decode()
        assert "Basket &lt;weaving&gt;" in page
        assert page.count("<button") == 1
        visitor.head(url)
        assert not CourseOptOut.objects.exists()
        answer = visitor.post(url, ONE_CLICK, content_type="application/x-www-form-urlencoded")
        assert (answer.status_code, answer.cookies) == (200, {})
        assert list(CourseOptOut.objects.values_list("user_id", "course_id")) == [(ann.pk, course.pk)]
        assert accepts(ann, "reminder")
        assert "<button" not in visitor.get(url).content.decode()

    @pytest.mark.parametrize("method", ["put", "delete", "patch"])
    def test_other_methods_are_refused(self, visitor: Client, ann: Any, method: str) -> None:
        assert getattr(visitor, method)(stop_url(ann)).status_code == 405


class TestThrottle:
    def test_a_valid_link_is_stopped_after_twenty_posts_a_minute(self, visitor: Client, ann: Any) -> None:
        answers = [visitor.post(stop_url(ann)) for _ in range(21)]
        assert [response.status_code for response in answers] == [200] * 20 + [429]
        assert 1 <= int(answers[-1]["Retry-After"]) <= 60

    def test_many_peoples_links_from_one_address_are_not(self, visitor: Client) -> None:
        people = factories.UserFactory.create_batch(70)
        answers = {visitor.post(stop_url(user), ONE_CLICK, content_type="text/plain").status_code for user in people}
        assert answers == {200}
        assert EmailPreference.objects.filter(reminder_emails=False).count() == 70

    def test_an_address_that_guesses_is_stopped_after_sixty(self, visitor: Client, ann: Any) -> None:
        answers = [visitor.get(f"/email/unsubscribe/guess{number}/").status_code for number in range(62)]
        assert answers == [404] * 60 + [429] * 2
        assert visitor.get("/email/preferences/guess/").status_code == 429
        assert visitor.get("/email/unsubscribe/x/", REMOTE_ADDR="203.0.113.9").status_code == 404
        assert visitor.post(stop_url(ann)).status_code == 200

    @override_settings(EMAIL_PAGES_PER_TOKEN=1, EMAIL_PAGES_PER_ADDRESS=2)
    def test_settings_override_the_limits(self, visitor: Client, ann: Any) -> None:
        assert [visitor.get(choice_url(ann)).status_code for _ in range(2)] == [200, 429]
        assert [visitor.get("/email/unsubscribe/x/").status_code for _ in range(3)] == [404, 404, 429]

    @override_settings(EMAIL_PAGES_PER_TOKEN=None)
    def test_none_means_no_limit(self, visitor: Client, ann: Any) -> None:
        assert {visitor.get(stop_url(ann)).status_code for _ in range(25)} == {200}

    @pytest.mark.parametrize("broken", [ConnectionError("redis is away"), ValueError("no such key")])
    def test_a_cache_that_fails_turns_nobody_away(
        self, visitor: Client, ann: Any, broken: Exception, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise broken

        monkeypatch.setattr("email_automation.throttle.cache.incr", fail)
        assert {visitor.post(stop_url(ann)).status_code for _ in range(25)} == {200}
        assert ann.email not in caplog.text

    def test_its_keys_hold_no_address(self, visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        keys: list[str] = []
        monkeypatch.setattr("email_automation.throttle.cache.add", lambda key, *args, **kwargs: keys.append(key))
        visitor.get("/email/unsubscribe/x/", REMOTE_ADDR="203.0.113.9")
        assert keys
        assert not any("203.0.113.9" in key for key in keys)


class TestPreferencesByToken:
    def post(self, visitor: Client, user: Any, *, on: set[str] = frozenset(), off: set[str] = frozenset()) -> Any:  # type: ignore[assignment]
        html = visitor.get(choice_url(user)).content.decode()
        boxes = ticked(html) - off | on
        return visitor.post(choice_url(user), {"shown": shown(html), **dict.fromkeys(boxes, "on")})

    def test_it_shows_every_category_in_words_and_ticked(self, visitor: Client, ann: Any) -> None:
        page = visitor.get(choice_url(ann)).content.decode()
        assert ticked(page) == {f"{category}_emails" for category in words.CATEGORIES}
        for category in words.CATEGORIES:
            with translation.override("en"):
                label = str(consent.category_words(category))
            assert label[0].upper() + label[1:] in page
        assert page.count('<button class="button" type="submit">Save</button>') == 1
        assert not EmailPreference.objects.exists()

    def test_what_is_unticked_is_off_and_the_page_says_saved(self, visitor: Client, ann: Any) -> None:
        response = self.post(visitor, ann, off={"reminder_emails", "goal_emails"})
        assert response.status_code == 200
        assert not response.cookies
        page = response.content.decode()
        assert 'role="status"' in page
        assert ticked(page) == {f"{category}_emails" for category in words.CATEGORIES} - {
            "reminder_emails",
            "goal_emails",
        }
        assert (accepts(ann), accepts(ann, "goal"), accepts(ann, "payment")) == (False, False, True)
        assert sources(ann) == ["preference page"]

    def test_everything_off_keeps_the_single_choices(self, visitor: Client, ann: Any) -> None:
        self.post(visitor, ann, on={"nothing"}, off={"goal_emails"})
        preference = EmailPreference.of(ann.pk)
        assert (preference.is_subscribed, preference.goal_emails, preference.reminder_emails) == (False, False, True)
        self.post(visitor, ann, off={"nothing"})
        assert (accepts(ann), accepts(ann, "goal")) == (True, False)

    def test_saving_unchanged_writes_nothing(self, visitor: Client, ann: Any) -> None:
        factories.EnrollmentFactory(user=ann)
        self.post(visitor, ann)
        assert not EmailPreference.objects.exists()
        assert not CourseOptOut.objects.exists()

    def test_an_empty_post_writes_nothing(self, visitor: Client, ann: Any) -> None:
        assert visitor.post(choice_url(ann)).status_code == 200
        assert visitor.post(choice_url(ann), ONE_CLICK, content_type="text/plain").status_code == 200
        assert not EmailPreference.objects.exists()

    def test_a_page_from_yesterday_does_not_bring_back_what_was_stopped_today(self, visitor: Client, ann: Any) -> None:
        html = visitor.get(choice_url(ann)).content.decode()
        visitor.post(stop_url(ann), ONE_CLICK, content_type="text/plain")
        boxes = ticked(html) - {"goal_emails"}
        visitor.post(choice_url(ann), {"shown": shown(html), **dict.fromkeys(boxes, "on")})
        assert (accepts(ann, "reminder"), accepts(ann, "goal")) == (False, False)

    def test_courses_can_be_stopped_and_allowed_again(self, visitor: Client, ann: Any) -> None:
        here = factories.EnrollmentFactory(user=ann, course__title="Basket <weaving>").course
        there = factories.EnrollmentFactory(user=ann).course
        page = visitor.get(choice_url(ann)).content.decode()
        assert "No mail about this course: Basket &lt;weaving&gt;" in page
        self.post(visitor, ann, on={f"course-{here.pk}"})
        assert list(CourseOptOut.objects.values_list("user_id", "course_id")) == [(ann.pk, here.pk)]
        self.post(visitor, ann, on={f"course-{there.pk}"}, off={f"course-{here.pk}"})
        assert list(CourseOptOut.objects.values_list("course_id", flat=True)) == [there.pk]
        assert not EmailPreference.history.exists()

    def test_only_the_persons_own_courses_are_offered_and_taken(self, visitor: Client, ann: Any) -> None:
        foreign = factories.EnrollmentFactory().course
        left = factories.EnrollmentFactory(user=ann, is_active=False).course
        left_and_stopped = factories.EnrollmentFactory(user=ann, is_active=False).course
        CourseOptOut.objects.create(user=ann, course=left_and_stopped)
        page = visitor.get(choice_url(ann)).content.decode()
        names = set(re.findall(r'name="(course-\d+)"', page))
        assert names == {f"course-{left_and_stopped.pk}"}
        self.post(
            visitor, ann, on={f"course-{foreign.pk}", f"course-{left.pk}", "course-x", "course-99999999999999999999"}
        )
        assert CourseOptOut.objects.count() == 1

    def test_one_and_fifty_courses_take_the_same_queries(self, visitor: Client) -> None:
        counts = {}
        for number in (1, 50):
            user = factories.UserFactory()
            for _ in range(number):
                factories.EnrollmentFactory(user=user)
            visitor.get(choice_url(user))
            with CaptureQueriesContext(connection) as reading:
                html = visitor.get(choice_url(user)).content.decode()
            courses = set(re.findall(r'name="(course-\d+)"', html))
            assert len(courses) == number
            form = {"shown": shown(html), **dict.fromkeys(ticked(html) | courses, "on")}
            with CaptureQueriesContext(connection) as writing:
                visitor.post(choice_url(user), form)
            counts[number] = (len(reading), len(writing))
        assert counts[1] == counts[50]
        assert counts[1][0] <= 10

    def test_a_suppressed_person_is_told(self, visitor: Client, ann: Any) -> None:
        assert "came back" not in visitor.get(choice_url(ann)).content.decode()
        EmailPreference.objects.create(user=ann, suppressed_at=timezone.now(), suppression_reason="hard_bounce")
        assert "came back" in visitor.get(choice_url(ann)).content.decode()
        self.post(visitor, ann, off={"goal_emails"})
        preference = EmailPreference.of(ann.pk)
        assert preference.suppressed_at is not None
        assert not preference.goal_emails

    @pytest.mark.parametrize("token", ["x", "a:b", "9" * 3000])
    def test_garbage_is_not_found(self, visitor: Client, token: str) -> None:
        assert visitor.get(f"/email/preferences/{token}/").status_code == 404

    def test_an_unsubscribe_token_does_not_open_it(self, visitor: Client, ann: Any) -> None:
        token = consent.unsubscribe_token(ann.pk, "reminder", {})
        assert visitor.get(f"/email/preferences/{token}/").status_code == 404


class TestOwnPreferences:
    url = "/email/preferences/"

    def test_it_asks_for_a_login(self, visitor: Client) -> None:
        response = visitor.get(self.url)
        assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={self.url}")

    def test_it_refuses_a_post_without_csrf_token(self, visitor: Client, ann: Any) -> None:
        visitor.force_login(ann)
        assert visitor.post(self.url, {"shown": "goal_emails"}).status_code == 403
        assert not EmailPreference.objects.exists()

    def test_it_saves_and_redirects_to_itself(self, visitor: Client, ann: Any) -> None:
        visitor.force_login(ann)
        page = visitor.get(self.url).content.decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        form = {
            "csrfmiddlewaretoken": token[1],
            "shown": shown(page),
            **dict.fromkeys(ticked(page) - {"goal_emails"}, "on"),
        }
        response = visitor.post(self.url, form)
        assert response.status_code == 303
        assert not accepts(ann, "goal")
        assert sources(ann) == ["preference page"]
        followed = visitor.get(response["Location"]).content.decode()
        assert 'role="status"' in followed
        assert "goal_emails" not in ticked(followed)


class TestEveryPage:
    @pytest.fixture
    def pages(self, visitor: Client, ann: Any) -> list[Any]:
        answers = [visitor.get(url) for url in (stop_url(ann), choice_url(ann), "/email/test-mail/")]
        answers += [visitor.post(stop_url(ann)), visitor.post(choice_url(ann))]
        answers += [visitor.get("/email/unsubscribe/x/"), visitor.get("/email/preferences/x/")]
        with override_settings(EMAIL_PAGES_PER_TOKEN=1):
            answers.append(visitor.get(stop_url(ann)))
        visitor.force_login(ann)
        return [*answers, visitor.get("/email/preferences/")]

    def test_it_keeps_its_address_and_content_to_itself(self, pages: list[Any]) -> None:
        for response in pages:
            for name, value in GUARDS.items():
                own = response.wsgi_request.path == "/email/preferences/" and name == "Referrer-Policy"
                assert response[name] == ("same-origin" if own else value)
            assert "script-src" not in response["Content-Security-Policy"]
            assert response["Content-Security-Policy"].startswith("default-src 'none'")
            assert response["X-Frame-Options"] == "DENY"

    def test_it_asks_nobody_else_for_anything(self, pages: list[Any]) -> None:
        for response in pages:
            page = response.content.decode()
            assert "<script" not in page
            assert not re.search(r"""(?:src|href|url\()=?["']?(?:https?:)?//""", page)

    def test_it_has_a_language_a_title_and_one_heading(self, pages: list[Any]) -> None:
        for response in pages:
            page = response.content.decode()
            assert '<html lang="en" dir="ltr">' in page
            assert page.count("<h1") == 1
            assert re.search(r"<title>\S.* – Cadence</title>", page)
            assert response["Content-Language"] == "en"

    def test_it_names_the_site_that_was_called(self, visitor: Client, ann: Any) -> None:
        config = factories.SiteConfigurationFactory(site__domain="uni.example.org", platform_name="Uni")
        assert "Uni</title>" in visitor.get(stop_url(ann), HTTP_HOST=config.site.domain).content.decode()


class TestLanguage:
    def test_the_browsers_language_is_used(self, visitor: Client, ann: Any) -> None:
        for url in (stop_url(ann), choice_url(ann), "/email/test-mail/", "/email/unsubscribe/x/"):
            for language in ("es", "fr"):
                response = visitor.get(url, HTTP_ACCEPT_LANGUAGE=f"{language};q=0.9")
                assert f'<html lang="{language}"' in response.content.decode()
                assert response["Content-Language"] == language

    def test_the_learners_own_language_comes_first(self, visitor: Client, ann: Any) -> None:
        factories.LearnerProfileFactory(user=ann, language="es-419")
        page = visitor.get(stop_url(ann), HTTP_ACCEPT_LANGUAGE="fr").content.decode()
        assert '<html lang="es"' in page
        assert "Dejar de recibir" in page

    def test_the_words_of_the_categories_are_translated(self, visitor: Client, ann: Any) -> None:
        english, spanish = (
            visitor.get(choice_url(ann), HTTP_ACCEPT_LANGUAGE=language).content.decode() for language in ("en", "es")
        )
        for category in words.CATEGORIES:
            with translation.override("en"):
                label = str(consent.category_words(category))
            label = label[0].upper() + label[1:]
            assert label in english
            assert label not in spanish

    @pytest.mark.parametrize("language", ["es", "fr"])
    def test_every_sentence_of_every_page_is_translated(self, language: str) -> None:
        known = {entry.msgid for entry in entries(LOCALE / language / "LC_MESSAGES" / "django.po")}
        known |= {entry.plural for entry in entries(LOCALE / language / "LC_MESSAGES" / "django.po")}
        for path in sorted((TEMPLATES / "email_automation" / "pages").glob("*.html")):
            template = engines["django"].get_template(str(path.relative_to(TEMPLATES)))
            assert not msgids(template.template) - known, path.name

    @override_settings(LANGUAGES=[("en", "English"), ("ar", "Arabic")])
    def test_a_language_written_from_the_right_turns_the_page(self, visitor: Client, ann: Any) -> None:
        assert 'dir="rtl"' in visitor.get(stop_url(ann), HTTP_ACCEPT_LANGUAGE="ar").content.decode()


class TestTestMail:
    def test_it_says_so_and_can_do_nothing(self, visitor: Client) -> None:
        page = visitor.get("/email/test-mail/").content.decode()
        assert "test mail" in page
        assert "<form" not in page
        assert visitor.post("/email/test-mail/").status_code in (403, 405)
