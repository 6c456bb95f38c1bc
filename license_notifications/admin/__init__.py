"""The admin pages of licences, of those who administer them, and of what they were told."""

from . import administrators, licenses, notices, plans

__all__ = ["administrators", "licenses", "notices", "plans"]
