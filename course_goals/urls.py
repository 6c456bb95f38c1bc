"""Addresses of weekly goals. A course key may itself hold slashes (Org/Course/Run)."""

from django.urls import path

from .api.goals import LastSeenTimeZone, Outline, SaveCourseGoal
from .api.schema import Schema
from .api.unsubscribe import UnsubscribeFromCourseGoal
from .views.home import home
from .views.unsubscribe import unsubscribe

app_name = "course_goals"
urlpatterns = [
    path("api/course_home/save_course_goal", SaveCourseGoal.as_view(), name="save"),
    path("api/course_home/outline/<path:course_key>", Outline.as_view(), name="outline"),
    path("api/course_home/last_seen_time_zone", LastSeenTimeZone.as_view(), name="last-seen-time-zone"),
    path(
        "api/course_home/unsubscribe_from_course_goal/<str:token>",
        UnsubscribeFromCourseGoal.as_view(),
        name="unsubscribe",
    ),
    path("api/course_home/schema", Schema.as_view(), name="schema"),
    path("courses/<path:course_key>/home/", home, name="home"),
    path("goal-unsubscribe/<str:token>", unsubscribe, name="unsubscribe-page"),
]
