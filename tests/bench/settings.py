"""Settings of the measurements: as in production, with edx-ace's own channel beside ours for the peer."""

from lms.envs.common import *
from lms.envs.derive import derive

SECRET_KEY = "bench-only"
ALLOWED_HOSTS = ["*"]
DEBUG = False
ACE_ENABLED_CHANNELS = ["django_mail", "django_email", "braze_campaign"]
ACE_ENABLED_POLICIES = []
derive(globals())
