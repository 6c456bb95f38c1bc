"""Where the links of schedules' mails lead."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.contrib.sites.models import Site

from email_automation.links import SiteLinks

SOURCE = "schedules"


class CampaignLinks(SiteLinks):
    """The links of one mail of schedules."""

    def __init__(self, site: Site, *, campaign: str, first_course: str) -> None:
        super().__init__(site, source=SOURCE, campaign=campaign, first_course=first_course)

    def upgrade(self, sku: str | None) -> str:
        """Return where the verified track is bought: the checkout with the mode's sku, else the dashboard."""
        checkout = str(getattr(settings, "COMMERCE_CHECKOUT_URL", "") or "")
        if not checkout or not sku:
            return self.dashboard()
        return self.tracked(_with_sku(checkout, sku))


@lru_cache(maxsize=1024)
def _with_sku(checkout: str, sku: str) -> str:
    parts = urlsplit(checkout)
    query = "&".join(part for part in (parts.query, urlencode({"sku": sku})) if part)
    return urlunsplit(parts._replace(query=query))
