"""To whose goal every remaining day of the week is needed, and what the reminder says. Only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, CharField, Count, QuerySet, Value, When
from django.urls import reverse

from courses import sites
from email_automation import values
from email_automation.events import mailed_by_site
from email_automation.language import chosen_language, wishes_of
from email_automation.links import SiteLinks
from email_automation.pipeline.conditions import Condition, annotated, every
from email_automation.pipeline.resolver import AudienceRow, Draft, Finding, Resolver, site_of
from email_automation.pipeline.run import Run

from . import links, week
from .conditions import CONDITIONS, DUE, NAME, compared, numbers, readings
from .models import CourseGoal
from .readings import Readings, Zones

#: What utm_source says.
SOURCE: Final = "course_goals"
_OF_SITE: Final = mailed_by_site("course")


class GoalReminderResolver(Resolver):
    """One mail per goal and local week. The target is the goal."""

    conditions = CONDITIONS
    # At hand-off the morning may be over, and the key of the week is the mail's own.
    planning_only = frozenset({"local_morning", "not_reminded_this_week"})
    page = 2000
    occasion_paths = ("monday", "course_id", "closes")

    def __init__(self) -> None:
        self._planning: tuple[UUID, Readings] | None = None

    def rows(self) -> QuerySet[CourseGoal]:
        """Return every goal, with its course."""
        return CourseGoal.objects.select_related("course")

    def among(self, run: Run, **only: Any) -> QuerySet[CourseGoal]:
        """Return the goals that these lookups name, with what their learners' clocks read and their weeks so far."""
        goals = self.rows().filter(_OF_SITE.for_run(run), **only)
        return compared(goals, run, readings(run, Zones.stored(goals.order_by().values("user_id"))))

    def candidates(self, run: Run) -> QuerySet[CourseGoal]:
        """Return the goals with reminders of the run's site that are large enough for the day, somewhere."""
        found = self._readings_of(run)
        fewest = found.earliest()
        goals = self.rows().filter(_OF_SITE.for_run(run), subscribed_to_reminders=True, days_per_week__gte=fewest or 0)
        return compared(goals if fewest is not None else goals.none(), run, found)

    def eligible(self, run: Run, *, target_ids: Sequence[int] | None = None) -> QuerySet[CourseGoal]:
        """Return the goals that are due, or those of some that still are, the moment of planning left aside."""
        if target_ids is None:
            return _holding(self.candidates(run), CONDITIONS, run)
        return self.among(run, pk__in=target_ids).filter(every(self.lasting(), run))

    def left_out(self, run: Run) -> Mapping[str, int]:
        """Return how many goals are due but for a further condition, by the first that fails, in one statement."""
        self._planning = (run.id, readings(run, Zones.stored()))
        further = CONDITIONS[len(DUE) :]
        failing = [When(**{f"holds_{rule.name}": False}, then=Value(rule.name)) for rule in further]
        due = annotated(_holding(self.candidates(run), DUE, run), further, run)
        reasons = due.annotate(reason=Case(*failing, default=Value(""), output_field=CharField()))
        found = dict(reasons.order_by().values_list("reason").annotate(number=Count("pk")))
        return {rule.name: found[rule.name] for rule in further if rule.name in found}

    def _readings_of(self, run: Run) -> Readings:
        """Return what the clocks read for everybody; what `left_out` has found holds for its run's audience too."""
        if self._planning is not None and self._planning[0] == run.id:
            return self._planning[1]
        return readings(run, Zones.stored())

    def occasion(self, run: Run, target_id: int, *values: Any) -> str:
        """Return `goal_reminder:<goal>:<local Monday>`."""
        return week.occasion(target_id, values[0])

    def audience_row(self, run: Run, row: Sequence[Any]) -> AudienceRow:
        """Return a goal's row with its course, and the end of the learner's day."""
        *_, course_id, closes = row
        return super().audience_row(run, row)._replace(course_id=course_id, expires_at=closes)

    def explain(self, run: Run, user_id: int) -> list[Finding]:
        """Return each goal of a person with the answer of every condition, and the numbers behind it."""
        rows = annotated(self.among(run, user_id=user_id).order_by("pk"), self.conditions, run)
        return [
            Finding(
                self.subject_of(row),
                [
                    (
                        replace(rule, sentence=f"{rule.sentence} ({numbers(row)[rule.name]})"),
                        bool(getattr(row, f"holds_{rule.name}")),
                    )
                    for rule in self.conditions
                ],
            )
            for row in rows
        ]

    def subject_of(self, row: CourseGoal) -> str:
        """Return the course's key and the goal's number."""
        return f"{row.course.key} (goal {row.pk})"

    def drafts(self, run: Run, target_ids: Sequence[int]) -> list[Draft]:
        """Return one draft per goal that is still due, in a constant number of statements."""
        goals: list[Any] = list(self.eligible(run, target_ids=target_ids))
        wishes = wishes_of({goal.user_id for goal in goals})
        site = site_of(run)
        site_language = getattr(getattr(site, "configuration", None), "language", "")
        drafts = []
        for goal in goals:
            course = goal.course
            address = SiteLinks(site, source=SOURCE, campaign=NAME, first_course=course.key)
            home = f"{sites.site_url(site)}{links.course_home(course.key)}"
            course_url = address.tracked(home)
            stop_page = reverse("course_goals:unsubscribe-page", args=[goal.unsubscribe_token])
            drafts.append(
                Draft(
                    target_id=goal.pk,
                    user_id=goal.user_id,
                    language=chosen_language(wishes.get(goal.user_id, ""), site_language),
                    shared={
                        "course_name": course.title or course.key,
                        "course_url": course_url,
                        "cta_url": course_url,
                        "goal_url": address.tracked(f"{home}{links.GOAL}"),
                        "days_per_week": goal.days_per_week,
                        "days_done": goal.done,
                        "days_left": goal.left,
                    },
                    personal={"unsubscribe_url": f"{sites.site_url(site)}{stop_page}"},
                    course_id=course.pk,
                    course_keys=(course.key,),
                    about={"course": values.course(course, url=course_url)},
                    occasion=self.occasion(run, goal.pk, goal.monday),
                )
            )
        return drafts


def _holding(goals: QuerySet[CourseGoal], rules: Sequence[Condition], run: Run) -> QuerySet[CourseGoal]:
    """Return the goals for which the rules hold, each asked for by its answer.

    PostgreSQL takes `EXISTS` for a join wherever it can, thinks that hardly any row will be left by the first one, and
    then looks millions of rows up one by one. It cannot look into an answer, so it reads the clocks first and asks the
    rest of the few goals that are left.
    """
    found: QuerySet[CourseGoal] = annotated(goals, rules, run).filter(**{f"holds_{rule.name}": True for rule in rules})
    return found
