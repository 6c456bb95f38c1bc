"""Why somebody got a mail, or not: the explanation and its admin page."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission
from django.contrib.sites.models import Site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from email_automation import consent, words
from email_automation.explanation import explain, refusal_sentence
from email_automation.models import EmailLog
from email_automation.pipeline import dispatch, message
from schedules import dates
from schedules.models import Schedule
from tests import factories
from tests.message_factories import NudgeDay3

pytestmark = pytest.mark.django_db

URL = "/admin/email_automation/emaillog/explain/"
LABEL = NudgeDay3.label
DAY = date(2017, 8, 1)


@pytest.fixture
def site() -> Site:
    return factories.platform_site()


@pytest.fixture
def made(site: Site) -> NudgeDay3:
    made = NudgeDay3()
    made.switch(site, enqueue=True, deliver=True)
    return made


@pytest.fixture
def ann(made: NudgeDay3, site: Site) -> Any:
    (user,) = made.due(1, day=DAY, site=site)
    return user


def told(user: Any, day: date = DAY) -> Any:
    return explain(message.get(LABEL), user.pk, settings.SITE_ID, day=day)


class TestVerdict:
    def test_somebody_due_would_get_it(self, ann: Any) -> None:
        found = told(ann)
        assert found.verdict == "A run of this day would send this mail."
        assert found.due
        assert found.refusal_sentence == ""

    def test_somebody_who_got_it_is_shown_the_row(self, ann: Any, site: Site) -> None:
        dispatch.run_daily(message.get(LABEL), site.pk, day=DAY)
        row = EmailLog.objects.get()
        assert told(ann).verdict == f"There is a mail for this occasion already: log row {row.pk}, sent."

    def test_the_condition_that_fails_is_named(self, ann: Any) -> None:
        ann.enrollments.update(is_active=False)
        assert told(ann).verdict == "No mail: condition active_enrollment does not hold."

    def test_somebody_without_a_schedule_has_nothing(self, site: Site) -> None:
        assert told(factories.UserFactory()).verdict == "Nothing this message is about exists for this person."

    def test_policy_is_told_after_the_conditions(self, ann: Any) -> None:
        consent.opt_out(ann.pk, "reminder", source="one-click")
        found = told(ann)
        assert found.verdict == "No mail: opted_out:reminder."
        assert found.refusal_sentence == "The person wants no mail of this kind."

    def test_switches_are_told(self, ann: Any, made: NudgeDay3, site: Site) -> None:
        made.switch(site, enqueue=True, deliver=False)
        assert told(ann).verdict == "No mail: the message is switched off for this site."

    def test_a_course_that_was_opted_out_of_is_told(self, ann: Any) -> None:
        consent.set_course_opt_out(ann.pk, ann.enrollments.get().course, True)
        found = told(ann)
        assert found.verdict == "No mail: opted_out:course."
        assert found.course_opt_outs == 1

    def test_every_word_of_policy_has_a_sentence(self) -> None:
        refusals = [words.INACTIVE_USER, words.NO_EMAIL_ADDRESS, words.SUPPRESSED, words.UNSUBSCRIBED]
        refusals += [words.OPTED_OUT_COURSE, *(f"{words.OPTED_OUT}:{category}" for category in words.CATEGORIES)]
        assert all(refusal_sentence(word) != word for word in refusals)
        assert refusal_sentence("something_new") == "something_new"

    def test_it_writes_nothing(self, ann: Any) -> None:
        with CaptureQueriesContext(connection) as queries:
            told(ann)
        assert all(query["sql"].startswith("SELECT") for query in queries)


def enrol_more(user: Any, number: int) -> None:
    for _ in range(number):
        enrollment = factories.EnrollmentFactory(user=user)
        start = dates.day_start(date(2017, 7, 1))
        Schedule.objects.update_or_create(enrollment=enrollment, defaults={"start_date": start})


def test_one_row_and_fifty_take_the_same_queries(ann: Any) -> None:
    told(ann)
    with CaptureQueriesContext(connection) as one:
        assert len(told(ann).findings) == 1
    enrol_more(ann, 49)
    with CaptureQueriesContext(connection) as many:
        assert len(told(ann).findings) == 50
    assert len(one) == len(many)


class TestPage:
    @pytest.fixture
    def explainer(self, client: Client) -> Client:
        user = factories.UserFactory(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="explain_email"))
        client.force_login(user)
        return client

    def ask(self, client: Client, user: Any, **more: Any) -> str:
        response = client.get(URL, {"message": LABEL, "user": user, "date": DAY.isoformat(), **more})
        assert response.status_code == 200
        return response.content.decode()

    def test_it_offers_every_message(self, explainer: Client) -> None:
        page = explainer.get(URL).content.decode()
        for kind in message.all_messages():
            assert f'<option value="{kind.label()}">' in page
        assert "errorlist" not in page

    @pytest.mark.parametrize("by", ["pk", "username", "email"])
    def test_it_takes_an_id_a_user_name_or_an_address(self, explainer: Client, ann: Any, by: str) -> None:
        page = self.ask(explainer, getattr(ann, by))
        assert "A run of this day would send this mail." in page
        assert ann.email not in page.replace(f'value="{ann.email}"', "")

    def test_each_answer_is_a_word_with_a_sign(self, explainer: Client, ann: Any) -> None:
        ann.enrollments.update(is_active=False)
        page = self.ask(explainer, ann.pk)
        rows = dict(re.findall(r"<strong>(✓ yes|✗ no)</strong>\s*</td><td>([^<]+)</td>", page)[::-1])
        assert rows["✗ no"] == "The enrolment is active"
        assert "No mail: condition active_enrollment does not hold." in page

    def test_policy_switches_and_rows_follow(self, explainer: Client, ann: Any, site: Site) -> None:
        dispatch.run_daily(message.get(LABEL), site.pk, day=DAY)
        row = EmailLog.objects.get()
        page = self.ask(explainer, ann.pk)
        assert "The person may be mailed." in page
        assert "Planning is on." in page
        assert f"#{row.pk}" in page
        # A link only for who may follow it.
        assert f"/emaillog/{row.pk}/change/" not in page
        explainer.force_login(factories.UserFactory(admin=True))
        assert f"/emaillog/{row.pk}/change/" in self.ask(explainer, ann.pk)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"user": "nobody-at-all"},
            {"user": "9" * 40},
            {"user": ""},
            {"message": "schedules.no_such"},
            {"date": "2017-02-30"},
            {"site": "999999"},
            {"site": "x"},
        ],
    )
    def test_a_wrong_value_is_told_at_its_field(self, explainer: Client, ann: Any, wrong: dict[str, str]) -> None:
        page = self.ask(explainer, **{"user": ann.pk, **wrong})
        assert "errorlist" in page
        assert 'verdict"><strong>' not in page

    def test_one_row_and_fifty_take_the_same_queries(self, explainer: Client, ann: Any) -> None:
        self.ask(explainer, ann.pk)
        with CaptureQueriesContext(connection) as one:
            self.ask(explainer, ann.pk)
        enrol_more(ann, 49)
        with CaptureQueriesContext(connection) as many:
            self.ask(explainer, ann.pk)
        assert len(one) == len(many)
