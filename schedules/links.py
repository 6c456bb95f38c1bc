"""Where the links of schedules' mails lead."""

from __future__ import annotations

from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from django.conf import settings
from django.contrib.sites.models import Site
from django.templatetags.static import static

from courses import sites
from courses.models import CourseMode
from email_automation.links import tracked

SOURCE = "schedules"


class CampaignLinks:
    """The links of one mail: absolute, and tracked for one message and one first course."""

    def __init__(self, site: Site, *, campaign: str, first_course: str) -> None:
        self._site = site
        self._campaign = campaign
        self._term = first_course

    def course_home(self, key: str) -> str:
        """Return the home page of a course."""
        return self._tracked(sites.course_home_url(self._site, key))

    def dashboard(self) -> str:
        """Return the learner's dashboard."""
        return self._tracked(sites.dashboard_url(self._site))

    def upgrade(self, verified_mode: CourseMode | None) -> str:
        """Return where the verified track is bought: the checkout with the mode's sku, else the dashboard."""
        checkout = str(getattr(settings, "COMMERCE_CHECKOUT_URL", "") or "")
        if not checkout or verified_mode is None or not verified_mode.sku:
            return self.dashboard()
        parts = urlsplit(checkout)
        query = "&".join(part for part in (parts.query, urlencode({"sku": verified_mode.sku})) if part)
        return self._tracked(urlunsplit(parts._replace(query=query)))

    def picture(self, name: str) -> str:
        """Return a static file's absolute address, without utm values; '' when the storage does not know the file."""
        try:
            path = static(name)
        except ValueError:
            # A storage with a manifest refuses what collectstatic has not seen; a mail says all without its picture.
            return ""
        return urljoin(f"{sites.site_url(self._site)}/", path)

    def _tracked(self, url: str) -> str:
        return tracked(url, source=SOURCE, campaign=self._campaign, term=self._term)
