"""A sink of alerts that keeps them for the test; the fixture `told` names it in the settings."""

from courses.alerts import Alert

told: list[Alert] = []


def remember(alert: Alert) -> None:
    """Keep an alert."""
    told.append(alert)
