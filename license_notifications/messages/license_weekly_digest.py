"""The week's figures: how many of the licences are allocated, every seven days since somebody became administrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from email_automation.pipeline.message import register

from ..models import WEEKLY
from ..resolver import DIGEST_NAME, DigestResolver
from . import VARIABLES, Notice


@register
class LicenseWeeklyDigest(Notice):
    """Tells once a week how far the licences are used up."""

    NAME = DIGEST_NAME
    title = "Licences, weekly figures"
    resolver = DigestResolver
    variables: ClassVar[Mapping[str, Any]] = {**VARIABLES, "notification_kind": WEEKLY}
