"""Fields that Django does not have."""

from __future__ import annotations

from typing import Any

from django.db import models


class LowerCaseEmailField(models.EmailField):
    """An address that is stored and looked for in lower case, also by bulk writes; nobody's is null."""

    def get_prep_value(self, value: Any) -> Any:
        """Return what is stored or looked for."""
        value = super().get_prep_value(value)
        return (value.strip().lower() or None) if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Let the instance hold what is stored."""
        value = self.get_prep_value(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value
