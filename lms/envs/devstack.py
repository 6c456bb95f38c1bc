"""Settings of a developer's machine, and the default."""

from lms.envs.common import *
from lms.envs.common import SECRET_KEY, env
from lms.envs.derive import finish

DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = SECRET_KEY or "devstack-only-never-use-this-key-where-people-can-reach-it"
INTERNAL_IPS = ["127.0.0.1"]
LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL = env.bool("LICENSE_NOTIFICATION_ALLOW_TIME_TRAVEL", default=True)
ENTERPRISE_ADMIN_PORTAL_BASE_URL = env("ENTERPRISE_ADMIN_PORTAL_BASE_URL", default="http://localhost:1991")
LEARNER_PORTAL_BASE_URL = env("LEARNER_PORTAL_BASE_URL", default="http://localhost:8734")

finish(globals())
