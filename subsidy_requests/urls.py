"""Addresses of the API of requests, below whatever the project includes them at (`/api/v1/`)."""

from django.urls import path

from .api.configurations import Configuration, Configurations
from .api.requests import Approve, Decline, OneRequest, Overview, Requests
from .api.schema import Schema
from .models.configuration import COUPON, LICENSE

app_name = "subsidy_requests"
urlpatterns = [
    pattern
    for kind, prefix in ((LICENSE, "license-requests"), (COUPON, "coupon-code-requests"))
    for pattern in (
        path(f"{prefix}/", Requests.as_view(kind=kind), name=prefix),
        path(f"{prefix}/overview/", Overview.as_view(kind=kind), name=f"{prefix}-overview"),
        path(f"{prefix}/approve/", Approve.as_view(kind=kind), name=f"{prefix}-approve"),
        path(f"{prefix}/decline/", Decline.as_view(kind=kind), name=f"{prefix}-decline"),
        path(f"{prefix}/<str:uuid>/", OneRequest.as_view(kind=kind), name=f"{prefix}-detail"),
    )
]
urlpatterns += [
    path("customer-configurations/", Configurations.as_view(), name="customer-configurations"),
    path("customer-configurations/<str:uuid>/", Configuration.as_view(), name="customer-configuration"),
    path("subsidy-requests/schema/", Schema.as_view(), name="schema"),
]
