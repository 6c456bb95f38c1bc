"""Addresses of the pages on which authors write highlights, below /courses/.

A course key may itself hold slashes (Org/Course/Run).
"""

from django.urls import path

from .views import highlights, messaging, outline

app_name = "schedules"
urlpatterns = [
    path("<path:course_key>/outline/", outline, name="outline"),
    path("<path:course_key>/outline/messaging/", messaging, name="messaging"),
    path("<path:course_key>/outline/sections/<int:section_id>/", highlights, name="highlights"),
]
