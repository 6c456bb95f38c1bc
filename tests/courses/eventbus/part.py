"""Devstack with the tests' own part."""

from lms.envs.devstack import *  # noqa: F403
from lms.envs.devstack import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.courses.eventbus.apps.PartConfig"]
