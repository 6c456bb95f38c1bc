"""Cohorts: what is filled in equals what is rendered in full, byte for byte, or is rendered in full."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import attr
import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.template import engines
from django.test.utils import override_settings
from django.utils import timezone
from django.utils.safestring import SafeString
from edx_ace import presentation
from hypothesis import given, settings
from hypothesis import strategies as st

from courses import sites
from email_automation.channels import mime
from email_automation.channels.mail import document
from email_automation.models import EmailLog, EmailTemplate
from email_automation.pipeline import cohort, letters, message
from email_automation.pipeline.desk import Desk
from email_automation.pipeline.policy import Verdict
from email_automation.pipeline.resolver import Draft
from email_automation.pipeline.run import Run
from email_automation.templating import stored, usage
from tests.message_factories import FACTORIES

pytestmark = pytest.mark.django_db

DAY = date(2017, 8, 1)
LABELS = sorted(kind.label() for kind in message.all_messages())
LANGUAGES = [code for code, _ in django_settings.LANGUAGES]
ODD = [
    "",
    "Ada",
    'O\'Hara & <b>"Söhne"</b>',
    "%(first_name)s {{ user }} {% now %}",
    "two\r\nlines\n\nBcc: a@example.com",
    "\u202eadA\u202c \u05e9\u05dc\u05d5\u05dd",
    "e\u0301\u200d\U0001f469\u200d\U0001f680\u2028\x85\x00\x1b",
    "&amp; &lt; \\1 \\g<0>",
    "  \u00a0 ",
    "x" * 5000,
]
NAMES = st.one_of(st.sampled_from(ODD), st.text(max_size=40))
numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    cohort.forget()
    yield
    cohort.forget()


@pytest.fixture
def site() -> Site:
    return Site.objects.get(pk=django_settings.SITE_ID)


class Mails:
    """Makes one message's mails for people of any name."""

    def __init__(self, label: str, site: Site, language: str) -> None:
        self.kind, self.site = message.get(label), site
        factory = FACTORIES[label]()
        factory.switch(site, enqueue=True, deliver=True)
        factory.due(1, day=DAY, site=site, language=language)
        self.run: Run = self.kind.starting(site.pk, day=DAY)
        resolver = self.kind.resolver()
        targets = [row.target_id for page in resolver.audience(self.run) for row in page]
        (self.draft,) = resolver.drafts(self.run, targets)
        self.brand = sites.brand(site)

    def share(self, **shared: str) -> None:
        """Have the mails that follow be of another cohort."""
        self.draft = Draft(**{**vars(self.draft), "shared": {**self.draft.shared, **shared}})

    def prepared(self, names: dict[str, str], **personal: str) -> letters.Letter:
        draft = Draft(**{**vars(self.draft), "user_id": next(numbers), "personal": {**self.draft.personal, **personal}})
        person = Verdict(draft.user_id, address="a@example.com", names=names)
        row = EmailLog(
            pk=next(numbers), email_type=self.kind.NAME, site=self.site, expires_at=timezone.now() + timedelta(days=1)
        )
        letter = Desk(self.kind, self.run, self.brand, domain=self.site.domain).prepare(row, draft, person)
        assert isinstance(letter, letters.Letter), letter
        return letter


def names(first: str, last: str, username: str) -> dict[str, str]:
    return {"first_name": first, "last_name": last, "username": username, "full_name": f"{first} {last}".strip()}


def renderings() -> Any:
    return mock.patch.object(presentation, "render", wraps=presentation.render)


def check(letter: letters.Letter) -> None:
    """Compare a letter with what the ordinary way makes of it."""
    whole = presentation.render(letter.channel, letter.message)
    assert letter.rendered == whole
    assert attr.astuple(letter.rendered) == attr.astuple(whole)
    parts = letter.rendered.parts() if hasattr(letter.rendered, "parts") else None
    if parts is not None:
        assert parts == mime.parts(whole.body, document(whole, letter.message.language))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("label", LABELS)
def test_every_stock_mail_equals_full_rendering_whatever_the_names(site: Site, label: str, language: str) -> None:
    mails = Mails(label, site, language)
    for _ in range(2):
        for first, last in (("Ada", "B"), ("", "B"), ("Ada", ""), ("", "")):
            mails.prepared(names(first, last, "ada"))

    @settings(max_examples=25, deadline=None, database=None)
    @given(NAMES, NAMES, NAMES, st.sampled_from(ODD[1:]))
    def compare(first: str, last: str, username: str, value: str) -> None:
        personal = {name: value for name, given in mails.draft.personal.items() if given}
        check(mails.prepared(names(first, last, username or "u"), **personal))

    compare()
    with renderings() as rendered:
        check(mails.prepared(names("Zoë", "<i>", "zoe")))
    # The one rendering is that of `check`: the mail itself has been filled in.
    assert rendered.call_count == 1


@pytest.mark.parametrize("text", ["", "Dear {{ user.first_name|upper }}, {{ unsubscribe_url }}"])
def test_edited_templates_equal_full_rendering(site: Site, text: str) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    EmailTemplate.objects.create(
        name="Mine",
        email_type="recurringnudge_day3",
        subject="Hi {{ user.first_name|truncatechars:5 }}",
        html_content="<p>{{ user.first_name }} {% if user.last_name == 'B' %}B{% endif %}</p>",
        text_content=text,
    )
    stored.refresh()
    for name in ODD * 2:
        check(mails.prepared(names(name, "B", "u")))


def test_a_template_that_changes_between_two_slices_is_seen(site: Site) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    for _ in range(3):
        mails.prepared(names("Ada", "B", "u"))
    EmailTemplate.objects.create(
        name="Mine", email_type="recurringnudge_day3", subject="Mine", html_content="<p>Mine</p>"
    )
    stored.refresh()
    cohort.look_again()
    assert mails.prepared(names("Ada", "B", "u")).rendered.subject == "Mine"


def test_a_cohort_is_rendered_once_and_the_first_three_once_more_to_prove_it(site: Site) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    made = []
    for number in range(6):
        mails.share(course_name=f"Course {number}")
        with renderings() as rendered:
            for person in range(25):
                mails.prepared(names(f"Learner {person}", "B", f"u{person}"))
        made.append(rendered.call_count)
    assert made == [2, 2, 2, 1, 1, 1]
    # Where a name is empty the templates go other ways, which nobody has seen yet.
    with renderings() as rendered:
        mails.prepared(names("", "B", "u"))
    assert rendered.call_count == 2


def test_the_cohort_not_met_for_longest_is_forgotten_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort, "MOST_SHAPES", 2)
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    made = []
    # Three to prove the templates, then others, of which two at a time are known.
    for number in (0, 1, 2, 3, 4, 3, 5, 3, 4):
        mails.share(course_name=f"Course {number}")
        with renderings() as rendered:
            check(mails.prepared(names("Ada", "B", "u")))
        made.append(rendered.call_count - 1)
    assert made == [2, 2, 2, 1, 1, 0, 1, 0, 1]


def test_a_shape_that_does_not_give_the_first_mail_is_not_used(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    # As a filter would do that remembers whom it was called for.
    said = iter(["first", "another"])
    found = presentation.render

    def fickle(*given: Any) -> Any:
        return attr.evolve(found(*given), subject=SafeString(next(said, "later")))

    with mock.patch.object(presentation, "render", fickle):
        made = [mails.prepared(names(f"Learner {number}", "B", f"u{number}")) for number in range(4)]
    assert [letter.rendered.subject for letter in made] == ["later", "later", "later", "later"]
    assert "a mail that was filled in differs" in caplog.text


def test_one_learners_values_never_reach_another(site: Site) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    made = [mails.prepared(names(f"Learner{number}X", "B", f"u{number}")) for number in range(5)]
    for number, letter in enumerate(made):
        others = [f"Learner{other}X" for other in range(5) if other != number]
        whole = "".join(attr.astuple(letter.rendered))
        assert f"Learner{number}X" in whole
        assert not any(other in whole for other in others)
        uuids = [str(other.row.message_uuid) for other in made if other is not letter]
        assert not any(uuid in whole for uuid in uuids)


USES = {
    "{{ user.first_name }}{% if user.first_name %}x{% endif %}": "",
    "{% with a=user.first_name %}{{ a }}{% endwith %}": "",
    "{% if not user.first_name and course %}{{ user.last_name }}{% endif %}": "",
    "{% autoescape off %}{{ user.first_name }}{% endautoescape %}{{ user.first_name }}": "",
    "{% load i18n %}{% blocktrans with a=user.first_name %}Hi {{ a }}{% endblocktrans %}": "",
    "{% load i18n %}{% blocktrans asvar t with a=user.first_name %}Hi {{ a }}{% endblocktrans %}{{ t }}": "",
    "{% firstof user.first_name user.last_name 'x' %}": "",
    "{% for link in links %}{{ link.url }}{% endfor %}{{ links|length }}": "",
    "{% with first=links|first %}{{ first.url }}{{ first.text|upper }}{% endwith %}": "",
    "{{ user.first_name|upper }}": "more than printing",
    "{{ user.first_name|default:'x' }}": "more than printing",
    "{{ course|default:user.first_name }}": "argument",
    "{% if user.first_name == 'Ada' %}x{% endif %}": "compared",
    "{% if user.first_name in 'Ada Bob' %}x{% endif %}": "compared",
    "{% if course and user.first_name|length > 3 %}x{% endif %}": "more than printing",
    "{% for sign in user.first_name %}{{ sign }}{% endfor %}": "gone through",
    "{{ user.first_name.0 }}": "prints",
    "{{ user.first_name.upper }}": "prints",
    "{{ user }}": "part of",
    "{% for name in user.values %}{{ name }}{% endfor %}": "may bring it out",
    "{% for key, value in user.items %}{{ value }}{% endfor %}": "may bring it out",
    "{% with u=user %}{{ u.first_name|lower }}{% endwith %}": "more than printing",
    "{% with u=user %}{% with n=u.first_name %}{% if n == 'x' %}{% endif %}{% endwith %}{% endwith %}": "compared",
    "{% filter upper %}{{ user.first_name }}{% endfilter %}": "FilterNode",
    "{% spaceless %}<b> {{ user.first_name }} </b>{% endspaceless %}": "SpacelessNode",
    "{% ifchanged user.first_name %}x{% endifchanged %}": "IfChangedNode",
    "{% with forloop=user %}{% for link in links %}{% if forloop.parentloop.first_name == 'Ada' %}x{% endif %}"
    "{% endfor %}{% endwith %}": "a loop's own name",
    "{{ user.first_name|default_if_none:user.last_name }}": "",
    "{% include user.first_name %}": "not plainly named",
    "{% now 'Y' %}": "NowNode",
    "{% load i18n %}{% trans user.first_name %}": "translated",
    "{% load i18n %}{% blocktrans count n=user.first_name|length %}a{% plural %}b{% endblocktrans %}": "more than",
    "{% load i18n %}{% blocktrans with a=user.first_name|upper %}{{ a }}{% endblocktrans %}": "more than printing",
    "{% load i18n %}{% blocktrans asvar t with a=user.first_name %}Hi {{ a }}{% endblocktrans %}{{ t|upper }}": "more",
    "{% for link in links %}{{ link.url|urlencode }}{% endfor %}": "more than printing",
    "{{ links|join:', ' }}": "more than printing",
    "{{ message.recipient.email_address }}": "differs from mail to mail",
    "{% if message.uuid %}x{% endif %}": "differs from mail to mail",
}


@pytest.mark.parametrize(("source", "reason"), USES.items())
def test_what_a_template_does_with_a_value_is_known_without_running_it(source: str, reason: str) -> None:
    template = engines["django"].from_string(source).template
    paths = [("user", "first_name"), ("user", "last_name"), ("links", usage.EACH, "url")]
    if not reason:
        usage.check([template], paths, closed=cohort.WHOLE_MAIL)
        return
    with pytest.raises(usage.Misuse, match=reason):
        usage.check([template], paths, closed=cohort.WHOLE_MAIL)


@pytest.mark.parametrize("source", sorted(USES.keys() - {"{% include user.first_name %}"}))
def test_whatever_a_host_s_own_template_does_the_mail_is_that_of_full_rendering(
    site: Site, source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "schedules/edx_ace/recurringnudge_day3/email"
    folder.mkdir(parents=True)
    for part in ("body.txt", "body.html", "subject.txt"):
        (folder / part).write_text(source)
    edited, ordinary = django_settings.TEMPLATES
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    with override_settings(TEMPLATES=[edited, {**ordinary, "DIRS": [tmp_path, *ordinary.get("DIRS", [])]}]):
        for name in ODD[1:] * 2:
            check(mails.prepared(names(name, "B", "u")))
    said = [record for record in caplog.records if "in full for each learner" in record.message]
    assert len(said) <= 1
    assert all(record.levelno == logging.WARNING and "Ada" not in record.message for record in said)


@pytest.mark.parametrize("value", [SafeString("<b>Ada</b>"), 5])
def test_what_is_no_plain_text_is_rendered_in_full(site: Site, value: Any) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    for _ in range(3):
        check(mails.prepared(names(value, "B", "u")))


def test_mails_that_differ_in_what_they_share_are_of_different_cohorts(site: Site) -> None:
    mails = Mails("schedules.recurringnudge_day3", site, "en")
    plain = dict(mails.draft.shared)
    for flag in (True, 1, "1", False, 0, "", None, SafeString("<b>")) * 3:
        mails.draft.shared = {**plain, "flag": flag, "course_name": flag}
        check(mails.prepared(names("Ada", "B", "u")))
