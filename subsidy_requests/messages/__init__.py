"""The mails about requests."""
