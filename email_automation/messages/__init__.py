"""The engine's own mails: those that follow an event, and the weekly progress report."""
