"""Which site a course belongs to, how that site looks, and its addresses."""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache, lru_cache
from typing import TypedDict
from urllib.parse import quote

from django.conf import settings
from django.contrib.sites.models import Site
from django.db.models import Exists, Q
from django.db.models.functions import Lower

from courses.models import Course, SiteConfiguration, SiteOrg
from courses.statements import ByIds

SOCIAL_NETWORKS = {
    "tumblr": "Tumblr",
    "reddit": "Reddit",
    "twitter": "Twitter",
    "google_plus": "Google+",
    "youtube": "YouTube",
    "linkedin": "LinkedIn",
    "meetup": "Meetup",
    "facebook": "Facebook",
}
APP_STORES = {"google": "Google Play", "apple": "App Store"}
DEFAULT_COLOR = "#0B5C8A"
COLOR = re.compile(r"#[0-9A-Fa-f]{6}")


class UnknownSite(LookupError):
    """No site has this domain."""


class Link(TypedDict):
    """One named link of a footer."""

    key: str
    name: str
    url: str


class Brand(TypedDict):
    """How mails of one site look; plain values, ready for a template and for JSON."""

    name: str
    url: str
    logo_url: str
    home_url: str
    color: str
    on_color: str
    contact_mailing_address: str
    social: list[Link]
    stores: list[Link]
    from_address: str
    reply_to: str
    list_id: str
    language: str


def site_by_domain(domain: str) -> Site:
    """Return the site with this domain, in any letter case; UnknownSite when there is none."""
    # LOWER on both sides: with a binary collation MariaDB's LIKE tells upper from lower case.
    found = Site.objects.annotate(_domain=Lower("domain")).filter(_domain=domain.strip().lower()).order_by("pk")
    sites = list(found)
    if not sites:
        raise UnknownSite(f"unknown site: {domain}")
    return next((site for site in sites if site.domain == domain), sites[0])


def org_lists() -> dict[int, list[str]]:
    """Return {site id: its own list} of the sites whose list is not empty, in one query."""
    lists: dict[int, list[str]] = {}
    for site_id, org in SiteOrg.objects.order_by("id").values_list("configuration__site_id", "org"):
        lists.setdefault(site_id, []).append(org)
    return lists


def org_q(site_id: int, field: str) -> Q:
    """Return "this site mails about the course" as part of a statement; `field` leads to the course's org.

    A site with a list of its own: the orgs in it. One without: the orgs that no other site lists.
    """
    own = SiteOrg.objects.order_by().filter(configuration__site_id=site_id)
    anybodys = SiteOrg.objects.order_by().values("org")
    return Q(**{f"{field}__in": own.values("org")}) | (Q(~Exists(own)) & ~Q(**{f"{field}__in": anybodys}))


def owner_of_org(org: str, candidate_site_ids: Iterable[int]) -> int | None:
    """Return the id of the site that owns an org, or None; `owners_of_orgs` for one org."""
    return owners_of_orgs([org], candidate_site_ids)[org]


def owners_of_orgs(orgs: Iterable[str], candidate_site_ids: Iterable[int]) -> dict[str, int | None]:
    """Return {org: owning site id or None}, in one query.

    The sites that list the org, or when none does the sites without a list; of these only the candidates (for
    schedules: the sites with a ScheduleConfig); of these the lowest id.
    """
    lists = org_lists()
    candidates = sorted(set(candidate_site_ids))
    without_list = [site_id for site_id in candidates if site_id not in lists]
    owners: dict[str, int | None] = {}
    for org in set(orgs):
        listing = {site_id for site_id, listed in lists.items() if org in listed}
        possible = [site_id for site_id in candidates if site_id in listing] if listing else without_list
        owners[org] = possible[0] if possible else None
    return owners


def site_for_course(course: Course) -> Site:
    """Return the site whose name a mail about this course carries; `sites_for_orgs` for one course."""
    return sites_for_orgs([course.org])[course.org]


def sites_for_orgs(orgs: Iterable[str]) -> dict[str, Site]:
    """Return {org: site}: the lowest site whose own list holds the org, else SITE_ID. At most two queries."""
    lists = org_lists()
    chosen = {
        org: min((site_id for site_id, listed in lists.items() if org in listed), default=settings.SITE_ID)
        for org in set(orgs)
    }
    sites = Site.objects.in_bulk(set(chosen.values()))
    return {org: sites[site_id] for org, site_id in chosen.items()}


def with_look(site_id: int) -> Site:
    """Return a site and, read with it, what `brand` needs. Raises Site.DoesNotExist."""
    found = with_looks([site_id])
    if site_id not in found:
        raise Site.DoesNotExist(f"there is no site {site_id}")
    return found[site_id]


def with_looks(site_ids: Collection[int]) -> dict[int, Site]:
    """Return sites by their ids and, read with them in one statement, what `brand` needs."""
    statement, of_site, of_look = _looks()
    alias, relation = Site.objects.db, Site._meta.get_field("configuration")
    found = {}
    for row in statement.rows(site_ids):
        site, rest = Site.from_db(alias, of_site, row[: len(of_site)]), row[len(of_site) :]
        look = SiteConfiguration.from_db(alias, of_look, rest) if rest[0] is not None else None
        # As `select_related` leaves them, also where there is none.
        relation.set_cached_value(site, look)
        if look is not None:
            look.site = site
        found[site.pk] = site
    return found


@cache
def _looks() -> tuple[ByIds, list[str], list[str]]:
    """Return what reads sites with their configuration, and the fields of both, the id first."""
    of_site, of_look = ([field.attname for field in model._meta.concrete_fields] for model in (Site, SiteConfiguration))
    both = Site.objects.values_list(*of_site, *(f"configuration__{name}" for name in of_look))
    return ByIds(both, "pk"), of_site, of_look


def brand(site: Site) -> Brand:
    """Return how mails of a site look: its own configuration, else Django settings.

    One query, none where the configuration has been read with the site.
    A setting that is missing or malformed leaves its element empty; it never raises.
    """
    row = _configuration(site) or SiteConfiguration(site_id=site.pk)
    root = site_url(site)
    name = row.platform_name or _text("PLATFORM_NAME") or site.name or site.domain
    color = next(filter(COLOR.fullmatch, (row.primary_color, _text("PRIMARY_COLOR"))), DEFAULT_COLOR)
    return Brand(
        name=name,
        url=root,
        logo_url=row.logo_url or _text("LOGO_URL"),
        home_url=_marketing_root() or root,
        color=color,
        on_color=readable_on(color),
        contact_mailing_address=row.contact_mailing_address or _text("CONTACT_MAILING_ADDRESS"),
        social=_links(row.social_links or getattr(settings, "SOCIAL_MEDIA_FOOTER_URLS", None), names=SOCIAL_NETWORKS),
        stores=_links(row.store_links or getattr(settings, "MOBILE_STORE_URLS", None), names=APP_STORES),
        from_address=row.from_address or _text("DEFAULT_FROM_EMAIL"),
        reply_to=row.reply_to,
        list_id=row.list_id,
        language=row.language or _text("LANGUAGE_CODE"),
    )


def _configuration(site: Site) -> SiteConfiguration | None:
    relation = SiteConfiguration._meta.get_field("site").remote_field
    if relation.is_cached(site):
        return getattr(site, "configuration", None)
    return SiteConfiguration.objects.filter(site_id=site.pk).first()


def readable_on(color: str) -> str:
    """Return white or black, whichever contrasts more with a background `#RRGGBB`; never less than 4.5 to 1.

    Relative luminance and contrast as in WCAG 2.1.
    """
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#FFFFFF" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"


def site_url(site: Site) -> str:
    """Return the address of a site's own root, without a slash at the end."""
    return f"https://{site.domain}"


def course_home_url(site: Site, key: str) -> str:
    """Return the address of a course's home page."""
    return f"{site_url(site)}{_course_home(key)}"


@lru_cache(maxsize=4096)
def _course_home(key: str) -> str:
    return f"/courses/{quote(key, safe=':')}/course/"


def dashboard_url(site: Site) -> str:
    """Return the address of the learner's dashboard."""
    return f"{site_url(site)}/dashboard"


def _marketing_root() -> str:
    """Return MKTG_URLS['ROOT'] when the marketing site is switched on, else ''."""
    features = getattr(settings, "FEATURES", None)
    urls = getattr(settings, "MKTG_URLS", None)
    if not isinstance(features, Mapping) or not isinstance(urls, Mapping) or not features.get("ENABLE_MKTG_SITE"):
        return ""
    return str(urls.get("ROOT") or "")


def _text(setting: str) -> str:
    """Return a setting as text, '' when it is missing."""
    return str(getattr(settings, setting, None) or "")


def _links(urls: object, *, names: Mapping[str, str]) -> list[Link]:
    """Return one link per known key with a web address, in the order of `names`."""
    if not isinstance(urls, Mapping):
        return []
    return [
        Link(key=key, name=name, url=str(urls[key]))
        for key, name in names.items()
        if str(urls.get(key) or "").startswith(("https://", "http://"))
    ]
