"""Which language somebody reads a mail in, and how dates read in it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime
from functools import lru_cache

from django.conf import settings
from django.utils import formats, translation

from courses.languages import closest_language
from courses.models import LearnerProfile


def chosen_language(*wishes: str) -> str:
    """Return the released language closest to the first wish that has one: learner's, course's, site's, platform's."""
    for wish in (*wishes, settings.LANGUAGE_CODE):
        if released := closest_language(wish, [code for code, _ in settings.LANGUAGES]):
            return released
    return settings.LANGUAGE_CODE


def wishes_of(user_ids: Collection[int]) -> dict[int, str]:
    """Return {user id: the language of the profile}, '' or missing where there is none, in one statement."""
    profiles = LearnerProfile.objects.filter(user_id__in=user_ids)
    return dict(profiles.values_list("user_id", "language"))


def long_date(moment: datetime | date, language: str) -> str:
    """Return a day as long text in a language, for example `8 de agosto de 2017`; of a moment its UTC day."""
    return _long_day(moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment, language)


@lru_cache(maxsize=1024)
def _long_day(day: date, language: str) -> str:
    with translation.override(language):
        # English alone abbreviates months in its date format (N); F is the full name in every language.
        return formats.date_format(day, formats.get_format("DATE_FORMAT").replace("N", "F"))
