"""Fields that Django does not have."""

from typing import Any

from django.db import models


class StructureField(models.JSONField):
    """A JSON list or object that is never null and whose validators also see empty values of the wrong kind."""

    empty_values = ()

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        """Check a value; None, which an empty form field gives, is the default."""
        return super().clean(self.get_default() if value is None else value, model_instance)
