"""Somebody whom a directory names …"""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import LearnerProfile
from courses.services import Stranger, account_ids
from tests.courses.helpers import at_once
from tests.factories import LearnerProfileFactory, UserFactory

pytestmark = pytest.mark.django_db

ANN = Stranger(7, "ann", "ann@example.com")


def account(stranger: Stranger = ANN) -> Any:
    """Return the account that a person gets."""
    return get_user_model().objects.get(pk=account_ids([stranger])[stranger.lms_user_id])


def test_gets_an_account_that_lets_nobody_in() -> None:
    user = account()
    assert (user.username, user.email, user.is_active, user.is_staff) == ("ann", "", True, False)
    assert not user.has_usable_password()
    assert user.learner_profile.lms_user_id == 7
    assert account() == user


def test_keeps_an_account_of_that_number_whatever_it_says() -> None:
    known = LearnerProfileFactory(lms_user_id=7, user__username="root", user__admin=True).user
    before = get_user_model().objects.values().get(pk=known.pk)
    assert account() == known
    assert get_user_model().objects.values().get(pk=known.pk) == before


@pytest.mark.parametrize("profile", [False, True])
def test_is_found_by_name_and_address_together(profile: bool) -> None:
    known = UserFactory(username="ann", email="Ann@Example.com")
    if profile:
        LearnerProfileFactory(user=known, language="fr")
    before = get_user_model().objects.values().get(pk=known.pk)
    assert account() == known
    assert get_user_model().objects.values().get(pk=known.pk) == before
    stored = LearnerProfile.objects.get(user=known)
    assert (stored.lms_user_id, stored.language) == (7, "fr" if profile else "")


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "other@example.com"},
        {"email": ""},
        {"email": "ann@example.com", "is_staff": True},
        {"email": "ann@example.com", "is_superuser": True},
    ],
)
def test_does_not_take_over_an_account_of_the_same_name(fields: dict[str, Any]) -> None:
    known = UserFactory(username="ann", **fields)
    user = account()
    assert user != known
    assert user.username == "ann_lms7"
    assert not LearnerProfile.objects.filter(user=known).exists()


def test_does_not_take_over_an_account_with_another_number() -> None:
    LearnerProfileFactory(lms_user_id=8, user__username="ann", user__email="ann@example.com")
    assert account().username == "ann_lms7"
    assert LearnerProfile.objects.get(lms_user_id=8).user.username == "ann"


def test_is_not_taken_for_another_one_of_the_same_name() -> None:
    known = UserFactory(username="ann", email="ann@example.com")
    found = account_ids([ANN, Stranger(8, "ann", "ann@example.com"), Stranger(9, "ann")])
    assert found[7] == known.pk
    assert len(set(found.values())) == 3


@pytest.mark.parametrize(
    ("name", "stored"),
    [("", "_lms7"), ("a b", None), ("x" * 150, "x" * 150), ("x" * 151, "x" * 145 + "_lms7")],
)
def test_gets_a_name_that_is_one_here(name: str, stored: str | None) -> None:
    username = account(Stranger(7, name)).username
    assert username == stored if stored else username.endswith("_lms7")
    get_user_model()._meta.get_field("username").clean(username, None)


def test_gets_another_name_when_both_are_taken() -> None:
    UserFactory(username="ann", email="")
    UserFactory(username="ann_lms7", email="")
    assert account().username.endswith("_lms7")


def test_costs_as_much_as_fifty() -> None:
    costs = []
    for number in (1, 50):
        UserFactory(username=f"known{number}", email=f"known{number}@example.com")
        people = [Stranger(number * 1000 + index, f"p{number}-{index}") for index in range(number)]
        people.append(Stranger(number, f"known{number}", f"known{number}@example.com"))
        with CaptureQueriesContext(connection) as queries:
            assert len(account_ids(people)) == number + 1
        costs.append(len(queries))
    assert costs[0] == costs[1]
    with CaptureQueriesContext(connection) as queries:
        account_ids(people)
    # One statement, and the transaction around it.
    assert len(queries) <= 3
    assert account_ids([]) == {}


@pytest.mark.django_db(transaction=True)
def test_gets_one_account_from_several_at_once() -> None:
    people = [Stranger(number, f"p{number}") for number in range(1, 21)]
    found = at_once(lambda number: account_ids(people if number % 2 else list(reversed(people))))
    assert all(accounts == found[0] for accounts in found)
    assert get_user_model().objects.count() == LearnerProfile.objects.count() == 20
