"""Settings of the measurements: as in production, with edx-ace's own channel beside ours for the peer."""

from lms.envs.common import *
from lms.envs.derive import derive

SECRET_KEY = "bench-only"
ALLOWED_HOSTS = ["*"]
DEBUG = False
ACE_ENABLED_CHANNELS = ["django_mail", "django_email", "braze_campaign"]
ACE_ENABLED_POLICIES = []
derive(globals())

# The other peers queue mail in tables of their own and send it from there.
INSTALLED_APPS = [*INSTALLED_APPS, "post_office", "mailer"]
POST_OFFICE = {"BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}, "BATCH_SIZE": 1000}
MAILER_EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
# Two processes share the work by row locks instead of keeping each other out by a file.
MAILER_USE_FILE_LOCK = False
