"""The project's user account."""
