"""The tables of the requests and, in a module tree of their own that shares nothing with them, those of the coupons."""

from ..coupons.models import Coupon, CouponCode
from .configuration import SubsidyRequestCustomerConfiguration
from .notices import ApprovalItem, ApprovalWindow, DeclineNotice
from .requests import CouponCodeRequest, LicenseRequest, SubsidyRequest
from .roles import EnterpriseRoleAssignment

__all__ = [
    "ApprovalItem",
    "ApprovalWindow",
    "Coupon",
    "CouponCode",
    "CouponCodeRequest",
    "DeclineNotice",
    "EnterpriseRoleAssignment",
    "LicenseRequest",
    "SubsidyRequest",
    "SubsidyRequestCustomerConfiguration",
]
