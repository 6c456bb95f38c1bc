"""Accounts for people of whom nothing is known here but what a directory says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.crypto import get_random_string

from courses.bulk import insert_if_absent, locked, retry_on_deadlock
from courses.models import LearnerProfile
from courses.services.accounts import MAX_RACES, LostRace, numbered, unusable_password


@dataclass(frozen=True, slots=True)
class Stranger:
    """A person as a directory names one."""

    lms_user_id: int
    username: str
    email: str = ""


@retry_on_deadlock
def account_ids(strangers: Iterable[Stranger]) -> dict[int, int]:
    """Return {number on the platform: id of the account here}, with a constant number of queries.

    An account without a number whose name and address are both the stranger's gets the number, unless it has rights
    here. Who has no account gets one that lets nobody in and has no address: consent needs a place to live, and the
    directory keeps the address. Nothing else of an account that is stored is ever changed: a directory must not be a
    way to take over somebody's account.
    """
    wanted = {stranger.lms_user_id: stranger for stranger in strangers}
    for race in range(MAX_RACES):
        try:
            with transaction.atomic():
                known = _numbered_ones(wanted)
                missing = [wanted[number] for number in sorted(wanted.keys() - known.keys())]
                return {**known, **_make(missing)} if missing else known
        except (LostRace, IntegrityError):
            # Somebody else has just made the account or mapped the number.
            if race == MAX_RACES - 1:
                raise
    raise AssertionError("the last race returns or raises")


def _numbered_ones(numbers: Iterable[int]) -> dict[int, int]:
    """Return the accounts that are mapped to a number."""
    profiles = LearnerProfile.objects.filter(lms_user_id__in=list(numbers))
    return {number: user_id for number, user_id in profiles.values_list("lms_user_id", "user_id") if number is not None}


def _make(missing: list[Stranger]) -> dict[int, int]:
    """Find or make an account for each person without one, and write their numbers."""
    users = get_user_model()._default_manager
    names = [name for one in missing for name in (one.username, numbered(one.username, one.lms_user_id))]
    stored = {user.username: user for user in users.filter(username__in=names).select_related("learner_profile")}
    taken = set(stored)
    accounts: dict[int, Any] = {}
    profiles: dict[int, LearnerProfile] = {}
    adopted: set[int] = set()
    for stranger in missing:
        user = stored.get(stranger.username)
        if user is not None and _is_same_person(user, stranger) and user.pk not in adopted:
            adopted.add(user.pk)
            profiles[stranger.lms_user_id] = getattr(user, "learner_profile", None) or LearnerProfile()
        else:
            profiles[stranger.lms_user_id] = LearnerProfile()
            user = get_user_model()(username=_free_name(stranger, taken), password=unusable_password())
            taken.add(user.username)
        accounts[stranger.lms_user_id] = user
    new = [user for user in accounts.values() if user.pk is None]
    if len(insert_if_absent(get_user_model(), new, unique_field="username")) < len(new):
        raise LostRace
    for number, profile in profiles.items():
        profile.user, profile.lms_user_id = accounts[number], number
    _write_profiles(list(profiles.values()))
    return {number: user.pk for number, user in accounts.items()}


def _is_same_person(user: Any, stranger: Stranger) -> bool:
    """Tell whether an account without number is a stranger's; one with rights is only ever mapped by hand."""
    profile = getattr(user, "learner_profile", None)
    has_number = profile is not None and profile.lms_user_id is not None
    if has_number or user.is_staff or user.is_superuser:
        return False
    return bool(stranger.email) and user.email.lower() == stranger.email.lower()


def _free_name(stranger: Stranger, taken: set[str]) -> str:
    """Return the stranger's name, with the number behind it where it is taken or cannot be a name here."""
    field: Any = get_user_model()._meta.get_field("username")
    for name in (stranger.username, numbered(stranger.username, stranger.lms_user_id)):
        try:
            field.clean(name, None)
        except ValidationError:
            continue
        if name not in taken:
            return name
    return f"{get_random_string(12)}_lms{stranger.lms_user_id}"


def _write_profiles(profiles: list[LearnerProfile]) -> None:
    """Write new profiles, and the numbers of those that had none."""
    new = [profile for profile in profiles if profile.pk is None]
    mapped = [profile for profile in profiles if profile.pk is not None]
    if len(insert_if_absent(LearnerProfile, new, unique_field="user")) < len(new):
        raise LostRace
    if mapped:
        free = locked(LearnerProfile.objects.filter(pk__in=[profile.pk for profile in mapped], lms_user_id=None))
        if len(free) < len(mapped):
            raise LostRace
        LearnerProfile.objects.bulk_update(mapped, ["lms_user_id"])
