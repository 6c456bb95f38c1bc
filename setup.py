"""The distribution: the reusable apps. The project around them (lms) and the tests are not part of it."""

from pathlib import Path

from setuptools import find_packages, setup

VERSION = "0.1.0"
APPS = ("courses", "email_automation", "schedules", "course_goals", "license_notifications", "subsidy_requests")
HERE = Path(__file__).resolve().parent


def requirements(name: str) -> list[str]:
    """Return what requirements/<name>.in asks for, without its comments."""
    lines = (HERE / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


setup(
    name="cadence-mail",
    version=VERSION,
    description="Learner-lifecycle mail for Django: nudges, reminders and transactional mail over one engine",
    license="AGPL-3.0-or-later",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            "courses*",
            "email_automation*",
            "schedules*",
            "course_goals*",
            "license_notifications*",
            "subsidy_requests*",
        ]
    ),
    package_data={"": ["templates/**/*", "locale/**/*", "static/**/*", "dictionaries/*", "py.typed"]},
    install_requires=requirements("base"),
    extras_require={
        "mysql": requirements("mysql"),
        "redis-bus": requirements("redis-bus"),
        # The providers that django-anymail reaches through more than plain HTTP.
        "amazon-ses": ["django-anymail[amazon-ses]"],
        "postal": ["django-anymail[postal]"],
        "resend": ["django-anymail[resend]"],
    },
    entry_points={
        "openedx.ace.channel": [
            "django_mail = email_automation.channels.mail:DjangoMailChannel",
            "braze_campaign = email_automation.channels.braze:BrazeCampaignChannel",
        ],
        "openedx.ace.policy": ["bulk_email_optout = email_automation.policies:BulkEmailOptout"],
    },
    classifiers=[
        "Environment :: Web Environment",
        "Framework :: Django :: 5.2",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Communications :: Email",
        "Topic :: Education",
    ],
)
