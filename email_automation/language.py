"""Which language somebody reads a mail in, and how dates read in it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from django.conf import settings
from django.utils import formats, translation

from courses.languages import closest_language
from courses.models import LearnerProfile

#: What leads from a user to what `wishes_of` reads, for statements about something else.
WISH: Final = "learner_profile__language"


def chosen_language(*wishes: str) -> str:
    """Return the released language closest to the first wish that has one: learner's, course's, site's, platform's."""
    return _first_released((*wishes, settings.LANGUAGE_CODE), tuple(code for code, _ in settings.LANGUAGES))


# Most of the learners of a run want one of a few languages, and comparing codes takes longer than everything else that
# is asked about one of them.
@lru_cache(maxsize=1024)
def _first_released(wishes: tuple[str, ...], released: tuple[str, ...]) -> str:
    found = (closest_language(wish, released) for wish in wishes)
    return next(filter(None, found), wishes[-1])


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
