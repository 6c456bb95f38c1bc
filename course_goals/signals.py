"""The signal of weekly goals, sent once the change is committed.

===================  =================================================================================================
signal               keyword arguments
===================  =================================================================================================
course_goal_changed  goal: CourseGoal; created: bool; changed: frozenset of field names; source: one of
                     `services.SOURCES`
===================  =================================================================================================
"""

from django.dispatch import Signal

course_goal_changed = Signal()
