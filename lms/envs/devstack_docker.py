"""Devstack that writes its mail as files, which a container can share with its host."""

import os

# A default, not a decision: the environment and private.py come later in devstack's own order and win.
os.environ.setdefault("ACE_CHANNEL_SAILTHRU_DEBUG", "true")

from lms.envs.devstack import *  # noqa: E402 - reads the variable above
