"""The ASGI application, for servers that speak it."""

import os

from django.core.asgi import get_asgi_application

from lms.celery import DEFAULT_SETTINGS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", DEFAULT_SETTINGS)

application = get_asgi_application()
