"""Settings that every environment shares, read from environment variables with defaults that work on a laptop."""

import os
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import quote

import environ
from kombu import Exchange, Queue

from email_automation.braze_standin import defaults as braze_standin
from lms.logs import unless_push

BASE_DIR = Path(__file__).resolve().parents[2]


class Env(environ.Env):
    """Environment variables, with `mariadb://` as one more name for Django's MySQL engine."""

    DB_SCHEMES = environ.Env.DB_SCHEMES | {"mariadb": "django.db.backends.mysql"}


env = Env()

# --- Django ---

SECRET_KEY = env("SECRET_KEY", default="")
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
SITE_ID = env.int("SITE_ID", default=1)
ROOT_URLCONF = "lms.urls"
WSGI_APPLICATION = "lms.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.sites",
    "waffle",
    "config_models",
    "simple_history",
    "django_celery_beat",
    "anymail",
    "openedx_events",
    "edx_ace",
    "lms.accounts",
    "lms.demo",
    "courses",
    "email_automation",
    "schedules",
    "course_goals",
    "license_notifications",
    "subsidy_requests",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    # First: it answers only for mail that people have a template of their own for.
    {
        "BACKEND": "email_automation.templating.backend.EditedTemplates",
        "NAME": "edited",
        "DIRS": [],
        "APP_DIRS": False,
        "OPTIONS": {},
    },
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "lms" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- People ---

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# --- Storage ---

# Quoted, because the URL's parser would read a plus, a percent or a question mark in the folder's name.
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{quote(str(BASE_DIR / 'db.sqlite3'))}"),
}

CACHES: dict[str, dict[str, Any]] = {
    "default": env.cache("CACHE_URL", default="locmemcache://"),
    "uncached": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
}

STATIC_URL = "static/"
STATIC_ROOT = env("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- Language and time ---

LANGUAGE_CODE = env("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("es", "Español"), ("fr", "Français")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Switches ---

WAFFLE_FLAG_MODEL = "courses.Flag"
# A per-process cache would let one worker go on mailing after another process has seen the switch go off.
WAFFLE_CACHE_NAME = "uncached"

# --- Mail ---

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
EMAIL_HOST = env("EMAIL_HOST", default="localhost")
EMAIL_PORT = env.int("EMAIL_PORT", default=25)
EMAIL_HOST_USER = env("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=False)
EMAIL_USE_SSL = env.bool("EMAIL_USE_SSL", default=False)
EMAIL_FILE_PATH = env("EMAIL_FILE_PATH", default=str(BASE_DIR / "sent_messages"))
if env("EMAIL_URL", default=""):
    # What the URL leaves out (a port, a user) keeps the value above.
    globals().update({name: value for name, value in env.email("EMAIL_URL").items() if value not in (None, "")})
EMAIL_BACKEND = env("EMAIL_BACKEND", default=EMAIL_BACKEND)
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=30)
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="noreply@example.com")
SERVER_EMAIL = env("SERVER_EMAIL", default=DEFAULT_FROM_EMAIL)
ADMINS = [(name or address, address) for name, address in getaddresses([env("ADMINS", default="")]) if address]
# Every provider's keys under their documented names: ANYMAIL_SENDGRID_API_KEY, ANYMAIL_WEBHOOK_SECRET …
ANYMAIL = {name.removeprefix("ANYMAIL_"): value for name, value in os.environ.items() if name.startswith("ANYMAIL_")}

EMAIL_RATE_PER_SECOND = env.float("EMAIL_RATE_PER_SECOND", default=None)
EMAIL_BATCH_SIZE = env.int("EMAIL_BATCH_SIZE", default=500)
EMAIL_IN_FLIGHT = env.int("EMAIL_IN_FLIGHT", default=100)
EMAIL_MAILS_PER_CONNECTION = env.int("EMAIL_MAILS_PER_CONNECTION", default=1000)
EMAIL_LOG_CONTENT_DAYS = env.int("EMAIL_LOG_CONTENT_DAYS", default=30)
EMAIL_LOG_DAYS = env.int("EMAIL_LOG_DAYS", default=90)
# How long what is published in a course is collected for one mail; 0 mails about each thing at once.
NEW_CONTENT_WINDOW_SECONDS = env.int("NEW_CONTENT_WINDOW_SECONDS", default=900)
EMAIL_PAGES_PER_TOKEN = env.int("EMAIL_PAGES_PER_TOKEN", default=20)
EMAIL_PAGES_PER_ADDRESS = env.int("EMAIL_PAGES_PER_ADDRESS", default=60)
UNSUBSCRIBE_MAILTO = env("UNSUBSCRIBE_MAILTO", default="")
# Dotted paths of functions that are called with an alert; empty means an ERROR log line and a mail to ADMINS.
ALERT_SINKS = env.list("ALERT_SINKS", default=[])

# --- Weekly goals ---

COURSE_GOALS_SAVES_PER_MINUTE = env.int("COURSE_GOALS_SAVES_PER_MINUTE", default=30)
COURSE_GOALS_OUTLINES_PER_MINUTE = env.int("COURSE_GOALS_OUTLINES_PER_MINUTE", default=120)
COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE = env.int("COURSE_GOALS_UNSUBSCRIBES_PER_MINUTE", default=20)
COURSE_GOALS_SKIP_UNUSABLE_PASSWORD = env.bool("COURSE_GOALS_SKIP_UNUSABLE_PASSWORD", default=True)

# --- Licences, and the notices about them ---

LICENSE_NOTIFICATION_CHANNEL = env("LICENSE_NOTIFICATION_CHANNEL", default="braze_campaign")
LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS = env.int("LICENSE_NOTIFICATION_STALE_CLAIM_SECONDS", default=3600)
LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS = env.int(
    "LICENSE_NOTIFICATION_PROVISIONING_GRACE_SECONDS", default=86400
)
LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL = env.bool("LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL", default=False)
LICENSE_ADMIN_DIRECTORY = env("LICENSE_ADMIN_DIRECTORY", default="embedded")
LICENSE_LMS_BASE_URL = env("LICENSE_LMS_BASE_URL", default="")
LICENSE_LMS_CLIENT_ID = env("LICENSE_LMS_CLIENT_ID", default="")
LICENSE_LMS_CLIENT_SECRET = env("LICENSE_LMS_CLIENT_SECRET", default="")
LICENSE_LMS_SERVICE_USERNAME = env("LICENSE_LMS_SERVICE_USERNAME", default="")
ENTERPRISE_ADMIN_PORTAL_BASE_URL = env("ENTERPRISE_ADMIN_PORTAL_BASE_URL", default="")

# --- Requests for subsidies ---

LEARNER_PORTAL_BASE_URL = env("LEARNER_PORTAL_BASE_URL", default="")
SUBSIDY_APPROVAL_WINDOW_SECONDS = env.int("SUBSIDY_APPROVAL_WINDOW_SECONDS", default=600)
SUBSIDY_REPUBLISH_AFTER_SECONDS = env.int("SUBSIDY_REPUBLISH_AFTER_SECONDS", default=1800)
SUBSIDY_REPUBLISH_MAX = env.int("SUBSIDY_REPUBLISH_MAX", default=3)
SUBSIDY_REQUESTS_CALLS_PER_MINUTE = env.int("SUBSIDY_REQUESTS_CALLS_PER_MINUTE", default=300)
SUBSIDY_REQUESTS_CHANNEL = env("SUBSIDY_REQUESTS_CHANNEL", default="braze_campaign")
SUBSIDY_REQUESTS_ROLES = env("SUBSIDY_REQUESTS_ROLES", default="subsidy_requests.roles.AssignedRoles")

# --- ACE: which channel delivers (completed in derive.py) ---

ACE_ENABLED_CHANNEL = env.list("ACE_ENABLED_CHANNEL", default=None)
ACE_ENABLED_CHANNELS = env.list("ACE_ENABLED_CHANNELS", default=None)
ACE_ENABLED_POLICIES = env.list("ACE_ENABLED_POLICIES", default=["bulk_email_optout"])
ACE_CHANNEL_SAILTHRU_DEBUG = env.bool("ACE_CHANNEL_SAILTHRU_DEBUG", default=False)
ACE_CHANNEL_SAILTHRU_API_KEY = env("ACE_CHANNEL_SAILTHRU_API_KEY", default="")
ACE_CHANNEL_SAILTHRU_API_SECRET = env("ACE_CHANNEL_SAILTHRU_API_SECRET", default="")
ACE_CHANNEL_SAILTHRU_TEMPLATE_NAME = env("ACE_CHANNEL_SAILTHRU_TEMPLATE_NAME", default="")
ACE_MESSAGES_DIR = Path(env("ACE_MESSAGES_DIR", default=str(BASE_DIR / "ace_messages")))

# --- Braze: a stand-in on this machine until a site names the real one ---

BRAZE_API_URL = env("BRAZE_API_URL", default=braze_standin.URL)
BRAZE_API_KEY = env("BRAZE_API_KEY", default=braze_standin.KEY)
BRAZE_CAMPAIGNS: dict[str, str] = env.dict("BRAZE_CAMPAIGNS", default=braze_standin.CAMPAIGNS)
BRAZE_TIMEOUT = tuple(env.list("BRAZE_TIMEOUT", cast=float, default=[3.05, 10]))
BRAZE_BATCH_SIZE = env.int("BRAZE_BATCH_SIZE", default=50)
BRAZE_MAX_WAIT_SECONDS = env.int("BRAZE_MAX_WAIT_SECONDS", default=60)

# --- The platform, where a site's own configuration leaves a field blank ---

PLATFORM_NAME = env("PLATFORM_NAME", default="Cadence")
CONTACT_MAILING_ADDRESS = env("CONTACT_MAILING_ADDRESS", default="")
COMMERCE_CHECKOUT_URL = env("COMMERCE_CHECKOUT_URL", default="")
FEATURES: dict[str, bool] = {"ENABLE_MKTG_SITE": env.bool("ENABLE_MKTG_SITE", default=False)}
MKTG_URLS: dict[str, str] = {"ROOT": env("MKTG_ROOT_URL", default="")}
SOCIAL_MEDIA_FOOTER_URLS: dict[str, str] = env.dict("SOCIAL_MEDIA_FOOTER_URLS", default={})
MOBILE_STORE_URLS: dict[str, str] = env.dict("MOBILE_STORE_URLS", default={})

# --- Celery (the broker's details follow in derive.py) ---

CELERY_BROKER_URL = env("CELERY_BROKER_URL", default="")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_TIMEOUT = 2
# The database row is the queue: a publish that fails is only a wake-up that comes with the next sweep instead.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Exchange and key are spelled out, or Celery would give both queues the default one's and deliver everything twice.
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in ("transactional", "lifecycle")]
CELERY_TASK_DEFAULT_QUEUE = "lifecycle"
CELERY_TASK_DEFAULT_EXCHANGE = "lifecycle"
CELERY_TASK_DEFAULT_ROUTING_KEY = "lifecycle"
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

# --- Event bus ---

EVENT_BUS_CONSUMER = "edx_event_bus_redis.RedisEventConsumer"
EVENT_BUS_REDIS_CONNECTION_URL = env("EVENT_BUS_REDIS_CONNECTION_URL", default=None)
EVENT_BUS_TOPIC_PREFIX = env("EVENT_BUS_TOPIC_PREFIX", default="dev")
EVENT_BUS_REDIS_STREAM_MAX_LEN = env.int("EVENT_BUS_REDIS_STREAM_MAX_LEN", default=10_000)
EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT = env.int("EVENT_BUS_REDIS_CONSUMER_POLL_TIMEOUT", default=3)
# How the events of our own parts travel: "embedded" needs the database only, "redis" the extra redis-bus.
EVENT_TRANSPORT = env("EVENT_TRANSPORT", default="embedded")
SUBSIDY_ENROLMENT_BACKEND = env("SUBSIDY_ENROLMENT_BACKEND", default="embedded")

# --- Telemetry: none of the vendors' agents that edx-ace would otherwise look for and warn about ---

OPENEDX_TELEMETRY: list[str] = []

# --- Log: ids and names of things, one line per record ---

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "lms.logs.OneLineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(process)d %(message)s",
        },
    },
    "filters": {"unless_push": {"()": lambda: unless_push}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Django's own handlers mail whole requests, people's data included, to ADMINS.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        "stevedore.extension": {"filters": ["unless_push"]},
    },
}
