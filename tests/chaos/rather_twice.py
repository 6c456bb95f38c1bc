"""Devstack whose day-3 nudge is sent again when nobody knows whether it arrived."""

from lms.envs.devstack import *  # noqa: F403
from lms.envs.devstack import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.apps.RatherTwiceConfig"]
