"""The demo's page: each button is a new fact and leads to its mail; nowhere but in the demo is there such a page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client

from courses.models import ContentItem, Course, Enrollment, Participant, Payment
from email_automation import consent
from email_automation.models import EmailLog
from lms.demo import fence
from lms.demo.deeds import DEEDS
from tests import factories

# The mail follows the commit of its fact.
pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/demo/"
TYPES = {
    "enrol": "enrollment",
    "pay": "payment_confirmation",
    "attend": "demo_completed",
    "publish": "new_content",
}


@pytest.fixture
def demo(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that serves the demo."""
    settings.DEBUG = True
    for name, value in fence.STAY_HERE.items():
        setattr(settings, name, value)
    monkeypatch.setattr("lms.demo.ground.is_ours", lambda: True)


@pytest.fixture
def ada(demo: None) -> Any:
    """The first learner, with a course."""
    factories.SiteConfigurationFactory(site=factories.platform_site(), org_filter=["HarbourX"])
    for number, title in (("NAV101", "Coastal Navigation"), ("WTR110", "Reading the Weather")):
        factories.CourseFactory(org="HarbourX", number=number, title=title)
    person = factories.UserFactory(username="ada", first_name="Ada", last_name="Whitcombe")
    factories.EnrollmentFactory(user=person, course=Course.objects.get(title="Coastal Navigation"))
    return person


def press(client: Client, name: str) -> str:
    response = client.post(f"{PAGE}{name}/", follow=True)
    assert response.redirect_chain[0][1] == 303
    assert response.status_code == 200
    return response.content.decode()


class TestWhereItIs:
    @pytest.fixture(params=["DEBUG", "EMAIL_BACKEND", "CELERY_BROKER_URL", "database"])
    def elsewhere(self, request: Any, ada: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        match request.param:
            case "DEBUG":
                settings.DEBUG = False
            case "database":
                monkeypatch.setattr("lms.demo.ground.is_ours", lambda: False)
            case name:
                setattr(settings, name, "another")

    def test_it_is_nowhere_else(self, elsewhere: None, client: Client) -> None:
        client.force_login(factories.UserFactory(admin=True))
        assert client.get(PAGE).status_code == 404
        for name in DEEDS:
            assert client.post(f"{PAGE}{name}/").status_code == 404
        assert 'href="/demo/"' not in client.get("/email/outbox/").content.decode()
        assert not EmailLog.objects.exists()

    def test_the_outbox_and_each_mail_lead_to_it(self, ada: Any, client: Client) -> None:
        press(client, "enrol")
        for path in ("/email/outbox/", f"/email/outbox/{EmailLog.objects.get().pk}/"):
            assert '<a class="line-link" href="/demo/">Let something happen</a>' in client.get(path).content.decode()

    def test_a_button_is_a_post_with_a_token(self, ada: Any) -> None:
        visitor = Client(enforce_csrf_checks=True)
        page = visitor.get(PAGE).content.decode()
        assert re.findall(r'method="post" action="/demo/(\w+)/"', page) == list(DEEDS)
        assert page.count('name="csrfmiddlewaretoken"') == len(DEEDS)
        assert visitor.post(f"{PAGE}enrol/").status_code == 403
        assert visitor.get(f"{PAGE}enrol/").status_code == 405
        assert visitor.post(PAGE).status_code == 403
        assert not EmailLog.objects.exists()

    def test_what_is_no_button_is_not_found(self, ada: Any, client: Client) -> None:
        assert client.post(f"{PAGE}steal/").status_code == 404

    @pytest.mark.parametrize("since", ["x", "-1", "9" * 40, ""])
    def test_a_strange_address_is_harmless(self, ada: Any, client: Client, since: str) -> None:
        client.post(f"{PAGE}enrol/")
        assert client.get(PAGE, {"since": since}).status_code == 200

    def test_without_learners_it_says_so(self, demo: None, client: Client) -> None:
        factories.platform_site()
        assert "There is no learner left" in client.get(PAGE).content.decode()
        assert client.post(f"{PAGE}enrol/").status_code == 404


class TestButtons:
    @pytest.mark.parametrize("name", DEEDS)
    def test_each_press_is_a_new_fact_with_a_mail_of_its_own(self, ada: Any, client: Client, name: str) -> None:
        for number in (1, 2, 3):
            page = press(client, name)
            assert "One mail went out." in page
            row = EmailLog.objects.latest("pk")
            assert (row.email_type, row.status, row.recipient) == (TYPES[name], "sent", ada)
            assert f'href="/email/outbox/{row.pk}/">{row.subject}' in page
            assert len(mail.outbox) == EmailLog.objects.count() == number

    def test_enrolling_goes_through_the_catalogue_and_then_makes_courses(self, ada: Any, client: Client) -> None:
        assert "Ada Whitcombe has enrolled in “Reading the Weather”." in press(client, "enrol")
        assert "Ada Whitcombe has enrolled in “Evening class 3”." in press(client, "enrol")
        assert "Ada Whitcombe has enrolled in “Evening class 4”." in press(client, "enrol")
        assert Enrollment.objects.filter(user=ada).count() == 4

    def test_paying_is_a_payment_that_succeeds(self, ada: Any, client: Client) -> None:
        page = press(client, "pay")
        payment = Payment.objects.get()
        assert (payment.is_successful, payment.user, payment.enrollment) == (True, ada, Enrollment.objects.get())
        assert f"transaction {payment.txn_ref}" in page

    def test_attending_is_a_demo_class_that_is_left(self, ada: Any, client: Client) -> None:
        press(client, "attend")
        row = Participant.objects.get()
        assert row.meeting.is_demo
        assert row.left_at is not None

    def test_publishing_tells_everybody_in_the_course_of_both_in_one_mail(self, ada: Any, client: Client) -> None:
        course = Course.objects.get(title="Coastal Navigation")
        factories.EnrollmentFactory.create_batch(7, course=course)
        unwilling = factories.EnrollmentFactory(course=course).user
        consent.set_course_opt_out(unwilling.pk, course, True)
        page = press(client, "publish")
        assert "8 mails went out, 1 skipped." in page
        assert "and 4 more" in page
        titles = list(ContentItem.objects.values_list("title", flat=True))
        assert len(titles) == 2
        assert len(mail.outbox) == 8
        for letter in mail.outbox:
            assert all(title in letter.body for title in titles)

    def test_who_wants_no_such_mail_gets_none_and_the_page_says_so(self, ada: Any, client: Client) -> None:
        consent.opt_out(ada.pk, "payment", source="one-click")
        page = press(client, "pay")
        assert "No mail went out, 1 skipped." in page
        assert "– skipped (opted_out:payment)" in page

    def test_who_has_left_every_course_comes_back_silently(self, ada: Any, client: Client) -> None:
        Enrollment.objects.update(is_active=False)
        assert "One mail went out." in press(client, "attend")

    def test_the_first_learner_is_nobody_of_the_staff(self, ada: Any, client: Client) -> None:
        get_user_model()._default_manager.filter(pk=ada.pk).update(is_staff=True)
        other = factories.UserFactory(first_name="Ben", last_name="O'Hara")
        assert "Ben O&#x27;Hara enrols in one more course." in client.get(PAGE).content.decode()
        press(client, "enrol")
        assert EmailLog.objects.get().recipient == other
