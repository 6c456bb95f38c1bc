"""Links in mails: absolute, tracked, and equal for everybody of a cohort until the very end."""

from __future__ import annotations

import uuid
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from django.contrib.sites.models import Site
from django.templatetags.static import static

from courses import sites

# Stands for the message's own uuid while a draft is shared by a cohort. It is a uuid itself, so every escaping,
# quoting and encoding a template may apply leaves it as it is.
MESSAGE_UUID = str(uuid.uuid5(uuid.NAMESPACE_URL, "https://cadence.invalid/message-uuid"))


class SiteLinks:
    """The links of one mail: absolute, and tracked for one message of one app and one first course."""

    def __init__(self, site: Site, *, source: str, campaign: str, first_course: str) -> None:
        self._site = site
        self._source = source
        self._campaign = campaign
        self._term = first_course

    def course_home(self, key: str) -> str:
        """Return the home page of a course."""
        return self.tracked(sites.course_home_url(self._site, key))

    def dashboard(self) -> str:
        """Return the learner's dashboard."""
        return self.tracked(sites.dashboard_url(self._site))

    def picture(self, name: str) -> str:
        """Return a static file's absolute address, without utm values; '' when the storage does not know the file."""
        try:
            path = static(name)
        except ValueError:
            # A storage with a manifest refuses what collectstatic has not seen; a mail says all without its picture.
            return ""
        return urljoin(f"{sites.site_url(self._site)}/", path)

    def tracked(self, url: str) -> str:
        """Return an address with the utm values of this mail."""
        return tracked(url, source=self._source, campaign=self._campaign, term=self._term)


@lru_cache(maxsize=512)
def tracked(url: str, *, source: str, campaign: str, term: str) -> str:
    """Return `url` with the utm values of a mail added; values that are in its query already stay, empty ones are left
    out.

    utm_content is the message's uuid, which is only known at hand-off: until then `MESSAGE_UUID` stands for it.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    present = {name for name, _ in query}
    wanted = {
        "utm_source": source,
        "utm_medium": "email",
        "utm_campaign": campaign,
        "utm_content": MESSAGE_UUID,
        "utm_term": term,
    }
    query += [(name, value) for name, value in wanted.items() if value and name not in present]
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote, safe="")))


def with_message_uuid(value: Any, message_uuid: uuid.UUID) -> Any:
    """Return JSON values with the message's own uuid in place of `MESSAGE_UUID`, in new containers."""
    return _replaced(value, str(message_uuid))


def _replaced(value: Any, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(MESSAGE_UUID, text)
    if isinstance(value, dict):
        return {key: _replaced(item, text) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, text) for item in value]
    return value
