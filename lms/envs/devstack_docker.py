"""Devstack that writes its mail as files, which a container can share with its host."""

import os

# Before devstack, which reads it. A default, not a decision: the environment and private.py win over it.
os.environ.setdefault("ACE_CHANNEL_SAILTHRU_DEBUG", "true")

from lms.envs.devstack import *
