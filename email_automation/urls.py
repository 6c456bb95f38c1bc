"""Addresses of the engine's pages, below /email/."""

from django.urls import path

from . import views

app_name = "email_automation"
urlpatterns = [
    path("unsubscribe/<str:token>/", views.stub, name="unsubscribe"),
    path("preferences/", views.stub, name="own-preferences"),
    path("preferences/<str:token>/", views.stub, name="preferences"),
    path("test-mail/", views.stub, name="test-mail"),
]
