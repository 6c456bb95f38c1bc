"""A model whose saves are told to others inside the transaction that makes them."""

from typing import Any, ClassVar

from django.db import models, router, transaction

from courses.bulk import locked, retry_on_deadlock


class ObservedModel(models.Model):
    """Base of the models that send signals: compares what is stored with what is saved, under a lock.

    Django sends post_save after its own transaction has ended, and what an instance was loaded with may be out of
    date; so `save` opens the transaction itself and reads the stored row again. Fixtures go past `save` and are
    silent.
    """

    OBSERVED: ClassVar[tuple[str, ...]] = ()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save and, in the same transaction, tell what is new.

        Receivers lock rows too, so two savers can meet in a lock cycle; whose transaction the database gave up starts
        again, unless it is part of a larger one.
        """
        pk, adding = self.pk, self._state.adding

        def attempt() -> None:
            # As before a try that was rolled back.
            self.pk, self._state.adding = pk, adding
            self._save_and_tell(*args, **kwargs)

        retry_on_deadlock(attempt)()

    def _save_and_tell(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        update_fields = kwargs.get("update_fields")
        with transaction.atomic(using=using):
            before = self._stored(using)
            filled = self.filled(before or {}, self._after(before or {}, update_fields))
            for name, value in filled.items():
                setattr(self, name, value)
            if update_fields is not None and filled:
                kwargs["update_fields"] = update_fields = {*update_fields, *filled}
            super().save(*args, **kwargs)
            if before is None:
                self.inserted()
                return
            changed = self._changed(before, update_fields)
            if changed:
                self.changed(before, changed)

    def filled(self, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        """Return the values that this save has to write besides.

        `before` are the stored values of the observed fields, none for a new row; `after` are those that the save
        would leave, without what the database computes itself.
        """
        return {}

    def inserted(self) -> None:
        """Tell that the row is new."""

    def changed(self, before: dict[str, Any], changed: frozenset[str]) -> None:
        """Tell that observed fields, named in `changed`, have other values than `before`."""

    def _stored(self, using: str) -> dict[str, Any] | None:
        """Return the stored values of the observed fields, locked, or None for a row that is not there."""
        if self.pk is None:
            return None
        rows = type(self)._base_manager.using(using).filter(pk=self.pk)
        before: dict[str, Any] | None = locked(rows).values(*self.OBSERVED).first()
        return before

    def _after(self, before: dict[str, Any], update_fields: Any) -> dict[str, Any]:
        """Return the observed values that a save would leave, as far as they can be told before it."""
        after = dict(before)
        for field in self._written(update_fields):
            value = getattr(self, field.attname)
            if not hasattr(value, "resolve_expression"):
                after[field.attname] = field.to_python(value)
        return after

    def _changed(self, before: dict[str, Any], update_fields: Any) -> frozenset[str]:
        """Return the names of the observed fields that this save has written with another value."""
        changed = set()
        for field in self._written(update_fields):
            if hasattr(getattr(self, field.attname), "resolve_expression"):
                self.refresh_from_db(fields=[field.attname])
            if field.to_python(getattr(self, field.attname)) != before[field.attname]:
                changed.add(field.attname)
        return frozenset(changed)

    def _written(self, update_fields: Any) -> "list[models.Field[Any, Any]]":
        """Return the observed fields that a save writes."""
        deferred = self.get_deferred_fields()
        written = []
        for name in self.OBSERVED:
            field = self._meta.get_field(name)
            if not isinstance(field, models.Field):
                raise TypeError(f"{name} is no column of {type(self).__name__}")
            named = update_fields is None or field.name in update_fields or field.attname in update_fields
            if named and field.attname not in deferred:
                written.append(field)
        return written
