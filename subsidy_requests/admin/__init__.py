"""The admin pages of requests and, from a module tree of their own, those of coupons."""

from ..coupons import admin as coupons
from . import configuration, notices, requests, roles

__all__ = ["configuration", "coupons", "notices", "requests", "roles"]
