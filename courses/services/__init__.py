"""The only writer of facts. Everything is an idempotent upsert: telling a fact twice writes it once.

Functions about one row return `(row, word)`; the word is "created", "changed", "unchanged", or "stale" for a report
that is older than what is known. Malformed values raise ValidationError with the name of the field. Signals follow
`courses.signals`; nothing is written and nothing is sent when nothing changes.
"""

from courses.services.accounts import LearnerFact, record_learners, record_profile, record_user
from courses.services.catalogue import (
    record_content_item,
    record_course,
    record_mode,
    record_section,
    remove_mode,
    remove_section,
)
from courses.services.learning import (
    EnrollmentFact,
    end_enrollment,
    record_certificate,
    record_enrollment,
    record_enrollments,
)
from courses.services.meetings import record_attendance, record_meeting
from courses.services.payments import record_payment
from courses.services.progress import (
    ActivityFact,
    CompletionFact,
    record_activities,
    record_activity,
    record_completion,
    record_completions,
)
from courses.services.strangers import Stranger, account_ids
from courses.services.upsert import Word

__all__ = [
    "ActivityFact",
    "CompletionFact",
    "EnrollmentFact",
    "LearnerFact",
    "Stranger",
    "Word",
    "account_ids",
    "end_enrollment",
    "record_activities",
    "record_activity",
    "record_attendance",
    "record_certificate",
    "record_completion",
    "record_completions",
    "record_content_item",
    "record_course",
    "record_enrollment",
    "record_enrollments",
    "record_learners",
    "record_meeting",
    "record_mode",
    "record_payment",
    "record_profile",
    "record_section",
    "record_user",
    "remove_mode",
    "remove_section",
]
