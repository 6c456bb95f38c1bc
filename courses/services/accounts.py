"""Writing learners' accounts and profiles."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, UNUSABLE_PASSWORD_SUFFIX_LENGTH, is_password_usable
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.crypto import get_random_string

from courses.bulk import insert_if_absent, retry_on_deadlock
from courses.models import LearnerProfile
from courses.services.upsert import Word, assign, clean, is_stale, record

ACCOUNT_FIELDS = ("email", "first_name", "last_name", "is_active")
PROFILE_FIELDS = ("lms_user_id", "language", "time_zone", "reported_at")
NAME_LENGTH = 150
MAX_RACES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerFact:
    """What the platform tells about a learner; None: not told, what is stored stays.

    `reported_at` is the time of the event that tells it; an event older than the newest known changes nothing.
    """

    username: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    is_active: bool | None = None
    has_usable_password: bool | None = None
    lms_user_id: int | None = None
    language: str | None = None
    time_zone: str | None = None
    reported_at: datetime | None = None


@dataclass(slots=True, eq=False)
class Person:
    """An account and its profile, stored or new, and the names of the fields that have to be written."""

    user: Any
    profile: LearnerProfile
    user_fields: set[str] = field(default_factory=set)
    profile_fields: set[str] = field(default_factory=set)

    @property
    def is_staff(self) -> bool:
        """Tell whether the account has rights here that the platform must not touch."""
        return bool(self.user.is_staff or self.user.is_superuser)


class LostRace(Exception):
    """Somebody else has just made the account that we were about to make."""


def record_user(username: str, **fields: Any) -> tuple[AbstractUser, Word]:
    """Record one learner's account and profile; `fields` are those of LearnerFact."""
    return record_learners([LearnerFact(username=username, **fields)])[0]


@retry_on_deadlock
def record_learners(facts: Iterable[LearnerFact]) -> list[tuple[AbstractUser, Word]]:
    """Record accounts and profiles in one transaction with a constant number of queries; one result per fact.

    The account is found by its number on the platform, else by its user name. The rights of an account here are not
    the platform's to touch: a staff account is only ever mapped by an administrator, and its name, address and state
    stay. Where such an account (or a learner with another number) has the name, the learner gets a name with the
    number behind it.

    A new account must be mailable, and lifecycle mail goes only to accounts with a usable password, which here stands
    for the state of the account on the platform. So it gets a password that Django calls usable and that no login can
    match, because it is not the digest of anything. (Hashing a random one costs a third of a second for each learner.)
    """
    facts = list(facts)
    for race in range(MAX_RACES):
        try:
            with transaction.atomic():
                people = _stored_people(facts)
                results = [_take_in(fact, people) for fact in facts]
                _store(people)
            return results
        except LostRace:
            if race == MAX_RACES - 1:
                raise
    raise AssertionError("the last race returns or raises")


@retry_on_deadlock
def record_profile(user: AbstractUser, **fields: Any) -> tuple[LearnerProfile, Word]:
    """Record language, zones or platform number of a person."""
    return record(LearnerProfile, {"user": user}, fields)


def usable_password() -> str:
    """Return a stored password that counts as usable and lets nobody in."""
    return f"lms${get_random_string(40)}"


def unusable_password() -> str:
    """Return a stored password that counts as unusable."""
    return UNUSABLE_PASSWORD_PREFIX + get_random_string(UNUSABLE_PASSWORD_SUFFIX_LENGTH)


def numbered(username: str, lms_user_id: int) -> str:
    """Return the name of a learner whose own name is taken here."""
    suffix = f"_lms{lms_user_id}"
    return username[: NAME_LENGTH - len(suffix)] + suffix


@dataclass(slots=True)
class _People:
    """The persons that a list of facts may be about, by name and by number on the platform."""

    by_name: dict[str, Person] = field(default_factory=dict)
    by_number: dict[int, Person] = field(default_factory=dict)

    def add(self, person: Person) -> Person:
        """Make a person findable."""
        self.by_name[person.user.username] = person
        if person.profile.lms_user_id is not None:
            self.by_number[person.profile.lms_user_id] = person
        return person


def _stored_people(facts: list[LearnerFact]) -> _People:
    """Read the persons that the facts may be about, in two queries."""
    numbers = {fact.lms_user_id for fact in facts if fact.lms_user_id is not None}
    names = {fact.username for fact in facts}
    names |= {numbered(fact.username, fact.lms_user_id) for fact in facts if fact.lms_user_id is not None}
    accounts = get_user_model()._default_manager
    users = {user.pk: user for user in accounts.filter(username__in=names).select_related("learner_profile")}
    others = accounts.filter(learner_profile__lms_user_id__in=numbers).select_related("learner_profile")
    people = _People()
    for user in (users | {user.pk: user for user in others}).values():
        people.add(Person(user, getattr(user, "learner_profile", None) or LearnerProfile(user=user)))
    return people


def _take_in(fact: LearnerFact, people: _People) -> tuple[AbstractUser, Word]:
    """Put a fact into its person, in memory."""
    person = _person_of(fact, people)
    if person is None:
        person = Person(get_user_model()(username=_free_name(fact, people)), LearnerProfile())
        person.user.password = usable_password()
        person.profile.user = person.user
        people.add(person)
    if is_stale(person.profile, fact.reported_at):
        return person.user, "stale"
    known = person.user.pk is not None
    account_changed = not person.is_staff and _put_account(fact, person, people=people)
    profile_changed = _put_profile(fact, person)
    people.add(person)
    if not known:
        return person.user, "created"
    return person.user, "changed" if account_changed or profile_changed else "unchanged"


def _person_of(fact: LearnerFact, people: _People) -> Person | None:
    """Return the person that a fact is about, if stored or already taken in."""
    if fact.lms_user_id is not None and fact.lms_user_id in people.by_number:
        return people.by_number[fact.lms_user_id]
    person = people.by_name.get(fact.username)
    if person is None or person.is_staff:
        return None
    if fact.lms_user_id is None or person.profile.lms_user_id in (None, fact.lms_user_id):
        return person
    return None


def _free_name(fact: LearnerFact, people: _People) -> str:
    """Return the learner's name, or one with the number behind it when that is taken."""
    if fact.username not in people.by_name:
        return fact.username
    if fact.lms_user_id is None:
        raise ValidationError(
            {"username": "A staff account here has this name. Allowed: another name, or this one with lms_user_id."}
        )
    return numbered(fact.username, fact.lms_user_id)


def _put_account(fact: LearnerFact, person: Person, *, people: _People) -> bool:
    """Put what a fact tells of the account into it; tell whether anything differs."""
    told = {name: getattr(fact, name) for name in ACCOUNT_FIELDS if getattr(fact, name) is not None}
    if fact.username != person.user.username and fact.username not in people.by_name:
        told["username"] = fact.username
    if person.user.pk is None:
        told["username"] = person.user.username
    if fact.has_usable_password is not None and fact.has_usable_password != is_password_usable(person.user.password):
        told["password"] = usable_password() if fact.has_usable_password else unusable_password()
    written = assign(person.user, told)
    person.user_fields.update(written)
    return bool(written)


def _put_profile(fact: LearnerFact, person: Person) -> bool:
    """Put what a fact tells of the profile into it; tell whether anything but the time of the report differs."""
    told = {name: getattr(fact, name) for name in PROFILE_FIELDS if getattr(fact, name) is not None}
    written = assign(person.profile, told)
    person.profile_fields.update(written)
    return bool(set(written) - {"reported_at"})


def _store(people: _People) -> None:
    """Write new accounts, changed accounts, new profiles and changed profiles."""
    persons = list({id(person): person for person in people.by_name.values()}.values())
    new = [person for person in persons if person.user.pk is None]
    for person in new:
        clean(person.user)
    model = get_user_model()
    if len(insert_if_absent(model, [person.user for person in new], unique_field="username")) < len(new):
        raise LostRace
    _update(model, [(person.user, person.user_fields) for person in persons if person not in new])
    for person in persons:
        person.profile.user = person.user
    bare = [person for person in persons if person.profile.pk is None and (person.profile_fields or person in new)]
    if len(insert_if_absent(LearnerProfile, [person.profile for person in bare], unique_field="user")) < len(bare):
        raise LostRace
    _update(LearnerProfile, [(person.profile, person.profile_fields) for person in persons if person not in bare])


def _update(model: type[models.Model], rows: list[tuple[Any, set[str]]]) -> None:
    """Write the named fields of the rows that have any."""
    changed = [(row, names) for row, names in rows if names]
    if changed:
        names = sorted(set[str]().union(*(names for _, names in changed)))
        model._default_manager.bulk_update([row for row, _ in changed], names)
