"""The engine's admin pages. Every list works at ten million rows: paged by id, never counted."""

from . import log, preferences, progress, queue, runs, suppression, templates, webhooks

__all__ = ["log", "preferences", "progress", "queue", "runs", "suppression", "templates", "webhooks"]
