"""Facts about courses, learners and sites. Written by `courses.services` and the admin, read by everybody."""

from courses.models.catalogue import Course, CourseMode, Section
from courses.models.configuration import CourseFlag, Flag, SelfPacedConfiguration, SiteConfiguration, SiteOrg
from courses.models.fresh import FreshConfigurationModel
from courses.models.learning import Certificate, Enrollment, LearnerProfile

__all__ = [
    "Certificate",
    "Course",
    "CourseFlag",
    "CourseMode",
    "Enrollment",
    "Flag",
    "FreshConfigurationModel",
    "LearnerProfile",
    "Section",
    "SelfPacedConfiguration",
    "SiteConfiguration",
    "SiteOrg",
]
