"""Who is due by their schedule, and what they read. Only reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.sites.models import Site
from django.db.models import Q, QuerySet
from django.utils import formats, translation

from courses import sites
from courses.languages import closest_language
from courses.models import CourseMode, LearnerProfile
from email_automation import words
from email_automation.pipeline.conditions import Condition
from email_automation.pipeline.policy import course_opt_outs
from email_automation.pipeline.resolver import Draft, Resolver
from email_automation.pipeline.run import Run

from . import dates
from .links import CampaignLinks
from .models import Schedule, ScheduleExperience


def in_window(field: str, days: int) -> Condition:
    """Return the rule that a date field lies in the UTC day `days` after (or before) the run day."""

    def q(run: Run) -> Q:
        first, after = dates.day_window(run.day + timedelta(days=days))
        return Q(**{f"{field}__gte": first, f"{field}__lt": after})

    distance = f"{abs(days)} days {'before' if days < 0 else 'after'} the run day"
    return Condition("in_window", q, f"{field} lies in the UTC day {distance}")


def experience(wanted: int) -> Condition:
    """Return the rule that a schedule receives this family of mails; a missing row reads as nudges."""
    q, missing = Q(experience__experience_type=wanted), ""
    if wanted == ScheduleExperience.NUDGES:
        q |= Q(experience__isnull=True)
        missing = " or there is no row"
    return Condition("experience", q, f"The schedule's experience is {wanted}{missing}")


#: The rules all of schedules' messages share, after the window and the experience.
SHARED_CONDITIONS = (
    Condition("active_enrollment", Q(enrollment__is_active=True), "The enrolment is active"),
    Condition("active_user", Q(enrollment__user__is_active=True), "The account is active"),
    Condition(
        "usable_password",
        ~Q(enrollment__user__password__startswith="!"),
        "The account has a usable password",
    ),
    Condition("self_paced", Q(enrollment__course__self_paced=True), "The course is self-paced"),
    Condition(
        "course_started",
        lambda run: Q(enrollment__course__start=None) | Q(enrollment__course__start__lte=run.now),
        "The course has started",
    ),
    Condition(
        "course_not_ended",
        lambda run: Q(enrollment__course__end=None) | Q(enrollment__course__end__gte=run.now),
        "The course has not ended",
    ),
    Condition(
        "org_of_site",
        lambda run: sites.org_q(run.site_id, "enrollment__course__org"),
        "The course belongs to the run's site",
    ),
)


class LearnerResolver(Resolver):
    """One mail per learner about all courses whose schedule reaches the same point on the same day.

    Subclasses name the date field and how many days after the run day its window lies.
    """

    message_name: ClassVar[str]
    date_field: ClassVar[str]
    days: ClassVar[int]
    target_path = "enrollment__user_id"
    user_path = "enrollment__user_id"

    def rows(self) -> QuerySet[Schedule]:
        """Return every schedule, with what `subject_of` and `drafts` read of it."""
        return Schedule.objects.select_related("enrollment__course")

    def candidates(self, run: Run) -> QuerySet[Schedule]:
        """Return the schedules in the run's window, which has an index."""
        return self.rows().filter(in_window(self.date_field, self.days).for_run(run))

    def target_day(self, run: Run) -> date:
        """Return the day the mail is about."""
        return run.day + timedelta(days=self.days)

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `<message>:<learner>:<target day>`; no site, so two sites never mail one learner twice."""
        return f"{self.message_name}:{target_id}:{self.target_day(run)}"

    def subject_of(self, row: Schedule) -> str:
        """Return the course's key and the row's dates."""
        deadline = f", upgrade by {row.upgrade_deadline:%Y-%m-%d %H:%M}Z" if row.upgrade_deadline else ""
        return f"{row.enrollment.course.key} (schedule {row.pk}, start {row.start_date:%Y-%m-%d %H:%M}Z{deadline})"

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return one draft per learner who still has an eligible course, in a constant number of queries."""
        schedules = self.eligible(run, target_ids=target_ids)
        by_learner: dict[int, list[Schedule]] = defaultdict(list)
        for schedule in schedules:
            by_learner[schedule.enrollment.user_id].append(schedule)
        out = course_opt_outs(by_learner)
        profiles = dict(LearnerProfile.objects.filter(user_id__in=by_learner).values_list("user_id", "language"))
        course_ids = {row.enrollment.course_id for row in schedules}
        verified = {
            mode.course_id: mode for mode in CourseMode.objects.filter(course_id__in=course_ids, slug="verified")
        }
        site = Site.objects.select_related("configuration").get(pk=run.site_id)
        platform_language = getattr(getattr(site, "configuration", None), "language", "")
        drafts = []
        for user_id, rows in by_learner.items():
            wanted = [row for row in rows if (user_id, row.enrollment.course_id) not in out]
            if not wanted:
                drafts.append(Draft(target_id=user_id, user_id=user_id, skip=words.OPTED_OUT_COURSE))
                continue
            # The database's collation must not decide which course comes first.
            wanted.sort(key=lambda row: (getattr(row, self.date_field), row.enrollment.course.key))
            first = wanted[0].enrollment
            language = chosen_language(profiles.get(user_id, ""), first.course.language, platform_language)
            links = CampaignLinks(site, campaign=self.message_name, first_course=first.course.key)
            shared = self.shared(run, wanted, verified=verified, links=links, language=language)
            drafts.append(
                Draft(
                    target_id=user_id,
                    user_id=user_id,
                    language=language,
                    shared=shared,
                    course_id=first.course_id,
                    course_keys=tuple(row.enrollment.course.key for row in wanted),
                )
            )
        return drafts

    def shared(
        self,
        run: Run,
        schedules: Sequence[Schedule],
        *,
        verified: dict[int, CourseMode],
        links: CampaignLinks,
        language: str,
    ) -> dict[str, Any]:
        """Return the values of one mail, made from that learner's schedules only, the first course's first."""
        first = schedules[0]
        course = first.enrollment.course
        course_url, dashboard_url = links.course_home(course.key), links.dashboard()
        shared: dict[str, Any] = {
            "course_name": course.title,
            "course_url": course_url,
            "course_ids": [row.enrollment.course.key for row in schedules],
            "course_count": len(schedules),
            "dashboard_url": dashboard_url,
            "cta_url": course_url if len(schedules) == 1 else dashboard_url,
            "show_upsell": False,
        }
        mode = verified.get(course.pk)
        if first.upgrade_deadline is not None and can_upgrade(first, mode, run.now):
            shared |= {
                "show_upsell": True,
                "upsell_link": links.upgrade(mode),
                "user_schedule_upgrade_deadline_time": long_date(first.upgrade_deadline, language),
            }
        return shared


def can_upgrade(schedule: Schedule, verified_mode: CourseMode | None, now: datetime) -> bool:
    """Return whether a mail may offer the verified track for this schedule at this instant."""
    enrollment = schedule.enrollment
    return (
        schedule.upgrade_deadline is not None
        and schedule.upgrade_deadline > now
        and enrollment.mode in dates.MODES_THAT_CAN_UPGRADE
        and enrollment.is_active
        and enrollment.course.self_paced
        and verified_mode is not None
        and (verified_mode.expires_at is None or verified_mode.expires_at > now)
    )


def chosen_language(*wishes: str) -> str:
    """Return the released language closest to the first wish that has one: learner's, course's, site's, platform's."""
    for wish in (*wishes, settings.LANGUAGE_CODE):
        if released := closest_language(wish, [code for code, _ in settings.LANGUAGES]):
            return released
    return settings.LANGUAGE_CODE


def long_date(moment: datetime, language: str) -> str:
    """Return the UTC date of a moment as long text in a language, for example `8 de agosto de 2017`."""
    with translation.override(language):
        # English alone abbreviates months in its date format (N); F is the full name in every language.
        return formats.date_format(moment.astimezone(UTC).date(), formats.get_format("DATE_FORMAT").replace("N", "F"))
