"""The upgrade reminder: two days before the last day to buy the verified certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import Exists, OuterRef, Q

from courses.models import CourseMode
from courses.switches import current_config
from email_automation.language import long_date
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.message import Beat, MessageType, Stage, register
from email_automation.pipeline.run import Run

from .. import dates
from ..links import CampaignLinks
from ..models import ScheduleConfig, ScheduleExperience
from ..resolver import SHARED_CONDITIONS, Due, Facts, LearnerResolver, experience, in_window
from . import VARIABLES

#: A mail about more courses than this lists none of them.
LONGEST_LIST = 9
CERTIFICATE_IMAGE = "schedules/certificate.png"


def _live_verified_mode(run: Run) -> Q:
    modes = CourseMode.objects.filter(course_id=OuterRef("enrollment__course_id"), slug="verified")
    return Q(Exists(modes.filter(Q(expires_at=None) | Q(expires_at__gt=run.now))))


class UpgradeReminderResolver(LearnerResolver):
    """Learners whose upgrade deadline lies two days after the run day."""

    message_name = "upgradereminder"
    date_field = "upgrade_deadline"
    days = 2
    window = in_window("upgrade_deadline", days)
    conditions = (
        window,
        experience(ScheduleExperience.NUDGES),
        *SHARED_CONDITIONS,
        Condition(
            "upgradeable_mode",
            Q(enrollment__mode__in=dates.MODES_THAT_CAN_UPGRADE),
            "The learner's mode is audit or honor",
        ),
        Condition("live_verified_mode", _live_verified_mode, "The course has a verified mode that has not expired"),
        Condition("deadline_ahead", lambda run: Q(upgrade_deadline__gt=run.now), "The upgrade deadline lies ahead"),
    )

    def shared(
        self, run: Run, dues: Sequence[Due], *, facts: Mapping[int, Facts], links: CampaignLinks, language: str
    ) -> dict[str, Any] | None:
        """Return a nudge's values, and what upgrading is worth, where, and until when."""
        shared = super().shared(run, dues, facts=facts, links=links, language=language)
        until = dues[0].until
        if shared is None or until is None:
            return None
        course = facts[dues[0].course_id]
        upgrade = links.upgrade(course.sku)
        listed = [facts[due.course_id] for due in dues] if 2 <= len(dues) <= LONGEST_LIST else []
        return shared | {
            "upsell_link": upgrade,
            "cta_url": upgrade if len(dues) == 1 else shared["dashboard_url"],
            # Counted in dates from the run's instant, so that a mail that was caught up still tells the truth.
            "days_left": max((until - run.now.date()).days, 0),
            "user_schedule_upgrade_deadline_time": long_date(until, language),
            "first_course_name": course.title,
            "course_links": [{"name": other.title, "url": links.course_home(other.key)} for other in listed],
            "cert_image": links.picture(CERTIFICATE_IMAGE),
        }


@register
class UpgradeReminder(MessageType):
    """Says what a verified certificate is worth, and until when it can be had."""

    NAME = "upgradereminder"
    title = "Upgrade reminder"
    category = "reminder"
    max_lateness = 1
    resolver = UpgradeReminderResolver
    beat: ClassVar[Beat | None] = Beat("0 6 * * *")
    variables: ClassVar[Mapping[str, Any]] = {
        **VARIABLES,
        "days_left": 2,
        "first_course_name": VARIABLES["course_name"],
        "course_links": [
            {"name": VARIABLES["course_name"], "url": VARIABLES["course_url"]},
            {
                "name": "Reading the Weather",
                "url": "https://example.com/courses/course-v1:HarbourX+MET101+2026/course/",
            },
        ],
        "cert_image": "https://example.com/static/schedules/certificate.png",
    }

    @classmethod
    def gate(cls, run: Run, stage: Stage) -> bool:
        """Return the site's switch for this stage."""
        config = current_config(ScheduleConfig, site_id=run.site_id)
        return bool(config and getattr(config, f"{stage}_upgrade_reminder"))
