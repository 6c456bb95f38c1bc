"""The table of administrators …"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from courses.models import LearnerProfile
from email_automation.pipeline import chores
from license_notifications import directory
from license_notifications.directory import AdminRecord, DirectoryError, rows
from license_notifications.models import EnterpriseAdmin
from tests.courses.helpers import at_once
from tests.factories import CustomerAgreementFactory, EnterpriseAdminFactory, LearnerProfileFactory, UserFactory
from tests.license_notifications.lms import Lms, answers

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)
DAY = timedelta(days=1)
ENTERPRISE, OTHER = uuid4(), uuid4()


@pytest.fixture
def lms(settings: Any) -> Iterator[Lms]:
    with Lms.running() as server:
        server.use(settings)
        yield server


def record(number: int, **changes: Any) -> AdminRecord:
    """Return what the directory says of one person."""
    said = AdminRecord(
        ecu_id=number,
        lms_user_id=1000 + number,
        user_name=f"admin{number}",
        email=f"admin{number}@example.com",
        account_active=True,
        ecu_created=NOW - 10 * DAY,
        joined_date=NOW - 5 * DAY,
    )
    return replace(said, **changes)


def stored(number: int) -> EnterpriseAdmin:
    return EnterpriseAdmin.objects.get(ecu_id=number)


def listed(enterprise: UUID = ENTERPRISE) -> list[int]:
    found = EnterpriseAdmin.objects.filter(enterprise_customer_uuid=enterprise, listed=True)
    return list(found.order_by("ecu_id").values_list("ecu_id", flat=True))


def everything() -> list[dict[str, Any]]:
    return list(EnterpriseAdmin.objects.order_by("ecu_id").values())


class TestAnswers:
    """… takes in what the directory says."""

    def test_a_new_one_is_listed_with_account_and_anchor(self) -> None:
        assert directory.store(ENTERPRISE, [record(5)], now=NOW) == 1
        row = stored(5)
        assert (row.enterprise_customer_uuid, row.lms_user_id, row.user_name) == (ENTERPRISE, 1005, "admin5")
        assert (row.email, row.account_active, row.listed) == ("admin5@example.com", True, True)
        assert (row.anchor_at, row.anchor_source, row.refreshed_at) == (NOW - 5 * DAY, "joined", NOW)
        assert row.account is not None
        assert row.account.learner_profile.lms_user_id == 1005
        assert not row.account.has_usable_password()

    def test_a_known_one_is_brought_up_to_date(self) -> None:
        directory.store(ENTERPRISE, [record(5)], now=NOW)
        before = stored(5)
        changed = record(5, user_name="new", email="new@example.com", account_active=False, ecu_created=None)
        directory.store(ENTERPRISE, [changed], now=NOW + DAY)
        row = stored(5)
        assert (row.pk, row.account_id) == (before.pk, before.account_id)
        assert (row.user_name, row.email, row.account_active) == ("new", "new@example.com", False)
        assert (row.ecu_created, row.refreshed_at) == (None, NOW + DAY)

    @pytest.mark.parametrize(
        ("said", "anchor", "source"),
        [
            ({}, NOW - 5 * DAY, "joined"),
            ({"joined_date": None}, NOW - 10 * DAY, "created"),
            ({"joined_date": None, "ecu_created": None}, None, ""),
            ({"joined_date": NOW + 5 * DAY}, NOW + 5 * DAY, "joined"),
        ],
    )
    def test_case_32_weeks_count_from_when_they_joined(
        self, said: dict[str, Any], anchor: datetime | None, source: str
    ) -> None:
        LearnerProfileFactory(lms_user_id=1005, user__date_joined=NOW - 100 * DAY)
        directory.store(ENTERPRISE, [record(5, **said)], now=NOW)
        assert (stored(5).anchor_at, stored(5).anchor_source) == (anchor, source)

    def test_case_32_which_is_taken_once(self) -> None:
        directory.store(ENTERPRISE, [record(5, joined_date=None)], now=NOW)
        directory.store(ENTERPRISE, [record(5, ecu_created=NOW - 99 * DAY)], now=NOW + DAY)
        row = stored(5)
        assert (row.anchor_at, row.anchor_source) == (NOW - 10 * DAY, "created")
        assert (row.joined_date, row.ecu_created) == (NOW - 5 * DAY, NOW - 99 * DAY)
        # Nor does it go with being unlisted for a while.
        directory.store(ENTERPRISE, [record(6)], now=NOW + 2 * DAY)
        directory.store(ENTERPRISE, [record(5), record(6)], now=NOW + 3 * DAY)
        assert (stored(5).anchor_at, stored(5).listed) == (NOW - 10 * DAY, True)

    def test_once_there_is_something_to_take(self) -> None:
        directory.store(ENTERPRISE, [record(5, joined_date=None, ecu_created=None)], now=NOW)
        directory.store(ENTERPRISE, [record(5)], now=NOW + DAY)
        assert (stored(5).anchor_at, stored(5).anchor_source) == (NOW - 5 * DAY, "joined")

    @pytest.mark.parametrize("other", [{"enterprise_customer_uuid": OTHER}, {"lms_user_id": 77}])
    def test_a_number_that_means_another_link_now_begins_anew(self, other: dict[str, Any]) -> None:
        known = {"enterprise_customer_uuid": ENTERPRISE, "lms_user_id": 1005, "joined_date": NOW - 99 * DAY}
        EnterpriseAdminFactory(ecu_id=5, **known | other)
        directory.store(ENTERPRISE, [record(5)], now=NOW)
        row = stored(5)
        assert (row.enterprise_customer_uuid, row.lms_user_id) == (ENTERPRISE, 1005)
        assert row.anchor_at == NOW - 5 * DAY
        assert row.account_id == LearnerProfile.objects.get(lms_user_id=1005).user_id

    def test_who_is_not_named_any_more_is_unlisted_and_stays(self) -> None:
        directory.store(OTHER, [record(9)], now=NOW)
        directory.store(ENTERPRISE, [record(5), record(6)], now=NOW)
        directory.store(ENTERPRISE, [record(6), record(7)], now=NOW + DAY)
        assert (listed(), listed(OTHER)) == ([6, 7], [9])
        gone = stored(5)
        assert (gone.listed, gone.email, gone.refreshed_at) == (False, "admin5@example.com", NOW + DAY)
        # When that was is not moved by further answers.
        directory.store(ENTERPRISE, [record(6), record(7)], now=NOW + 2 * DAY)
        assert stored(5).refreshed_at == NOW + DAY

    def test_an_answer_that_names_nobody_unlists_nobody(self) -> None:
        directory.store(ENTERPRISE, [record(5), record(6)], now=NOW)
        before = everything()
        for _ in range(2):
            with pytest.raises(DirectoryError, match="The directory lost its administrators"):
                directory.store(ENTERPRISE, [], now=NOW + DAY)
            assert everything() == before

    def test_unless_there_was_nobody(self) -> None:
        assert directory.store(ENTERPRISE, [], now=NOW) == 0
        EnterpriseAdminFactory(enterprise_customer_uuid=ENTERPRISE, listed=False)
        assert directory.store(ENTERPRISE, [], now=NOW) == 0

    def test_an_answer_is_taken_in_whole_or_not_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        directory.store(ENTERPRISE, [record(5)], now=NOW)
        before, accounts = everything(), get_user_model().objects.count()
        with monkeypatch.context() as patch:
            patch.setattr(rows, "_write", lambda rows: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                directory.store(ENTERPRISE, [record(6)], now=NOW + DAY)
        assert everything() == before
        assert get_user_model().objects.count() == accounts

    def test_no_account_is_changed(self) -> None:
        root = LearnerProfileFactory(lms_user_id=1005, user__admin=True, user__email="root@example.com").user
        before = get_user_model().objects.filter(pk=root.pk).values().get()
        directory.store(ENTERPRISE, [record(5, email="evil@example.com", account_active=False)], now=NOW)
        assert stored(5).account == root
        assert get_user_model().objects.filter(pk=root.pk).values().get() == before

    def test_two_enterprises_of_one_person_share_an_account(self) -> None:
        directory.store(ENTERPRISE, [record(5, lms_user_id=7)], now=NOW)
        directory.store(OTHER, [record(6, lms_user_id=7)], now=NOW)
        assert stored(5).account_id == stored(6).account_id

    def test_one_person_twice_in_an_enterprise_too(self) -> None:
        directory.store(ENTERPRISE, [record(5, lms_user_id=7), record(6, lms_user_id=7)], now=NOW)
        assert stored(5).account_id == stored(6).account_id

    def test_fifty_cost_what_one_costs(self) -> None:
        costs = []
        for enterprise, numbers in ((ENTERPRISE, range(1, 2)), (OTHER, range(100, 150))):
            for now in (NOW, NOW + DAY):
                with CaptureQueriesContext(connection) as queries:
                    directory.store(enterprise, [record(number) for number in numbers], now=now)
                costs.append(len(queries))
        assert costs[:2] == costs[2:]


class TestSaving:
    """… completes what a host or a page of the admin saves."""

    def save(self, **fields: Any) -> EnterpriseAdmin:
        row = EnterpriseAdmin(
            **{"enterprise_customer_uuid": ENTERPRISE, "lms_user_id": 7, "user_name": "ann", **fields}
        )
        row.save()
        row.refresh_from_db()
        return row

    def test_with_account_anchor_and_number(self) -> None:
        first = self.save(ecu_created=NOW)
        assert (first.ecu_id, first.anchor_at, first.anchor_source) == (1, NOW, "created")
        assert first.account is not None
        assert first.account.username == "ann"
        assert self.save(ecu_id=40).account == first.account
        assert self.save(lms_user_id=8).ecu_id == 41

    def test_with_the_account_of_the_number_it_has_now(self) -> None:
        row = self.save()
        row.lms_user_id, row.user_name = 8, "bob"
        row.save(update_fields=["lms_user_id", "user_name"])
        row.refresh_from_db()
        assert row.account is not None
        assert row.account.learner_profile.lms_user_id == 8

    def test_without_moving_an_anchor(self) -> None:
        row = self.save(joined_date=NOW)
        row.joined_date = NOW - DAY
        row.save()
        row.refresh_from_db()
        assert row.anchor_at == NOW

    def test_and_leaves_no_account_of_a_row_that_cannot_be_stored(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            self.save(enterprise_customer_uuid=None)
        self.save(ecu_id=5)
        accounts = get_user_model().objects.count()
        with pytest.raises(IntegrityError), transaction.atomic():
            self.save(ecu_id=5, lms_user_id=8)
        assert get_user_model().objects.count() == accounts

    def test_also_rows_written_in_bulk_before_the_next_run(self) -> None:
        written = {"enterprise_customer_uuid": ENTERPRISE, "user_name": "x"}
        EnterpriseAdmin.objects.bulk_create(
            [
                EnterpriseAdmin(ecu_id=1, lms_user_id=7, joined_date=NOW, **written),
                EnterpriseAdmin(ecu_id=2, lms_user_id=8, **written),
                EnterpriseAdmin(ecu_id=3, lms_user_id=9, **written | {"enterprise_customer_uuid": OTHER}),
            ]
        )
        assert directory.complete([ENTERPRISE]) == 2
        assert directory.complete([ENTERPRISE]) == 0
        assert (stored(1).anchor_at, stored(1).anchor_source, stored(2).anchor_at) == (NOW, "joined", None)
        assert LearnerProfile.objects.get(lms_user_id=8).user == stored(2).account
        assert stored(3).account is None

    def test_fifty_in_bulk_cost_what_one_costs(self) -> None:
        costs = []
        for enterprise, count in ((ENTERPRISE, 1), (OTHER, 50)):
            EnterpriseAdmin.objects.bulk_create(
                EnterpriseAdmin(
                    ecu_id=count + index, lms_user_id=count + index, enterprise_customer_uuid=enterprise, user_name="x"
                )
                for index in range(count)
            )
            with CaptureQueriesContext(connection) as queries:
                assert directory.complete([enterprise]) == count
            costs.append(len(queries))
        assert costs[0] == costs[1]


class TestRefreshing:
    """… is brought up to date for a run."""

    def test_the_embedded_directory_is_asked_nothing(self) -> None:
        EnterpriseAdminFactory.create_batch(2, enterprise_customer_uuid=ENTERPRISE)
        EnterpriseAdminFactory(enterprise_customer_uuid=ENTERPRISE, listed=False)
        EnterpriseAdmin.objects.update(account=None)
        refreshed = directory.refresh([ENTERPRISE, OTHER], now=NOW)
        assert (refreshed.counts, refreshed.failures) == ({ENTERPRISE: 2, OTHER: 0}, [])
        assert not EnterpriseAdmin.objects.filter(account=None).exists()

    def test_case_40_one_that_fails_stops_no_other(self, lms: Lms, caplog: pytest.LogCaptureFixture) -> None:
        first, second, third = sorted(uuid4() for _ in range(3))
        for number, enterprise in enumerate((first, second, third), start=1):
            lms.link(enterprise, number)
        directory.refresh([first, second, third], now=NOW)
        before = stored(2)
        lms.link(second, 4)
        lms.list_script.extend([None, answers(500), answers(500), answers(500)])
        pauses: list[float] = []
        with caplog.at_level(logging.INFO):
            refreshed = directory.refresh([third, first, second], now=NOW + DAY, sleep=pauses.append)
        assert refreshed.counts == {first: 1, third: 1}
        assert [(failure.enterprise_uuid, failure.text) for failure in refreshed.failures] == [
            (second, "HTTP 500, 3 times.")
        ]
        assert len(pauses) == 2
        assert (stored(2).refreshed_at, stored(1).refreshed_at) == (before.refreshed_at, NOW + DAY)
        assert listed(second) == [2]
        assert "example.com" not in caplog.text
        assert directory.refresh([second], now=NOW + 2 * DAY).counts == {second: 2}

    def test_case_40_a_page_that_is_missing_leaves_the_table_as_it_was(self, lms: Lms) -> None:
        for number in range(11):
            lms.link(ENTERPRISE, number + 1)
        directory.refresh([ENTERPRISE], now=NOW)
        before = everything()
        lms.people[0]["user"]["email"] = "new@example.com"
        lms.list_script.extend([None, *[answers(504)] * 3])
        refreshed = directory.refresh([ENTERPRISE], now=NOW + DAY, sleep=lambda seconds: None)
        assert (refreshed.counts, len(refreshed.failures)) == ({}, 1)
        assert everything() == before

    def test_a_directory_that_names_nobody_any_more_is_a_failure(self, lms: Lms) -> None:
        lms.link(ENTERPRISE, 1)
        directory.refresh([ENTERPRISE], now=NOW)
        for changes in ({"user": {"username": "cadence-worker"}}, {"role_assignments": []}):
            lms.people.clear()
            lms.link(ENTERPRISE, 1, **changes)
            refreshed = directory.refresh([ENTERPRISE], now=NOW + DAY)
            assert [failure.text for failure in refreshed.failures] == ["The directory lost its administrators."]
            assert listed() == [1]

    def test_what_a_database_says_of_an_answer_is_not_passed_on(
        self, lms: Lms, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(enterprise: UUID, *args: Any, **kwargs: Any) -> int:
            if enterprise == ENTERPRISE:
                raise IntegrityError("DETAIL: Key (email)=(ann@example.com)")
            return 1

        monkeypatch.setattr(rows, "store", broken)
        refreshed = directory.refresh([ENTERPRISE, OTHER], now=NOW)
        assert [failure.text for failure in refreshed.failures] == [
            "IntegrityError while the directory's answer was taken in."
        ]
        assert list(refreshed.counts) == [OTHER]
        assert "ann@" not in caplog.text

    def test_case_42_to_ask_is_to_keep_nothing(self, lms: Lms) -> None:
        lms.link(ENTERPRISE, 1)
        accounts = get_user_model().objects.count()
        fetched = directory.fetch_each([ENTERPRISE])
        assert [answer.ecu_id for answer in fetched.answers[ENTERPRISE]] == [1]
        assert everything() == []
        with transaction.atomic():
            assert directory.store_each(fetched, now=NOW).counts == {ENTERPRISE: 1}
            transaction.set_rollback(True)
        assert everything() == []
        assert get_user_model().objects.count() == accounts


class TestForgetting:
    """… forgets addresses that it needs no more."""

    @pytest.mark.parametrize(
        ("is_listed", "ago", "kept"),
        [(False, 30 * DAY, True), (False, 30 * DAY + timedelta(seconds=1), False), (True, 300 * DAY, True)],
    )
    def test_after_thirty_days(self, is_listed: bool, ago: timedelta, kept: bool) -> None:
        row = EnterpriseAdminFactory()
        EnterpriseAdmin.objects.update(listed=is_listed, refreshed_at=NOW - ago)
        with time_machine.travel(NOW, tick=False):
            assert directory.forget_unlisted() == int(not kept)
            assert directory.forget_unlisted() == 0
        row.refresh_from_db()
        assert bool(row.email) is kept
        assert row.user_name

    def test_which_count_from_when_a_person_unlists_somebody_by_hand(self) -> None:
        with time_machine.travel(NOW - 90 * DAY, tick=False):
            row = EnterpriseAdminFactory()
        with time_machine.travel(NOW, tick=False):
            row.listed = False
            row.save()
            assert directory.forget_unlisted() == 0

    def test_in_every_sweep(self) -> None:
        assert directory.forget_unlisted in chores.chores()

    def test_and_knows_them_again_when_they_come_back(self) -> None:
        directory.store(ENTERPRISE, [record(5), record(6)], now=NOW - 90 * DAY)
        directory.store(ENTERPRISE, [record(6)], now=NOW - 80 * DAY)
        with time_machine.travel(NOW, tick=False):
            assert directory.forget_unlisted() == 1
        directory.store(ENTERPRISE, [record(5), record(6)], now=NOW)
        assert stored(5).email == "admin5@example.com"


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """… has several writers at a time."""

    def test_answers_about_one_enterprise_are_taken_in_one_after_the_other(self) -> None:
        CustomerAgreementFactory(enterprise_customer_uuid=ENTERPRISE)
        answers_ = [[record(number) for number in range(first, first + 20)] for first in (1, 11)]
        at_once(lambda number: directory.store(ENTERPRISE, answers_[number % 2], now=NOW))
        assert listed() in ([record.ecu_id for record in answer] for answer in answers_)
        assert EnterpriseAdmin.objects.count() == 30
        assert get_user_model().objects.count() == 30

    def test_everybody_gets_a_number_of_their_own(self) -> None:
        UserFactory(username="taken")

        def save(number: int) -> int:
            row = EnterpriseAdmin(
                enterprise_customer_uuid=ENTERPRISE, lms_user_id=number % 2 + 1, user_name=f"p{number % 2}"
            )
            row.save()
            return row.ecu_id

        assert sorted(at_once(save)) == [1, 2, 3, 4]
        assert LearnerProfile.objects.count() == 2
