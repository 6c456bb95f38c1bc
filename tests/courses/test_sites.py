"""A site …"""

from typing import Any

import pytest
from django.contrib.sites.models import Site
from django.db import connection
from django.forms import model_to_dict
from django.test.utils import CaptureQueriesContext, override_settings

from courses import sites
from courses.models import Course
from courses.sites import (
    UnknownSite,
    brand,
    course_home_url,
    dashboard_url,
    org_q,
    owner_of_org,
    owners_of_orgs,
    site_by_domain,
    site_for_course,
    sites_for_orgs,
)
from tests.factories import CourseFactory, SiteConfigurationFactory, SiteFactory, platform_site

pytestmark = pytest.mark.django_db


def site_with(*orgs: str) -> Site:
    return SiteConfigurationFactory(org_filter=list(orgs)).site


def mailed_by(site: Site) -> set[str]:
    return set(Course.objects.filter(org_q(site.pk, "org")).values_list("org", flat=True))


@pytest.fixture(autouse=True)
def courses() -> None:
    for org in ("edX", "edx", "filtered_org"):
        CourseFactory(org=org)


def test_mails_about_the_organisations_it_lists() -> None:
    assert mailed_by(site_with("filtered_org")) == {"filtered_org"}


def test_without_a_list_mails_about_what_no_other_site_lists() -> None:
    bare, empty, _ = SiteFactory(), site_with(), site_with("filtered_org")
    assert mailed_by(bare) == mailed_by(empty) == {"edX", "edx"}


def test_tells_upper_from_lower_case_in_organisations() -> None:
    listing, bare = site_with("edX"), SiteFactory()
    assert mailed_by(listing) == {"edX"}
    assert mailed_by(bare) == {"edx", "filtered_org"}


def test_shares_an_organisation_that_two_sites_list() -> None:
    assert mailed_by(site_with("edX")) == mailed_by(site_with("edX", "other")) == {"edX"}


def test_mails_about_everything_when_no_site_lists_anything() -> None:
    assert mailed_by(SiteFactory()) == {"edX", "edx", "filtered_org"}


def test_owns_the_organisations_it_lists_before_a_site_without_a_list() -> None:
    bare, listing = SiteFactory(), site_with("orgT")
    candidates = [bare.pk, listing.pk]
    assert owner_of_org("orgT", candidates) == listing.pk
    assert owner_of_org("edX", candidates) == bare.pk


def test_owns_nothing_when_it_is_no_candidate() -> None:
    bare, listing = SiteFactory(), site_with("orgT")
    assert owner_of_org("orgT", [bare.pk]) is None
    assert owner_of_org("edX", [listing.pk]) is None
    assert owner_of_org("edX", []) is None


def test_owns_what_sites_with_higher_ids_list_too() -> None:
    sites = [site_with("orgT"), site_with("orgT")]
    assert owner_of_org("orgT", [site.pk for site in reversed(sites)]) == sites[0].pk
    assert owners_of_orgs(["orgT", "edX"], [sites[1].pk]) == {"orgT": sites[1].pk, "edX": None}


def test_is_the_platforms_own_for_organisations_that_nobody_lists() -> None:
    default = platform_site()
    first, _second = site_with("orgT"), site_with("orgT")
    assert site_for_course(CourseFactory(org="orgT")) == first
    assert site_for_course(CourseFactory(org="edX")) == default


def test_is_found_for_many_organisations_in_two_queries() -> None:
    platform_site()
    for number in range(5):
        site_with(f"org{number}")
    with CaptureQueriesContext(connection) as captured:
        assert len(sites_for_orgs(f"org{number}" for number in range(8))) == 8
    assert len(captured) == 2


def test_is_found_by_its_domain_in_any_case() -> None:
    site = platform_site(domain="example.com")
    assert site_by_domain("EXAMPLE.com") == site
    with pytest.raises(UnknownSite, match=r"nosuch\.example\.com"):
        site_by_domain("nosuch.example.com")


def test_is_found_by_the_exact_domain_first() -> None:
    lower, upper = SiteFactory(domain="two.example.com"), SiteFactory(domain="TWO.example.com")
    assert site_by_domain("TWO.example.com") == upper
    assert site_by_domain("Two.example.com") == lower


def test_has_absolute_links_with_an_escaped_plus() -> None:
    site = platform_site(domain="example.com")
    assert course_home_url(site, "course-v1:edX+C+2017") == (
        "https://example.com/courses/course-v1:edX%2BC%2B2017/course/"
    )
    assert dashboard_url(site) == "https://example.com/dashboard"


PLATFORM = {
    "PLATFORM_NAME": "Campus",
    "LOGO_URL": "https://cdn.example.com/logo.png",
    "CONTACT_MAILING_ADDRESS": "1 Street",
    "DEFAULT_FROM_EMAIL": "campus@example.com",
    "LANGUAGE_CODE": "en",
    "FEATURES": {"ENABLE_MKTG_SITE": True},
    "MKTG_URLS": {"ROOT": "https://www.example.com"},
    "SOCIAL_MEDIA_FOOTER_URLS": {
        "facebook": "https://example.com/f",
        "tumblr": "https://example.com/t",
        "reddit": "",
        "unknown": "https://x.example",
        "twitter": "javascript:alert(1)",
        "youtube": None,
    },
    "MOBILE_STORE_URLS": {"google": "https://play.example.com"},
}


def test_looks_as_the_platform_where_it_says_nothing() -> None:
    site = platform_site(domain="example.com")
    with override_settings(**PLATFORM):
        look = brand(site)
    assert look == {
        "name": "Campus",
        "url": "https://example.com",
        "logo_url": "https://cdn.example.com/logo.png",
        "home_url": "https://www.example.com",
        "color": "#0B5C8A",
        "on_color": "#FFFFFF",
        "contact_mailing_address": "1 Street",
        "social": [
            {"key": "tumblr", "name": "Tumblr", "url": "https://example.com/t"},
            {"key": "facebook", "name": "Facebook", "url": "https://example.com/f"},
        ],
        "stores": [{"key": "google", "name": "Google Play", "url": "https://play.example.com"}],
        "from_address": "campus@example.com",
        "reply_to": "",
        "list_id": "",
        "language": "en",
    }


def test_looks_as_its_own_configuration_says() -> None:
    site = SiteConfigurationFactory(
        platform_name="Own",
        logo_url="https://own.example.com/l.png",
        primary_color="#112233",
        contact_mailing_address="2 Road",
        from_address="own@example.com",
        reply_to="r@example.com",
        list_id="own",
        language="es",
        social_links={"reddit": "https://example.com/r"},
        store_links={"apple": "https://apps.example.com"},
    ).site
    with override_settings(**PLATFORM):
        look = brand(site)
    assert [look[key] for key in ("name", "logo_url", "color", "contact_mailing_address", "from_address")] == [
        "Own",
        "https://own.example.com/l.png",
        "#112233",
        "2 Road",
        "own@example.com",
    ]
    assert [look[key] for key in ("reply_to", "list_id", "language")] == ["r@example.com", "own", "es"]
    assert [link["key"] for link in look["social"] + look["stores"]] == ["reddit", "apple"]


def test_is_read_with_what_brand_needs_many_in_one_statement_and_none_after_it() -> None:
    plain = SiteFactory()
    own = [SiteConfigurationFactory(platform_name=f"Site {number}", social_links={"x": "y"}) for number in range(50)]
    for chosen in ([own[0].site], [plain, *(row.site for row in own)]):
        with CaptureQueriesContext(connection) as queries:
            found = sites.with_looks([site.pk for site in chosen])
            names = {pk: brand(site)["name"] for pk, site in found.items()}
        assert len(queries) == 1
        assert names == {site.pk: brand(Site.objects.get(pk=site.pk))["name"] for site in chosen}
    assert found[own[1].site_id].configuration == own[1]
    assert model_to_dict(found[own[1].site_id].configuration) == model_to_dict(own[1])
    assert not hasattr(found[plain.pk], "configuration")
    assert found[plain.pk] == plain and not found[plain.pk]._state.adding and found[plain.pk]._state.db == "default"


def test_that_does_not_exist_is_said() -> None:
    with pytest.raises(Site.DoesNotExist, match="987654"):
        sites.with_look(987654)


def test_leads_to_its_own_root_without_a_marketing_site() -> None:
    site = platform_site(domain="example.com")
    for features, urls in (
        ({"ENABLE_MKTG_SITE": False}, {"ROOT": "https://www.example.com"}),
        ({"ENABLE_MKTG_SITE": True}, {}),
        (None, None),
    ):
        with override_settings(FEATURES=features, MKTG_URLS=urls):
            assert brand(site)["home_url"] == "https://example.com"


def test_survives_settings_that_are_missing_or_malformed() -> None:
    site = platform_site(domain="example.com", name="Example")
    with override_settings(**dict.fromkeys(PLATFORM)):
        look = brand(site)
    assert (look["name"], look["social"], look["stores"], look["contact_mailing_address"]) == ("Example", [], [], "")
    with override_settings(SOCIAL_MEDIA_FOOTER_URLS="nonsense", MOBILE_STORE_URLS=["x"]):
        assert brand(site)["social"] == brand(site)["stores"] == []


def test_is_branded_without_a_query_when_its_configuration_was_read_with_it() -> None:
    site = SiteFactory()
    plain = sites.with_look(site.pk)
    SiteConfigurationFactory(site=site, platform_name="Configured")
    configured = sites.with_look(site.pk)
    with CaptureQueriesContext(connection) as captured:
        assert brand(plain)["name"] != brand(configured)["name"] == "Configured"
    assert len(captured) == 0


def test_is_branded_in_one_query() -> None:
    site = platform_site()
    with CaptureQueriesContext(connection) as captured:
        brand(site)
    assert len(captured) == 1


@pytest.mark.parametrize("step", range(0, 256, 5))
def test_text_on_the_brand_colour_is_readable_whatever_the_colour(step: int) -> None:
    def luminance(color: str) -> float:
        values = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
        return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    for color in (f"#{step:02X}{step:02X}{step:02X}", f"#{step:02X}0000", f"#00{step:02X}FF", f"#FFFF{step:02X}"):
        lighter, darker = sorted((luminance(color), luminance(sites.readable_on(color))), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.django_db
def test_a_malformed_colour_of_the_platform_is_passed_over(settings: Any) -> None:
    settings.PRIMARY_COLOR = "red; background: url(x)"
    assert sites.brand(platform_site())["color"] == sites.DEFAULT_COLOR
