"""Devstack that plans a few at a time and takes its time, so that a planner can be killed between two pages."""

from lms.envs.devstack import *  # noqa: F403
from lms.envs.devstack import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.apps.SlowPlanningConfig"]
