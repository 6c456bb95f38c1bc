"""On the course outline an author …"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse
from waffle import get_waffle_switch_model

from courses.models import Course, Section
from courses.signals import course_changed, sections_changed
from courses.validators import HIGHLIGHT_LENGTH
from email_automation.models import EmailLog
from schedules import highlights
from schedules.facts import weekly_highlights
from schedules.highlights import fingerprint
from schedules.messages.course_update import LAST_WEEK
from schedules.outline import outline_of
from schedules.views import PERMISSION, SWITCH
from tests import factories
from tests.courses.helpers import heard

from .scene import command, started

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schedules.md"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site")]

JSON = {"Accept": "application/json"}
#: Two people in one picture, three code points; and a letter with an accent of its own, two.
FAMILY, ACCENTED = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}", "e\N{COMBINING ACUTE ACCENT}"


@pytest.fixture
def switch() -> Any:
    return get_waffle_switch_model().objects.create(name=SWITCH, active=True)


@pytest.fixture
def author(switch: Any) -> Any:
    """Staff with the one permission that is needed."""
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_section", content_type__app_label="courses"))
    return user


@pytest.fixture
def browser(author: Any, client: Client) -> Client:
    client.force_login(author)
    return client


@pytest.fixture
def section(c: Course) -> Section:
    found: Section = factories.SectionFactory(course=c, index=1, title="Basics", highlights=["old"])
    return found


def outline_url(course: Course) -> str:
    return reverse("schedules:outline", args=[course.key])


def editor_url(section: Section) -> str:
    return reverse("schedules:highlights", args=[section.course.key, section.pk])


def messaging_url(course: Course) -> str:
    return reverse("schedules:messaging", args=[course.key])


def save(client: Client, section: Section, *texts: str, shown: list[str] | None = None, **headers: Any) -> Any:
    """Post the form of a section as it has been shown, by default with what is stored."""
    known = fingerprint(section.highlights if shown is None else shown)
    return client.post(editor_url(section), {"text": texts, "shown": known}, **headers)


def save_by_script(client: Client, section: Section, *texts: str, **more: Any) -> Any:
    return save(client, section, *texts, headers=JSON, **more)


def stored(section: Section) -> list[str]:
    return Section.objects.get(pk=section.pk).highlights


def words(response: Any) -> str:
    """The text of a page on one line."""
    body = re.sub(r"<style>.*?</style>|<[^>]*>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(body).split())


class TestSaving:
    @pytest.mark.parametrize("text", ["x" * 250, "😀" * 250, ACCENTED * 125, "á" * 250, FAMILY * 83])
    def test_case_071_250_characters_are_saved(self, browser: Client, section: Section, text: str) -> None:
        response = save(browser, section, text)
        assert (response.status_code, stored(section)) == (303, [text])
        assert response["Location"] == f"{outline_url(section.course)}?saved={section.pk}"

    @pytest.mark.parametrize("text", ["x" * 251, "😀" * 251, ACCENTED * 126, FAMILY * 84])
    def test_case_071_251_are_refused_and_the_text_is_named(self, browser: Client, section: Section, text: str) -> None:
        response = save(browser, section, "fine", text, "fine too")
        assert (response.status_code, stored(section)) == (422, ["old"])
        said = f"Highlight 2, “{text[:30]}…”, has {len(text)} characters. At most 250 are allowed."
        assert said in words(response)
        assert "Highlight 1," not in words(response)

    def test_case_071_ten_are_saved(self, browser: Client, section: Section) -> None:
        texts = [f"text {number}" for number in range(10)]
        assert save(browser, section, *texts).status_code == 303
        assert stored(section) == texts

    def test_case_071_eleven_are_refused_and_counted(self, browser: Client, section: Section) -> None:
        response = save(browser, section, *["text"] * 11)
        assert (response.status_code, stored(section)) == (422, ["old"])
        assert "There are 11 highlights. A section can have at most 10." in words(response)

    def test_every_faulty_text_is_named_with_its_length(self, browser: Client, section: Section) -> None:
        response = save(browser, section, "a" * 251, "b", "", "c" * 300)
        named = re.findall(r"Highlight (\d), “(\w+)…”, has (\d+) characters", words(response))
        assert named == [("1", "a" * 30, "251"), ("4", "c" * 30, "300")]

    def test_a_refused_form_keeps_what_was_typed_and_marks_it(self, browser: Client, section: Section) -> None:
        page = save(browser, section, "kept", "</textarea><b>" + "x" * 240).content.decode()
        assert re.search(r'id="text-1"[^>]*>\nkept<', page)
        assert "&lt;/textarea&gt;&lt;b&gt;xxx" in page and "<b>x" not in page
        assert re.findall(r'<textarea id="text-(\d+)"[^>]*aria-invalid="true"', page) == ["2"]
        assert 'aria-describedby="fault-2 count-2"' in page and 'id="fault-2"' in page
        assert re.search(r'role="alert" tabindex="-1" autofocus', page)

    def test_texts_are_trimmed_and_blank_ones_dropped(self, browser: Client, section: Section) -> None:
        assert save(browser, section, "  one ", "", " \t\r\n ", "\u00a0\u2003", "two").status_code == 303
        assert stored(section) == ["one", "two"]

    def test_what_surrounds_a_text_is_not_counted(self, browser: Client, section: Section) -> None:
        assert save(browser, section, "  " + "x" * 250 + "\r\n\r\n", *[" "] * 20).status_code == 303

    def test_a_text_becomes_one_line(self, browser: Client, section: Section) -> None:
        # A form sends every line break as two characters, and a line of a mail's list has none.
        assert save(browser, section, "one\r\n  two\u2028three\tfour").status_code == 303
        assert stored(section) == ["one two three four"]

    def test_only_blanks_leave_no_highlights(self, browser: Client, section: Section) -> None:
        assert save(browser, section, "", "   ").status_code == 303
        assert stored(section) == []

    @pytest.mark.parametrize(("character", "code"), [("\0", "U+0000"), ("\x1b", "U+001B"), ("\x7f", "U+007F")])
    def test_a_control_character_is_refused_by_name(
        self, browser: Client, section: Section, character: str, code: str
    ) -> None:
        response = save(browser, section, "fine", f"a{character}b")
        assert (response.status_code, stored(section)) == (422, ["old"])
        assert f"Highlight 2, “a\N{REPLACEMENT CHARACTER}b…”, holds the control character {code}." in words(response)

    def test_half_a_character_is_refused(self) -> None:
        assert [fault.code for fault in highlights.faults(["a\ud83d"])] == ["bad_character"]

    def test_those_who_listen_hear_of_it_once_and_only_of_changes(self, browser: Client, section: Section) -> None:
        with heard(sections_changed) as calls:
            save(browser, section, "new")
            save(browser, section, "new", shown=["new"])
            save(browser, section, "x" * 251, shown=["new"])
        assert [call["course"] for call in calls] == [section.course]
        assert calls[0]["in_transaction"]

    def test_nothing_but_the_highlights_is_written(self, browser: Client, section: Section) -> None:
        # Somebody renames the section while the form is open.
        Section.objects.filter(pk=section.pk).update(title="Renamed", index=7)
        assert save(browser, section, "new").status_code == 303
        row = Section.objects.get()
        assert (row.title, row.index, row.highlights) == ("Renamed", 7, ["new"])

    def test_more_texts_than_allowed_from_elsewhere_are_shown_in_full(self, browser: Client, section: Section) -> None:
        many = [f"text {number}" for number in range(12)]
        Section.objects.filter(pk=section.pk).update(highlights=many)
        page = browser.get(editor_url(section)).content.decode()
        assert page.count("<textarea") == 12 and "text 11" in page
        section.refresh_from_db()
        assert save(browser, section, *many).status_code == 422
        assert save(browser, section, *many[:10]).status_code == 303


class TestAnswersToTheScript:
    def test_a_save_is_confirmed(self, browser: Client, section: Section) -> None:
        response = save_by_script(browser, section, "new")
        assert (response.status_code, response.json()) == (200, {"message": "The highlights are saved."})
        assert stored(section) == ["new"]
        assert "Accept" in response["Vary"]

    def test_faults_come_one_by_one_with_their_lengths(self, browser: Client, section: Section) -> None:
        response = save_by_script(browser, section, "x" * 251, *["y"] * 10)
        error = response.json()["error"]
        assert (response.status_code, error["code"], stored(section)) == (422, "invalid", ["old"])
        assert [(fault["code"], fault["number"], fault["length"]) for fault in error["faults"]] == [
            ("too_long", 1, 251),
            ("too_many", None, 11),
        ]
        assert all(fault["message"] for fault in error["faults"])

    @pytest.mark.parametrize(
        ("prepare", "status", "code"),
        [
            (lambda client, section, switch: client.logout(), 401, "logged_out"),
            (lambda client, section, switch: client.force_login(factories.UserFactory()), 403, "forbidden"),
            (lambda client, section, switch: section.delete(), 404, "not_found"),
            (lambda client, section, switch: switch.delete(), 404, "switched_off"),
        ],
    )
    def test_every_error_has_one_shape(
        self, browser: Client, section: Section, switch: Any, prepare: Any, status: int, code: str
    ) -> None:
        url = editor_url(section)
        prepare(browser, section, switch)
        response = browser.post(url, {"text": "new"}, headers=JSON)
        assert response.status_code == status
        error = response.json()["error"]
        assert (set(error), error["code"], error["faults"]) == ({"code", "message", "faults"}, code, [])


class TestTwoAuthors:
    def test_the_second_is_told_and_loses_nothing(self, browser: Client, section: Section) -> None:
        save(browser, section, "of the first")
        response = save(browser, section, "of the second")
        assert (response.status_code, stored(section)) == (409, ["of the first"])
        assert "somebody else has saved other highlights" in words(response)
        assert "Stored by now: of the first" in words(response)
        assert re.search(r"<textarea[^>]*>\nof the second<", response.content.decode())

    def test_the_second_can_then_replace_it(self, browser: Client, section: Section) -> None:
        save(browser, section, "of the first")
        page = save(browser, section, "of the second").content.decode()
        (shown,) = re.findall(r'name="shown" value="(\w+)"', page)
        assert browser.post(editor_url(section), {"text": "of the second", "shown": shown}).status_code == 303
        assert stored(section) == ["of the second"]

    def test_the_script_gets_what_it_needs_for_that(self, browser: Client, section: Section) -> None:
        save(browser, section, "of the first")
        response = save_by_script(browser, section, "of the second")
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["stored"]) == (409, "conflict", ["of the first"])
        data = {"text": "of the second", "shown": error["shown"]}
        assert browser.post(editor_url(section), data, headers=JSON).status_code == 200

    def test_a_third_change_is_told_again(self, browser: Client, section: Section) -> None:
        save(browser, section, "of the first")
        save(browser, section, "of the third", shown=["of the first"])
        assert save(browser, section, "of the second", shown=["of the first"]).status_code == 409
        assert stored(section) == ["of the third"]

    def test_a_fault_does_not_hide_the_conflict(self, browser: Client, section: Section) -> None:
        save(browser, section, "of the first")
        page = save(browser, section, "x" * 251).content.decode()
        (shown,) = re.findall(r'name="shown" value="(\w+)"', page)
        assert browser.post(editor_url(section), {"text": "x", "shown": shown}).status_code == 409

    def test_who_writes_the_same_is_not_bothered(self, browser: Client, section: Section) -> None:
        save(browser, section, "same")
        assert save(browser, section, " same ").status_code == 303

    @pytest.mark.parametrize("shown", [None, "", "garbage", "a\0b"])
    def test_a_form_that_does_not_say_what_it_showed_replaces_nothing(
        self, browser: Client, section: Section, shown: str | None
    ) -> None:
        data = {"text": "new"} | ({} if shown is None else {"shown": shown})
        assert browser.post(editor_url(section), data).status_code == 409
        assert stored(section) == ["old"]


class TestWhoMayIn:
    def urls(self, section: Section) -> list[str]:
        return [outline_url(section.course), editor_url(section), messaging_url(section.course)]

    def test_anonymous_people_are_sent_to_log_in(self, client: Client, section: Section, switch: Any) -> None:
        for url in self.urls(section):
            for response in (client.get(url), client.post(url, {"text": "x", "turn": "on"})):
                if response.status_code != 405:
                    assert response.status_code == 302
                    assert response["Location"].startswith(reverse("login"))
        assert stored(section) == ["old"]

    @pytest.mark.parametrize(
        ("fields", "permission"),
        [
            ({}, None),
            ({}, "change_section"),
            ({"is_staff": True}, None),
            ({"is_staff": True}, "view_section"),
            ({"is_staff": True}, "change_course"),
        ],
    )
    def test_case_072_others_are_refused(
        self, client: Client, section: Section, switch: Any, fields: dict[str, bool], permission: str | None
    ) -> None:
        user = factories.UserFactory(**fields)
        if permission:
            user.user_permissions.add(Permission.objects.get(codename=permission, content_type__app_label="courses"))
        client.force_login(user)
        outline, editor, messaging = self.urls(section)
        assert [client.get(url).status_code for url in (outline, editor, messaging)] == [403] * 3
        assert save(client, section, "new").status_code == 403
        assert client.post(messaging, {"turn": "on"}).status_code == 403
        assert client.get(reverse("schedules:outline", args=["course-v1:No+Such+One"])).status_code == 403
        section.course.refresh_from_db()
        assert (stored(section), section.course.highlights_enabled_for_messaging) == (["old"], False)

    def test_a_superuser_is_let_in(self, client: Client, section: Section, switch: Any) -> None:
        client.force_login(factories.UserFactory(admin=True))
        assert [client.get(url).status_code for url in self.urls(section)] == [200] * 3

    def test_a_post_without_the_token_is_refused(self, author: Any, section: Section) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(author)
        assert save(strict, section, "new").status_code == 403
        assert strict.post(messaging_url(section.course), {"turn": "on"}).status_code == 403
        assert (stored(section), Course.objects.get().highlights_enabled_for_messaging) == (["old"], False)
        page = strict.get(editor_url(section)).content.decode()
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        data = {"text": "new", "shown": fingerprint(["old"]), "csrfmiddlewaretoken": token}
        assert strict.post(editor_url(section), data).status_code == 303

    def test_nothing_changes_but_by_post(self, browser: Client, section: Section) -> None:
        data = {"text": "new", "shown": fingerprint(["old"]), "turn": "on"}
        for url in self.urls(section):
            for method in ("get", "head", "put", "patch", "delete", "options"):
                getattr(browser, method)(url, data if method in ("get", "head") else json.dumps(data))
        assert (stored(section), Course.objects.get().highlights_enabled_for_messaging) == (["old"], False)

    def test_its_pages_stay_with_whoever_opened_them(self, browser: Client, section: Section) -> None:
        for url in self.urls(section):
            response = browser.get(url)
            assert response["Cache-Control"] == "no-store"
            policy = response["Content-Security-Policy"]
            assert (
                "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
            )

    @override_settings(STATIC_URL="https://static.example.com/assets/")
    def test_its_script_may_come_from_where_static_files_are(self, browser: Client, section: Section) -> None:
        response = browser.get(outline_url(section.course))
        assert "script-src https://static.example.com;" in response["Content-Security-Policy"]
        assert '<script src="https://static.example.com/assets/schedules/authoring.js"' in response.content.decode()


class TestAddresses:
    @pytest.mark.parametrize(
        "key",
        ["course-v1:No+Such+One", "no key", "C", "a/b", "course-v1:edX+C+2017 ", "course-v1:edX+C%00+2017", "%FF"],
    )
    def test_an_unknown_or_malformed_course_is_not_found(self, browser: Client, section: Section, key: str) -> None:
        for rest in ("", "messaging/", f"sections/{section.pk}/"):
            assert browser.get(f"/courses/{key}/outline/{rest}").status_code == 404
            assert browser.post(f"/courses/{key}/outline/{rest}").status_code == (404 if rest else 405)

    def test_a_key_with_slashes_has_its_pages(self, browser: Client, section: Section) -> None:
        Course.objects.filter(pk=section.course.pk).update(key="edX/outline/outline")
        section.course.refresh_from_db()
        assert outline_url(section.course) == "/courses/edX/outline/outline/outline/"
        assert browser.get(outline_url(section.course)).status_code == 200
        assert save(browser, section, "new").status_code == 303

    def test_another_courses_section_is_not_found(self, browser: Client, section: Section, d: Course) -> None:
        url = reverse("schedules:highlights", args=[d.key, section.pk])
        assert browser.get(url).status_code == browser.post(url, {"text": "new"}).status_code == 404
        assert stored(section) == ["old"]

    @pytest.mark.parametrize("number", ["0", str(2**31), str(2**63), str(2**70), "9" * 5000, "x", "-1"])
    def test_a_section_that_cannot_be_is_not_found(self, browser: Client, c: Course, number: str) -> None:
        assert browser.get(f"{outline_url(c)}sections/{number}/").status_code == 404

    def test_a_section_deleted_meanwhile_is_not_made_again(self, browser: Client, section: Section) -> None:
        url = editor_url(section)
        section.delete()
        assert browser.post(url, {"text": "new", "shown": fingerprint(["old"])}).status_code == 404
        with pytest.raises(Section.DoesNotExist):
            highlights.save(section.course, 1, ["new"], shown=fingerprint(["old"]))
        assert not Section.objects.exists()

    def test_a_course_deleted_meanwhile_is_not_made_again(self, c: Course) -> None:
        Course.objects.filter(pk=c.pk).delete()
        with pytest.raises(Course.DoesNotExist):
            highlights.switch_messaging(c, True)
        assert not Course.objects.exists()

    def test_the_admin_of_a_course_leads_there(self, client: Client, c: Course) -> None:
        client.force_login(factories.UserFactory(admin=True))
        page = client.get(reverse("admin:courses_course_change", args=[c.pk])).content.decode()
        assert f'href="{outline_url(c)}"' in page


class TestSwitchedOff:
    def test_case_072_there_is_no_button_and_saving_is_not_found(
        self, browser: Client, section: Section, switch: Any
    ) -> None:
        switch.active = False
        switch.save()
        page = browser.get(outline_url(section.course)).content.decode()
        assert "old" in page
        assert not re.search(r"<button|<dialog|<script|<form", page)
        assert save(browser, section, "new").status_code == 404
        assert browser.get(editor_url(section)).status_code == 404
        assert browser.post(messaging_url(section.course), {"turn": "on"}).status_code == 404
        assert (stored(section), Course.objects.get().highlights_enabled_for_messaging) == (["old"], False)

    def test_case_072_stored_highlights_are_still_mailed(self, site: Site, c: Course) -> None:
        factories.SectionFactory(course=c, index=1, highlights=["a", "b", "á"])
        Course.objects.filter(pk=c.pk).update(highlights_enabled_for_messaging=True)
        schedule = started(c, "07-25", experience=1)
        report = command("send_course_update", site.domain, "--date", "2017-08-01")
        assert (report.figures["sent"], report.status) == (1, 0)
        row = EmailLog.objects.get(recipient=schedule.enrollment.user)
        content = row.stored_content()
        assert content
        assert "- a\n- b\n- á\n" in content["text"]


class TestMessaging:
    def test_it_is_turned_on_and_off_after_a_question(self, browser: Client, section: Section) -> None:
        course = section.course
        for turn, on in (("on", True), ("off", False)):
            asked = browser.get(messaging_url(course))
            assert f"Turn the weekly highlights mail {turn}?" in words(asked)
            course.refresh_from_db()
            assert course.highlights_enabled_for_messaging is not on
            response = browser.post(messaging_url(course), {"turn": turn})
            assert response.status_code == 303
            course.refresh_from_db()
            assert course.highlights_enabled_for_messaging is on
            shown = words(browser.get(response["Location"]))
            assert f"Saved. {turn.capitalize()}." in shown

    def test_those_who_listen_hear_of_it(self, browser: Client, c: Course) -> None:
        with heard(course_changed) as calls:
            browser.post(messaging_url(c), {"turn": "on"})
            browser.post(messaging_url(c), {"turn": "on"})
        assert [call["changed"] for call in calls] == [{"highlights_enabled_for_messaging"}]

    @pytest.mark.parametrize("turn", ["", "yes", "\0"])
    def test_a_form_that_does_not_say_which_changes_nothing(self, browser: Client, c: Course, turn: str) -> None:
        assert browser.post(messaging_url(c), {"turn": turn}).status_code == 400
        response = browser.post(messaging_url(c), {"turn": turn}, headers=JSON)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")

    def test_the_script_is_answered(self, browser: Client, c: Course) -> None:
        response = browser.post(messaging_url(c), {"turn": "on"}, headers=JSON)
        assert response.json() == {"message": "The weekly highlights mail is on."}


class TestOutline:
    def test_it_shows_the_week_of_each_section(self, browser: Client, c: Course) -> None:
        Course.objects.filter(pk=c.pk).update(highlights_enabled_for_messaging=True)
        factories.SectionFactory(course=c, index=4, title="Last", highlights=["x"])
        factories.SectionFactory(course=c, index=2, title="Empty", highlights=[" "])
        factories.SectionFactory(course=c, index=1, title="First", highlights=["a", "", "b", "á"])
        factories.SectionFactory(course=c, index=3, title="", highlights=["h"], hide_from_toc=True)
        factories.SectionFactory(course=c, index=5, title="Draft", highlights=["s"], visible_to_staff_only=True)
        page = words(browser.get(outline_url(c)))
        places = [page.index(title) for title in ("First", "Empty", "Section 3", "Last", "Draft")]
        assert places == sorted(places)
        assert "Week 1: mailed 7 days after a learner’s start. a b á Highlights : First" in page
        assert "No highlights: no mail is about this section. Highlights : Empty" in page
        assert "Not mailed: learners do not see this section. h Highlights : Section 3" in page
        assert "Week 2: mailed 14 days after a learner’s start. x" in page
        assert "Week 3" not in page

    def test_it_changes_with_a_save(self, browser: Client, section: Section) -> None:
        Course.objects.update(highlights_enabled_for_messaging=True)
        after = factories.SectionFactory(course=section.course, index=2, title="Then", highlights=[])
        response = save(browser, after, "new things")
        assert "Saved. Week 2: mailed 14 days after a learner’s start. new things" in words(
            browser.get(response["Location"])
        )
        save(browser, section, "")
        assert "Week 1: mailed 7 days after a learner’s start. new things" in words(
            browser.get(outline_url(section.course))
        )

    def test_it_says_that_nothing_is_mailed_while_messaging_is_off(self, browser: Client, section: Section) -> None:
        page = words(browser.get(outline_url(section.course)))
        assert "Off. Nothing below is mailed." in page
        assert "Week 1: mailed once the weekly highlights mail is on. old" in page

    def test_it_says_that_only_self_paced_courses_are_mailed(self, browser: Client, section: Section) -> None:
        assert "not self-paced" not in words(browser.get(outline_url(section.course)))
        Course.objects.update(self_paced=False)
        assert "This course is not self-paced" in words(browser.get(outline_url(section.course)))

    def test_it_says_that_no_mail_goes_out_after_the_last_week(self, browser: Client, c: Course) -> None:
        Course.objects.update(highlights_enabled_for_messaging=True)
        for index in range(12):
            factories.SectionFactory(course=c, index=index, highlights=[f"text {index}"])
        page = words(browser.get(outline_url(c)))
        assert "Week 11: mailed 77 days after" in page
        assert "Week 12: not mailed, the last mail is that of week 11. text 11" in page

    def test_it_numbers_as_the_mail_does(self, c: Course) -> None:
        Course.objects.update(highlights_enabled_for_messaging=True)
        variants = [(staff, hidden, said) for staff in (0, 1) for hidden in (0, 1) for said in ([], [" ", ""], ["x"])]
        for index, (staff, hidden, said) in enumerate(variants * 3):
            texts = [f"{text}{index}" if text.strip() else text for text in said]
            fields = {"visible_to_staff_only": bool(staff), "hide_from_toc": bool(hidden), "highlights": texts}
            factories.SectionFactory(course=c, index=100 - index, **fields)
        mailed = weekly_highlights([c.pk])[c.pk]
        shown = [(line.week, line.texts) for line in outline_of(c) if line.week]
        assert shown == list(enumerate(mailed, start=1))
        assert len(shown) == 3

    def test_author_text_is_escaped(self, browser: Client, section: Section) -> None:
        save(browser, section, "<b>Go & see</b>")
        for url in (outline_url(section.course), editor_url(section)):
            page = browser.get(url).content.decode()
            assert "&lt;b&gt;Go &amp; see&lt;/b&gt;" in page and "<b>Go" not in page

    def test_a_course_without_sections_says_so(self, browser: Client, c: Course) -> None:
        assert "This course has no sections yet." in words(browser.get(outline_url(c)))

    def test_it_needs_the_same_queries_for_one_and_for_fifty_sections(self, browser: Client, section: Section) -> None:
        counts = []
        for number in (1, 50):
            for index in range(Section.objects.count() + 1, number + 1):
                factories.SectionFactory(course=section.course, index=index, highlights=["text"])
            for url in (outline_url(section.course), editor_url(section)):
                with CaptureQueriesContext(connection) as queries:
                    assert browser.get(url).status_code == 200
                counts.append(len(queries))
        assert counts[:2] == counts[2:]
        assert max(counts) <= 12

    @pytest.mark.parametrize(("language", "said"), [("es", "Semana 1:"), ("fr", "Semaine 1 :")])
    def test_it_speaks_the_persons_language(
        self, browser: Client, author: Any, section: Section, language: str, said: str
    ) -> None:
        page = browser.get(outline_url(section.course), headers={"Accept-Language": language})
        assert said in words(page)
        factories.LearnerProfileFactory(user=author, language=language)
        assert said in words(browser.get(outline_url(section.course)))
        assert "caract" in words(save(browser, section, "x" * 251))


def test_the_docs_say_where_who_and_how_much() -> None:
    text = " ".join(DOCS.read_text(encoding="utf-8").partition("## Writing highlights")[2].split())
    assert f"`{SWITCH}`" in text and f"`{PERMISSION}`" in text
    assert f"at most {highlights.MOST_TEXTS} highlights of at most {HIGHLIGHT_LENGTH} characters" in text
    assert f"up to week {LAST_WEEK}" in text
    assert "`/courses/<course key>/outline/`" in text
