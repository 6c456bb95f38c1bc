"""What every learner's clock reads on a run, as part of its statements.

The database never converts zones. The zones that people have stored are resolved here, and a statement gets, for each
of their names, what it needs of that zone: dates, instants, yes or no.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Case, Field, Q, QuerySet, Value, When

from courses.models import LearnerProfile, SiteConfiguration

from .week import Clock, usable_zone, zone_of

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Zones:
    """The zones that stored names mean; a name that is not usable is not in it.

    `accounts` and `browsers` map the names of profiles, `orgs` the organisations of courses whose site has a zone of
    its own, `others` is the zone of everybody else.
    """

    accounts: Mapping[str, ZoneInfo]
    browsers: Mapping[str, ZoneInfo]
    orgs: Mapping[str, ZoneInfo]
    others: ZoneInfo

    @classmethod
    def stored(cls, user_ids: QuerySet[Any, Any] | None = None) -> Zones:
        """Return the zones of some people, named by a subquery, or of all, in two statements."""
        profiles = LearnerProfile.objects.all()
        if user_ids is not None:
            profiles = profiles.filter(user_id__in=user_ids)
        pairs = list(profiles.order_by().values_list("time_zone", "last_seen_time_zone").distinct())
        accounts, browsers = _usable(name for name, _ in pairs), _usable(name for _, name in pairs)
        orgs: dict[str, ZoneInfo] = {}
        others = zone_of()
        rows = SiteConfiguration.objects.order_by("site_id").values_list("site_id", "time_zone", "orgs__org")
        for site_id, name, org in rows:
            if site_id == settings.SITE_ID:
                others = zone_of(name)
            if org is not None:
                # The lowest site that lists an organisation is the one whose name its courses' mails carry.
                orgs.setdefault(org, zone_of(name))
        return cls(accounts, browsers, orgs, others)

    def of(self, account: str, browser: str, org: str) -> ZoneInfo:
        """Return the zone of a learner in a course, by what profile and course hold."""
        return self.accounts.get(account) or self.browsers.get(browser) or self.orgs.get(org) or self.others

    @property
    def all(self) -> set[ZoneInfo]:
        """All zones that somebody may go by."""
        return {*self.accounts.values(), *self.browsers.values(), *self.orgs.values(), self.others}


def _usable(names: Iterable[str]) -> dict[str, ZoneInfo]:
    return {name: zone for name in {*names} if (zone := usable_zone(name)) is not None}


@dataclass(frozen=True)
class Readings:
    """The clocks of a run; `read` says how a zone's does, `runs` are the instants of the runs that count."""

    zones: Zones
    read: Callable[[ZoneInfo], Clock]
    runs: Collection[datetime] = ()

    @cached_property
    def clocks(self) -> dict[ZoneInfo, Clock]:
        """Each zone's clock."""
        return {zone: self.read(zone) for zone in self.zones.all}

    def is_open(self, zone: ZoneInfo) -> bool:
        """Return whether it is a time to send in a zone."""
        return self.clocks[zone].is_open(zone, self.runs)

    def earliest(self) -> int | None:
        """Return the fewest days left where it is a time to send; None where it is nowhere."""
        return min((clock.days_left for zone, clock in self.clocks.items() if self.is_open(zone)), default=None)

    def column(self, value: Callable[[ZoneInfo], T], output_field: Field[Any, Any], *, profile: str, org: str) -> Case:
        """Return what `value` says of each row's zone; the paths lead to the learner's profile and the course's org."""
        stages = (
            (f"{profile}__time_zone", self.zones.accounts),
            (f"{profile}__last_seen_time_zone", self.zones.browsers),
            (org, self.zones.orgs),
        )
        # The first name that matches decides, so a usable name of the account hides what the browser says.
        whens = [
            When(Q(**{f"{path}__in": names}), then=_Given(known, output_field=output_field))
            for path, stored in stages
            for known, names in _by_value(stored, value).items()
        ]
        return Case(*whens, default=_Given(value(self.zones.others), output_field=output_field))


class _Given(Value):
    """A value of ours in a statement; MariaDB has to be told that a moment is one, or answers with its text."""

    def as_mysql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        """Return the value as a moment where it is one."""
        sql, parameters = self.as_sql(compiler, connection, **context)
        return (f"CAST({sql} AS DATETIME(6))" if isinstance(self.value, datetime) else sql), parameters


def _by_value(stored: Mapping[str, ZoneInfo], value: Callable[[ZoneInfo], T]) -> dict[T, list[str]]:
    found: dict[T, list[str]] = {}
    for name in sorted(stored):
        found.setdefault(value(stored[name]), []).append(name)
    return found
