"""Facts about courses, learners and sites. Written by `courses.services` and the admin, read by everybody."""

from courses import events  # noqa: F401  (the contracts have to be known before openedx_events starts)
from courses.models.autoenrolment import AutoEnrolment
from courses.models.catalogue import Course, CourseMode, Section
from courses.models.configuration import CourseFlag, Flag, SelfPacedConfiguration, SiteConfiguration, SiteOrg
from courses.models.content import Completion, ContentItem, UserActivity
from courses.models.events import EventInbox, EventOutbox, EventRelay
from courses.models.fresh import FreshConfigurationModel
from courses.models.learning import Certificate, Enrollment, LearnerProfile
from courses.models.meetings import Meeting, Participant
from courses.models.payments import Payment

__all__ = [
    "AutoEnrolment",
    "Certificate",
    "Completion",
    "ContentItem",
    "Course",
    "CourseFlag",
    "CourseMode",
    "Enrollment",
    "EventInbox",
    "EventOutbox",
    "EventRelay",
    "Flag",
    "FreshConfigurationModel",
    "LearnerProfile",
    "Meeting",
    "Participant",
    "Payment",
    "Section",
    "SelfPacedConfiguration",
    "SiteConfiguration",
    "SiteOrg",
    "UserActivity",
]
