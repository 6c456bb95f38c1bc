"""Apps that make the project behave as a test of whole processes needs it."""

import time
from typing import Any

from django.apps import AppConfig


class RatherTwiceConfig(AppConfig):
    """Makes the nudge behave like transactional mail: rather twice than not at all."""

    name = "tests.chaos"
    label = "rather_twice"

    def ready(self) -> None:
        from email_automation.pipeline import message

        message.get("recurringnudge_day3").resend_unknown = 1


class SlowPlanningConfig(AppConfig):
    """Plans 20 at a time, with a pause before workers hear of a page."""

    name = "tests.chaos"
    label = "slow_planning"

    def ready(self) -> None:
        from email_automation.pipeline import ledger, resolver

        real = ledger.claim

        def claim(*args: Any, **options: Any) -> Any:
            claimed = real(*args, **options)
            time.sleep(0.3)
            return claimed

        resolver.AUDIENCE_PAGE = 20
        ledger.claim = claim
