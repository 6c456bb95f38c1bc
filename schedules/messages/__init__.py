"""The mails of schedules, one module each."""
