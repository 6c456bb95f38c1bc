"""The runnable project around the reusable apps; not part of the distribution."""

from lms.celery import app as celery_app

__all__ = ["celery_app"]
