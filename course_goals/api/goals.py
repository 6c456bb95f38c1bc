"""A learner's own goal: saving it, the outline that shows it, and the zone of the learner's browser."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from email_automation.rest import body_of

from .. import activity, conf, services
from ..models import CourseGoal
from ..throttles import OutlineThrottle, SaveThrottle
from ..week import Progress
from .base import GoalView, check_access, course_of
from .errors import Refused, invalid, required


class Wish(NamedTuple):
    """What a learner asks for; `days` None: as it is."""

    course_key: str
    subscribed: bool
    days: int | None


class SaveCourseGoal(GoalView):
    """Sets, changes or clears the caller's goal."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (SaveThrottle,)

    def post(self, request: Request) -> Response:
        """Save, and say what is stored now."""
        wish = _wish(body_of(request))
        course = course_of(wish.course_key)
        check_access(request.user, course)
        try:
            goal, _word = services.set_goal(
                request.user, course, days_per_week=wish.days, subscribed=wish.subscribed, source=services.API
            )
        except services.DaysMissing:
            detail = "days_per_week is required to set a goal."
            raise Refused(400, "required", detail, "days_per_week") from None
        header, message = _told(goal)
        return Response({"header": header, "message": message, "selected_goal": _shown(goal)})


class Outline(GoalView):
    """Shows a learner's goal and week in a course; to open it counts as a day of study."""

    throttle_classes = (OutlineThrottle,)

    def get(self, request: Request, course_key: str) -> Response:
        """Record the day, so that it shows as done, and show the week."""
        course = course_of(course_key)
        activity.record_visit(request, course)
        state = services.goal_state(request.user, course, timezone.now())
        goals = {
            "weekly_learning_goal_enabled": state.enabled,
            "selected_goal": _shown(state.goal),
            "choices": [choice._asdict() for choice in conf.choices()],
            "week": _week(state.progress) if state.progress else None,
        }
        return Response({"course_goals": goals})


class LastSeenTimeZone(GoalView):
    """Hears which zone the caller's browser is in."""

    permission_classes = (IsAuthenticated,)

    def post(self, request: Request) -> Response:
        """Record the zone; a name that is not usable is ignored."""
        name = body_of(request).get("time_zone")
        if isinstance(name, str):
            services.record_last_seen_zone(request.user, name)
        return Response(status=204)


def _wish(body: dict[str, Any]) -> Wish:
    """Return what the body asks for; keys we do not know are passed over. Raises Refused."""
    key, subscribed, days = (body.get(name) for name in ("course_id", "subscribed_to_reminders", "days_per_week"))
    if key in (None, ""):
        raise required("course_id")
    if not isinstance(key, str):
        raise invalid("course_id", "a string")
    if subscribed is None:
        raise required("subscribed_to_reminders")
    if not isinstance(subscribed, bool):
        raise invalid("subscribed_to_reminders", "true or false")
    if days is not None and type(days) is not int:
        raise invalid("days_per_week", "a whole number")
    if not conf.can_be_chosen(days):
        fewest, most = conf.days_range()
        detail = f"days_per_week must be 0, or between {fewest} and {most}."
        raise Refused(400, "out_of_range", detail, "days_per_week")
    return Wish(key, subscribed, days)


def _shown(goal: CourseGoal | None) -> dict[str, Any] | None:
    """Return a goal as the outline has it; one that is cleared is none."""
    if goal is None or not goal.days_per_week:
        return None
    return {"days_per_week": goal.days_per_week, "subscribed_to_reminders": goal.subscribed_to_reminders}


def _week(progress: Progress) -> dict[str, Any]:
    return {
        "start": progress.clock.monday.isoformat(),
        "today": progress.clock.day.isoformat(),
        "days_done": progress.done,
        "days_left": progress.clock.days_left,
        "reached": progress.reached,
    }


def _told(goal: CourseGoal | None) -> tuple[str, str]:
    """Return headline and sentence about what is stored now."""
    if goal is None or not goal.days_per_week:
        return _("You have no weekly goal"), _("You get no reminders for this course.")
    header = ngettext("Your goal: %(days)d day a week", "Your goal: %(days)d days a week", goal.days_per_week)
    if goal.subscribed_to_reminders:
        message = _("We send you a mail when you need every day that is left of a week.")
    else:
        message = _("You get no reminders for this course.")
    return header % {"days": goal.days_per_week}, message
