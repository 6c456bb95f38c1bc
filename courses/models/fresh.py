"""Configuration rows that are never cached."""

from typing import Any, Self

from config_models.models import ConfigurationModel


class FreshConfigurationModel(ConfigurationModel):
    """A ConfigurationModel whose `current` asks the database at every call.

    The original remembers the answer per thread and in Django's cache, so another process may go on with a switch
    that somebody has just turned off. Of two rows written in the same instant the later one counts.
    """

    class Meta(ConfigurationModel.Meta):
        abstract = True

    @classmethod
    def current(cls, *args: Any) -> Self:
        """Return the newest row for these keys, or an unsaved one with the defaults."""
        keys = dict(zip(cls.KEY_FIELDS, args, strict=True))
        row: Self | None = cls.objects.filter(**keys).order_by("-change_date", "-id").first()
        return row or cls(**keys)
