"""`python -m tests.bench [planning] [delivery] [distance] [priority] [admin] [goals] [licenses] [scale]`, or all."""

from __future__ import annotations

import os
import sys

from .places import BROKER, own_database


def main(wanted: set[str]) -> None:
    """Make a database, run the measurements, drop it."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.queue_settings"
    with own_database() as url:
        os.environ["DATABASE_URL"] = url
        os.environ["CELERY_BROKER_URL"] = BROKER
        os.environ["LOG_LEVEL"] = "ERROR"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from . import admin, delivery, distance, goals, licenses, planning, priority, scale

        measurements = {
            "planning": planning.measure,
            "delivery": delivery.measure,
            "distance": distance.measure,
            "priority": priority.measure,
            "admin": admin.measure,
            "goals": goals.measure,
            "licenses": licenses.measure,
            "scale": scale.measure,
        }
        unknown = wanted - set(measurements)
        if unknown:
            sys.exit(f"no such measurement: {', '.join(sorted(unknown))}; allowed: {', '.join(measurements)}")
        for name, measure in measurements.items():
            if not wanted or name in wanted:
                measure()


if __name__ == "__main__":
    main(set(sys.argv[1:]))
