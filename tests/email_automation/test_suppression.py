"""Addresses that get no mail: how one is suppressed, how it is released, and what the admin shows of it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.signing import Signer
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.crypto import salted_hmac
from edx_ace.channel import ChannelType
from edx_ace.message import Message
from edx_ace.recipient import Recipient

from email_automation import consent, signing, words
from email_automation.models import EmailLog, EmailPreference, ProviderEventCount, SuppressedAddress
from email_automation.policies import BulkEmailOptout
from tests import factories

from .test_consent import planned
from .test_ledger_races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.every_database]

ADDRESSES = "/admin/email_automation/suppressedaddress/"
COUNTS = "/admin/email_automation/providereventcount/"


@pytest.fixture
def ann() -> Any:
    return factories.UserFactory(email="ann@example.com")


def reasons() -> list[str]:
    return list(SuppressedAddress.objects.order_by("pk").values_list("reason", flat=True))


def sources() -> list[str]:
    return list(EmailPreference.history.order_by("history_id").values_list("history_change_reason", flat=True))


def test_a_digest_tells_nothing_and_is_the_same_for_every_way_to_write_an_address(settings: Any) -> None:
    digest = consent.address_digest("Ann@Example.com")
    assert digest == consent.address_digest(" ann@example.COM\n")
    assert len(digest) == 64 and "ann" not in digest
    # It is stored, so it never changes.
    assert digest == salted_hmac("email_automation.address", "ann@example.com", algorithm="sha256").hexdigest()
    assert digest != consent.address_digest("anne@example.com")
    assert digest != Signer(salt="email_automation.address").signature("ann@example.com")
    settings.SECRET_KEY = "another"
    assert digest != consent.address_digest("ann@example.com")


def test_a_bounce_suppresses_person_and_address_and_withdraws_what_waits(ann: Any) -> None:
    row, other = planned(ann), planned(factories.UserFactory())
    consent.suppress(ann.pk, "ANN@example.com", reason=consent.BOUNCE)
    preference = EmailPreference.of(ann.pk)
    assert preference.suppressed_at is not None
    assert (preference.suppression_reason, reasons(), sources()) == ("bounce", ["bounce"], ["bounce"])
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.status, row.reason, row.dedupe_key) == (words.SKIPPED, words.SUPPRESSED, None)
    assert other.status == words.PENDING


def test_what_is_suppressed_already_stays_as_it_is(ann: Any) -> None:
    consent.suppress(ann.pk, ann.email, reason=consent.BOUNCE)
    first = EmailPreference.of(ann.pk).suppressed_at
    consent.suppress(ann.pk, ann.email, reason=consent.COMPLAINT)
    preference = EmailPreference.of(ann.pk)
    assert (preference.suppressed_at, preference.suppression_reason) == (first, "bounce")
    assert (reasons(), sources()) == (["bounce"], ["bounce"])


def test_what_a_person_chose_is_kept(ann: Any) -> None:
    consent.opt_out(ann.pk, "goal", source="one-click")
    consent.suppress(ann.pk, ann.email, reason=consent.BOUNCE)
    consent.release(ann.pk, source="admin")
    preference = EmailPreference.of(ann.pk)
    assert (preference.suppressed_at, preference.goal_emails, preference.is_subscribed) == (None, False, True)


def test_an_address_somebody_has_left_is_suppressed_without_them(ann: Any) -> None:
    row = planned(ann)
    consent.suppress(ann.pk, "ann@old.example.com", reason=consent.BOUNCE)
    assert not EmailPreference.objects.exists()
    assert consent.suppressed_among(["ann@old.example.com", ann.email]) == {"ann@old.example.com"}
    row.refresh_from_db()
    assert row.status == words.PENDING


def test_an_account_that_is_gone_leaves_the_digest(ann: Any) -> None:
    consent.suppress(10**9, ann.email, reason=consent.COMPLAINT)
    assert not EmailPreference.objects.exists()
    assert consent.suppressed_among([ann.email]) == {ann.email}


def test_a_release_takes_both_away_and_may_be_repeated(ann: Any) -> None:
    consent.suppress(ann.pk, ann.email, reason=consent.BOUNCE)
    consent.remember("other@example.com", reason=consent.BOUNCE)
    for _ in range(2):
        consent.release(ann.pk, source="admin")
    assert EmailPreference.of(ann.pk).suppressed_at is None
    assert consent.suppressed_among([ann.email, "other@example.com"]) == {"other@example.com"}
    assert sources() == ["bounce", "admin"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "sha512", "sha3_256", "blake2b"])
def test_texts_are_signed_as_hmac_signs_them(algorithm: str) -> None:
    for text in (b"", b"[1,2]", b"x" * 1000):
        key = hashlib.new(algorithm, b"saltkey").digest()
        assert signing._derived("salt", "key", algorithm).digest(text) == hmac.digest(key, text, algorithm)
    ordinary = salted_hmac("salt", "text", "key", algorithm="sha256").hexdigest()
    assert signing.keyed_digest("salt", "text", "key") == ordinary


def test_to_ask_about_many_addresses_is_one_statement() -> None:
    with CaptureQueriesContext(connection) as queries:
        consent.suppressed_among([f"ann{number}@example.com" for number in range(500)])
    assert len(queries) == 1


@pytest.mark.django_db(transaction=True)
def test_processes_that_suppress_and_release_at_once_end_one_way_or_the_other() -> None:
    for number in range(5):
        person = factories.UserFactory()
        bounce = lambda person=person: consent.suppress(person.pk, person.email, reason="bounce")  # noqa: E731
        choice = lambda person=person: consent.opt_out(person.pk, "goal", source="admin")  # noqa: E731
        at_once(bounce, bounce, choice, *([lambda p=person: consent.release(p.pk, source="admin")] * (number % 2)))
        preference = EmailPreference.objects.get(user=person)
        stored = consent.suppressed_among([person.email])
        assert bool(stored) is (preference.suppressed_at is not None)
        assert bool(stored) or number % 2
        assert not preference.goal_emails
        assert SuppressedAddress.objects.filter(digest=consent.address_digest(person.email)).count() == len(stored)


class TestAdmin:
    @pytest.fixture
    def root(self, client: Client) -> Client:
        client.force_login(factories.UserFactory(admin=True))
        return client

    def test_an_address_is_found_by_its_exact_text_and_not_shown(self, root: Client, ann: Any) -> None:
        consent.remember(ann.email, reason="bounce")
        consent.remember("other@example.com", reason="erased")
        page = root.get(ADDRESSES, {"q": "ANN@example.com"}).content.decode()
        assert "bounce" in page and "erased" not in page
        everything = root.get(ADDRESSES).content.decode()
        assert "erased" in everything
        assert ann.email not in everything
        assert "erased" not in root.get(ADDRESSES, {"q": "other"}).content.decode()

    def test_one_is_taken_away_by_who_may_and_never_added_or_edited(self, root: Client, ann: Any) -> None:
        consent.remember(ann.email, reason="erased")
        row = SuppressedAddress.objects.get()
        viewer, remover = Client(), Client()
        for client, names in ((viewer, ["view"]), (remover, ["view", "delete"])):
            user = factories.UserFactory(is_staff=True)
            codenames = [f"{name}_suppressedaddress" for name in names]
            user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
            client.force_login(user)
        assert root.get(f"{ADDRESSES}add/").status_code == 403
        assert root.post(f"{ADDRESSES}{row.pk}/change/", {"reason": "x"}).status_code == 403
        assert viewer.post(f"{ADDRESSES}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert remover.post(f"{ADDRESSES}{row.pk}/delete/", {"post": "yes"}).status_code == 302
        assert consent.suppressed_among([ann.email]) == set()

    def test_clearing_a_persons_suppression_releases_the_address(self, root: Client, ann: Any) -> None:
        consent.suppress(ann.pk, ann.email, reason=consent.COMPLAINT)
        row = EmailPreference.objects.get()
        url = f"/admin/email_automation/emailpreference/{row.pk}/change/"
        form = {"is_subscribed": "on", "initial-is_subscribed": "on", "clear_suppression": "on"}
        for category in words.CATEGORIES:
            form |= {f"{category}_emails": "on", f"initial-{category}_emails": "on"}
        assert root.post(url, form).status_code == 302
        assert EmailPreference.of(ann.pk).suppressed_at is None
        assert (reasons(), sources()) == ([], ["complaint", "admin"])
        latest = EmailPreference.history.latest("history_id")
        assert latest.history_user.is_superuser

    @pytest.mark.parametrize("path", [ADDRESSES, COUNTS])
    def test_a_list_costs_the_same_however_long_it_is(self, root: Client, path: str) -> None:
        counts = []
        for number in (1, 60):
            for index in range(number):
                consent.remember(f"{number}-{index}@example.com", reason="bounce")
                ProviderEventCount.objects.create(
                    day=f"2026-01-{index % 28 + 1:02}", provider=f"{number}-{index}", event="opened", known=True
                )
            with CaptureQueriesContext(connection) as queries:
                assert root.get(path).status_code == 200
            counts.append(len(queries))
            assert not [query for query in queries if "COUNT(" in query["sql"]]
        assert counts[0] == counts[1]

    def test_counts_are_only_to_read(self, root: Client) -> None:
        row = ProviderEventCount.objects.create(day="2026-01-01", provider="Mailgun", event="opened", known=False)
        assert "Mailgun" in root.get(COUNTS).content.decode()
        assert root.get(f"{COUNTS}add/").status_code == 403
        assert root.post(f"{COUNTS}{row.pk}/change/", {"number": 7}).status_code == 403
        assert root.post(f"{COUNTS}{row.pk}/delete/", {"post": "yes"}).status_code == 403
        assert not EmailLog.objects.exists()


def test_mail_that_a_host_sends_by_itself_and_its_question_know_the_address_too() -> None:
    erased, other = factories.UserFactory(), factories.UserFactory()
    consent.remember(erased.email, reason=consent.ERASED)
    for person, denied in ((erased, {ChannelType.EMAIL}), (other, set())):
        letter = Message(
            app_label="host",
            name="hello",
            recipient=Recipient(person.pk, person.email),
            language="en",
            expiration_time=None,
        )
        assert BulkEmailOptout().check(letter).deny == denied
        assert EmailPreference.of(person.pk).can_receive_email("enrollment") is not bool(denied)
