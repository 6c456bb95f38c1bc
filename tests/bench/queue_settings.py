"""Settings of the peers that queue mail in tables of their own, and of whoever fills those; workers have none of it."""

from .settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "post_office", "mailer"]
POST_OFFICE = {"BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}, "BATCH_SIZE": 1000}
MAILER_EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
# Two processes share the work by row locks instead of keeping each other out by a file.
MAILER_USE_FILE_LOCK = False
