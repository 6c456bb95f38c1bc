"""Addresses of the demo's page, below /demo/."""

from django.urls import path

from .views import decide, do, page, requests_page

app_name = "demo"
urlpatterns = [
    path("", page, name="page"),
    path("requests/", requests_page, name="requests"),
    path("requests/<uuid:request_uuid>/<str:decision>/", decide, name="decide"),
    path("<str:name>/", do, name="do"),
]
