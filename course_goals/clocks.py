"""Which clock a learner goes by: the zones that account, browser and site give, read afresh at every call."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from zoneinfo import ZoneInfo

from courses.models import Course, LearnerProfile, SiteConfiguration
from courses.sites import sites_for_orgs

from .week import Clock, usable_zone, zone_of

Pair = tuple[int, int]


def clock_of(user_id: int, course: Course, now: datetime) -> Clock:
    """Return how the clock of a learner in a course reads at an aware instant."""
    return Clock.at(now, zone_for(user_id, course))


def zone_for(user_id: int, course: Course) -> ZoneInfo:
    """Return the zone of a learner in a course; `zones_for` for one."""
    return zones_for([(user_id, course.pk)], courses=[course])[user_id, course.pk]


def zones_for(pairs: Collection[Pair], *, courses: Collection[Course] | None = None) -> dict[Pair, ZoneInfo]:
    """Return {(user id, course id): zone}, in at most five statements; without `courses` they are read too.

    The site is the one whose name the course's mails carry. It is asked only for those whose profile names no usable
    zone.
    """
    own: dict[int, ZoneInfo] = {}
    profiles = LearnerProfile.objects.filter(user_id__in={user_id for user_id, _ in pairs})
    for user_id, *names in profiles.values_list("user_id", "time_zone", "last_seen_time_zone"):
        if zone := next(filter(None, map(usable_zone, names)), None):
            own[user_id] = zone
    others = {course_id for user_id, course_id in pairs if user_id not in own}
    if others and courses is None:
        courses = list(Course.objects.filter(pk__in=others).only("pk", "org"))
    of_site = _site_zones([course for course in courses or () if course.pk in others])
    return {pair: own.get(pair[0]) or of_site[pair[1]] for pair in pairs}


def _site_zones(courses: Collection[Course]) -> dict[int, ZoneInfo]:
    """Return {course id: the zone of its site, else UTC}, in three statements; none without courses."""
    if not courses:
        return {}
    sites = sites_for_orgs(course.org for course in courses)
    configurations = SiteConfiguration.objects.filter(site_id__in={site.pk for site in sites.values()})
    names = dict(configurations.values_list("site_id", "time_zone"))
    return {course.pk: zone_of(names.get(sites[course.org].pk)) for course in courses}
