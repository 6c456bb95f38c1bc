"""Throttling of the pages anybody can reach: so many requests a minute, counted in Django's default cache."""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Final

from django.core.cache import cache

from .conf import setting

WINDOW: Final = 60

log = logging.getLogger(__name__)


def wait(limit_name: str, subject: str) -> int:
    """Count one request of `subject` and return 0, or in how many seconds it may come again.

    `limit_name` is the setting that holds the requests a minute; 0 or None means no limit. Without a working cache
    nobody is turned away.
    """
    limit = setting(limit_name)
    if not limit:
        return 0
    now = int(time.time())
    window, elapsed = divmod(now, WINDOW)
    # A digest: keys of a cache end up in its logs, and the subject may be somebody's address.
    digest = hashlib.sha256(f"{limit_name}:{subject}".encode()).hexdigest()
    key = f"email_automation.throttle:{digest}:{window}"
    try:
        cache.add(key, 0, timeout=2 * WINDOW)
        used = cache.incr(key)
    except ValueError:
        # The cache has dropped the key at once, or keeps nothing at all.
        return 0
    except Exception as error:
        # To opt out matters more than to be spared a few requests.
        log.warning("throttling is off: the cache does not answer (%s)", type(error).__name__)
        return 0
    return 0 if used <= limit else WINDOW - elapsed
