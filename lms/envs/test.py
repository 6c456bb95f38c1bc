"""Settings of the test suite. The database follows DATABASE_URL; nothing else of the machine shows through."""

import os
import tempfile
from pathlib import Path

from email_automation.braze_standin import defaults as braze_standin
from lms.envs.common import *
from lms.envs.common import BASE_DIR, DATABASES
from lms.envs.derive import derive

DEBUG = False
SECRET_KEY = "test-only"
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Several runs may share one server or one temporary folder. SQLite gets a file: its in-memory mode locks differently.
_run = f"cadence_{os.getpid()}"
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(Path(tempfile.gettempdir()) / f"{_run}.sqlite3")}
else:
    DATABASES["default"]["TEST"] = {"NAME": f"test_{_run}"}
DATABASES["default"]["CONN_MAX_AGE"] = 0

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "uncached": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}

EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "cadence@example.com"
ADMINS = []
ANYMAIL = {}

LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL = True
LICENSE_NOTIFICATION_CHANNEL = "email"
LICENSE_ADMIN_DIRECTORY = "embedded"
LICENSE_LMS_BASE_URL = LICENSE_LMS_CLIENT_ID = LICENSE_LMS_CLIENT_SECRET = LICENSE_LMS_SERVICE_USERNAME = ""
ENTERPRISE_ADMIN_PORTAL_BASE_URL = "https://portal.example.com"

LEARNER_PORTAL_BASE_URL = "https://learn.example.com"
SUBSIDY_REQUESTS_CHANNEL = "email"
SUBSIDY_REQUESTS_ROLES = "subsidy_requests.roles.AssignedRoles"

EVENT_TRANSPORT = "embedded"
EVENT_BUS_REDIS_CONNECTION_URL = None
EVENT_BUS_TOPIC_PREFIX = "dev"
EVENT_BUS_REDIS_STREAM_MAX_LEN = 10_000
EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT = 3
SUBSIDY_ENROLMENT_BACKEND = "embedded"

CELERY_BROKER_URL = ""
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True

ACE_ENABLED_CHANNEL = None
ACE_ENABLED_CHANNELS = None
ACE_CHANNEL_SAILTHRU_DEBUG = False
ACE_MESSAGES_DIR = BASE_DIR / "ace_messages"

# Nobody listens there: a test that talks to Braze asks for a stand-in of its own.
BRAZE_API_URL = "http://127.0.0.1:1"
BRAZE_API_KEY = braze_standin.KEY
BRAZE_CAMPAIGNS = braze_standin.CAMPAIGNS
BRAZE_TIMEOUT = (3.05, 10)
BRAZE_BATCH_SIZE = 50
BRAZE_MAX_WAIT_SECONDS = 60

# Without private.py: a developer's own values must not decide whether the tests pass.
derive(globals())
