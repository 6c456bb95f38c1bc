"""Addresses of the demo's page, below /demo/."""

from django.urls import path

from .views import do, page

app_name = "demo"
urlpatterns = [
    path("", page, name="page"),
    path("<str:name>/", do, name="do"),
]
