"""Resolvers say who and what. They only read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple

from django.contrib.sites.models import Site
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Min, QuerySet

from courses import sites
from courses.bulk import slices

from . import conditions as rules
from .conditions import Condition
from .run import Run

AUDIENCE_PAGE = 1000
#: Under which a run remembers its site: delivery has read it with the rows already.
SITE: Final = "site"


class AudienceRow(NamedTuple):
    """One mail that could go out: what it is about, to whom, and the text of its dedupe key.

    `course_id` is the one course it is about, where that is known before it is drafted: then who opted out of the
    course is left out while planning. `expires_at` is when, on the run's own clock, this mail must not go out any more,
    where that is not the message's own expiry. `address` is where it goes, where that is not the account's address.
    Mails of another `batch` are never handed off in one call; those of one batch stand together.
    """

    target_id: int
    user_id: int
    occasion: str
    course_id: int | None = None
    expires_at: datetime | None = None
    address: str = ""
    batch: str = ""


@dataclass(kw_only=True)
class Draft:
    """The content of one mail, made of plain values.

    `shared` holds JSON values that are equal for everybody of the same cohort, and `about` what every template may say
    of the course under `course`, where `shared` has no such value itself. Several drafts may have the same two dicts:
    once a draft is made, nobody changes what is in them. `personal` is its own and holds texts that templates
    may print or test for being empty and nothing else. `course_id` is the course the mail is about (the first of
    several), `course_keys` all of them. `occasion`, where it is set, must be the one the row was claimed for. A draft
    with `skip` set is not sent, and the word is the reason. `address` is where it goes, where that is not the account's
    address; `external_user_id` is what a service that keeps a list of people of its own calls the person.
    `template_id` names a row of EmailTemplate that is to be used whether it is active or not, for test mails.
    """

    target_id: int
    user_id: int
    language: str = ""
    shared: dict[str, Any] = field(default_factory=dict)
    personal: dict[str, str] = field(default_factory=dict)
    course_id: int | None = None
    course_keys: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    enrollment_id: int | None = None
    payment_id: int | None = None
    template_id: int | None = None
    address: str = ""
    external_user_id: str = ""
    occasion: str = ""
    skip: str = ""

    @property
    def first_course_key(self) -> str:
        """The key of the course the mail is about, or '' when it is about none."""
        return self.course_keys[0] if self.course_keys else ""


class Finding(NamedTuple):
    """What `explain` says of one row: which row, and each condition with its answer."""

    subject: str
    answers: list[tuple[Condition, bool]]


class Resolver:
    """Who is due and what they read. A message names one subclass as its `resolver`.

    Subclasses give `conditions`, `rows`, `candidates`, `occasion` and `drafts`; the paths name the fields of `rows`
    that hold the target's and the user's id.
    """

    conditions: ClassVar[Sequence[Condition]] = ()
    #: Names of the conditions about the moment of planning, which a mail that waits need not fulfil any more.
    planning_only: ClassVar[frozenset[str]] = frozenset()
    #: Whether `drafts` asks itself who has opted out of a course, so that policy need not.
    asks_course_opt_outs: ClassVar[bool] = False
    #: How many of the audience are planned at once, where it is not AUDIENCE_PAGE.
    page: ClassVar[int | None] = None
    target_path: ClassVar[str] = "pk"
    user_path: ClassVar[str] = "user_id"
    #: Further fields of a row that `occasion` needs.
    occasion_paths: ClassVar[tuple[str, ...]] = ()
    #: The field of a row that decides most of what its mail says. Mails that say the same then lie together and are
    #: rendered once, however many others a run has.
    content_path: ClassVar[str] = ""

    def rows(self) -> QuerySet[Any]:
        """Return every row that could ever matter, unfiltered."""
        raise NotImplementedError

    def candidates(self, run: Run) -> QuerySet[Any]:
        """Return the rows that could matter on this run, found by an indexed column."""
        return self.rows()

    def among(self, run: Run, **only: Any) -> QuerySet[Any]:
        """Return the rows that these lookups name, with whatever the conditions compare on this run."""
        return self.rows().filter(**only)

    def left_out(self, run: Run) -> Mapping[str, int]:
        """Return how many belong to the audience as it is counted and are not in it, by the reason; asked before it."""
        return {}

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return the text of the dedupe key: what this mail is once-only about."""
        raise NotImplementedError

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return a draft for each target that still qualifies, in a constant number of queries."""
        raise NotImplementedError

    def subject_of(self, row: Any) -> str:
        """Return the words by which `explain` calls a row of `rows`."""
        return str(row)

    def eligible(self, run: Run, *, target_ids: Sequence[int] | None = None) -> QuerySet[Any]:
        """Return the candidates for which every condition holds, all of them or those of some targets."""
        found = self.candidates(run).filter(rules.every(self.conditions, run))
        return found if target_ids is None else found.filter(**{f"{self.target_path}__in": target_ids})

    def lasting(self) -> list[Condition]:
        """Return the conditions that are asked again right before hand-off."""
        return [condition for condition in self.conditions if condition.name not in self.planning_only]

    def audience(self, run: Run) -> Iterator[list[AudienceRow]]:
        """Yield everyone who is due, in pages, from one statement.

        In the order of `content_path`, if there is one, and of targets. A target that several rows are about comes
        where the first of them would.
        """
        keys = self._keys(self.eligible(run))
        if self.content_path:
            # Under a name that no model is likely to have a field of.
            keys = keys.annotate(lies_with=Min(self.content_path)).order_by("lies_with", self.target_path)
        else:
            keys = keys.order_by(self.target_path).distinct()
        for page in slices(_streamed(keys), self.page or AUDIENCE_PAGE):
            yield [self.audience_row(run, row) for row in page]

    def failing(self, run: Run, target_ids: Sequence[int]) -> dict[int, str]:
        """Return for targets that no longer qualify the condition that fails, by the row that comes closest.

        A target without any row left (deleted meanwhile) is not in the answer.
        """
        asked = self.lasting()
        rows = rules.annotated(self.among(run, **{f"{self.target_path}__in": target_ids}), asked, run).values(
            self.target_path, *(f"holds_{condition.name}" for condition in asked)
        )
        closest: dict[int, tuple[int, str]] = {}
        for row in rows:
            held = [bool(row[f"holds_{condition.name}"]) for condition in asked]
            if all(held):
                continue
            target, reason = row[self.target_path], asked[held.index(False)].name
            if target not in closest or sum(held) > closest[target][0]:
                closest[target] = (sum(held), reason)
        return {target: reason for target, (_, reason) in closest.items()}

    def explain(self, run: Run, user_id: int) -> list[Finding]:
        """Return each of a person's rows with the answer of every condition."""
        rows = rules.annotated(self.among(run, **{self.user_path: user_id}), self.conditions, run)
        return [
            Finding(
                self.subject_of(row),
                [(condition, bool(getattr(row, f"holds_{condition.name}"))) for condition in self.conditions],
            )
            for row in rows
        ]

    def occasions(self, run: Run, user_id: int) -> list[AudienceRow]:
        """Return what this run could be about for one person, due or not."""
        found = self._keys(self.among(run, **{self.user_path: user_id})).distinct()
        return [self.audience_row(run, row) for row in found]

    def _keys(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        paths = dict.fromkeys((self.target_path, self.user_path, *self.occasion_paths))
        return rows.values_list(*paths)

    def audience_row(self, run: Run, row: Sequence[Any]) -> AudienceRow:
        """Return what a row of target, user and `occasion_paths` stands for."""
        # The user may be the target, and is then selected once.
        user_at = int(self.user_path != self.target_path)
        end = 1 + user_at + len(self.occasion_paths)
        return AudienceRow(row[0], row[user_at], self.occasion(run, row[0], *row[1 + user_at : end]))


def site_of(run: Run) -> Site:
    """Return a run's site with its look, read once for the run."""
    return run.once(SITE, lambda: sites.with_look(run.site_id))


def _streamed(found: QuerySet[Any]) -> Iterator[Sequence[Any]]:
    """Yield the rows of a `values_list` without holding them all as Python objects.

    PostgreSQL plans a server-side cursor, Django's way, for its first rows only, and then walks an index in order
    instead of looking up what is due (measured: 0.93 s instead of 0.01 s for 1,000 due among a million); here the
    result waits in the client library, some 40 bytes a row. On SQLite the statement is read to its end first: one
    that is still open there keeps a writer of the same connection from seeing others' commits.
    """
    connection = connections[found.db]
    if connection.vendor == "sqlite":
        yield from list(found)
    elif connection.vendor == "postgresql":
        try:
            statement = found.query.get_compiler(found.db).as_sql()
        except EmptyResultSet:  # the conditions can never hold, as with `IN ()`
            return
        with connection.cursor() as cursor:
            cursor.execute(*statement)
            while rows := cursor.fetchmany(AUDIENCE_PAGE):
                yield from rows
    else:
        yield from found.iterator(AUDIENCE_PAGE)
