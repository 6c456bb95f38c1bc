"""The mail that a request is approved: it goes out once the subsidy is granted, never at the approval itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from email_automation.pipeline.message import register

from ..resolver import ApprovalResolver
from . import VARIABLES, NoticeMessage


@register
class RequestApproved(NoticeMessage):
    """Tells a learner which requests were approved, those of ten minutes in one mail."""

    NAME = "request_approved"
    title = "Request approved"
    resolver = ApprovalResolver
    variables: ClassVar[Mapping[str, Any]] = VARIABLES
