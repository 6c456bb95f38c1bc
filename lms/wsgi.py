"""The WSGI application, for gunicorn and `runserver`."""

import os

from django.core.wsgi import get_wsgi_application

from lms.celery import DEFAULT_SETTINGS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", DEFAULT_SETTINGS)

application = get_wsgi_application()
