"""The only writer of facts. Everything is an idempotent upsert: telling a fact twice writes it once.

Functions about one row return `(row, word)`; the word is "created", "changed", "unchanged", or "stale" for a report
that is older than what is known. Malformed values raise ValidationError with the name of the field. Signals follow
`courses.signals`; nothing is written and nothing is sent when nothing changes.
"""

from courses.services.accounts import LearnerFact, record_learners, record_profile, record_user
from courses.services.catalogue import record_course, record_mode, record_section, remove_mode, remove_section
from courses.services.learning import (
    EnrollmentFact,
    end_enrollment,
    record_certificate,
    record_enrollment,
    record_enrollments,
)
from courses.services.upsert import Word

__all__ = [
    "EnrollmentFact",
    "LearnerFact",
    "Word",
    "end_enrollment",
    "record_certificate",
    "record_course",
    "record_enrollment",
    "record_enrollments",
    "record_learners",
    "record_mode",
    "record_profile",
    "record_section",
    "record_user",
    "remove_mode",
    "remove_section",
]
