"""Fields that Django does not have."""

from typing import Any

from django.db import models


class StructureField(models.JSONField):
    """A JSON list or object that is never null and whose validators also see empty values of the wrong kind."""

    empty_values = ()

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        """Check a value; None, which an empty form field gives, is the default."""
        return super().clean(self.get_default() if value is None else value, model_instance)


class ReferenceField(models.CharField):
    """The name of a row in somebody else's system: unique, and null where there is none.

    An empty text could be stored once only, so it is stored as null.
    """

    def get_prep_value(self, value: Any) -> Any:
        """Return what is stored or looked for."""
        return super().get_prep_value(value) or None

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Let the instance hold what is stored."""
        value = super().pre_save(model_instance, add) or None
        setattr(model_instance, self.attname, value)
        return value
