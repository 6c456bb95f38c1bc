"""Addresses of the whole project."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import include, path
from django.views.generic import RedirectView


def home(request: HttpRequest) -> HttpResponseRedirect:
    """Lead a developer to the mail just written, anybody else to the admin."""
    return redirect("/email/outbox/" if settings.DEBUG else "admin:index")


urlpatterns = [
    path("", home, name="home"),
    # Two addresses that operators know from the platform's documentation; they have to stand before the admin's own.
    path(
        "admin/course_modes/coursemode/",
        RedirectView.as_view(pattern_name="admin:courses_coursemode_changelist", query_string=True),
    ),
    path(
        "admin/self_paced/selfpacedconfiguration/",
        RedirectView.as_view(pattern_name="admin:courses_selfpacedconfiguration_changelist", query_string=True),
    ),
    path("admin/", admin.site.urls),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("email/", include("email_automation.urls")),
    path("courses/", include("schedules.urls")),
    path("demo/", include("lms.demo.urls")),
    path("api/v1/", include("subsidy_requests.urls")),
    path("", include("course_goals.urls")),
]
