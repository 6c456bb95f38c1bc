"""A small site to look at, filled by `manage.py demo`."""
