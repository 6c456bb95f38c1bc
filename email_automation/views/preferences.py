"""The preference page: for who is logged in, and for who holds a link from a mail."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.functional import Promise
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from courses.models import Course, Enrollment

from .. import consent, throttle, words
from ..models import CourseOptOut, EmailPreference
from . import page

SOURCE = "preference page"
NOTHING = "nothing"
COURSE = "course-"
SHOWN = "shown"


@dataclass(frozen=True)
class Box:
    """One checkbox: its name in the form, its words, and whether it is ticked."""

    name: str
    label: str | Promise
    ticked: bool
    detail: str = ""


@dataclass(frozen=True)
class Choices:
    """Everything a person can choose, as it stands."""

    suppressed: bool
    nothing: Box
    categories: list[Box]
    courses: list[Box]

    @property
    def boxes(self) -> list[Box]:
        """All checkboxes."""
        return [self.nothing, *self.categories, *self.courses]

    @property
    def shown(self) -> str:
        """The names of the ticked boxes, as the form carries them to say what the person saw."""
        return " ".join(box.name for box in self.boxes if box.ticked)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@csrf_protect
def own_preferences(request: HttpRequest) -> HttpResponse:
    """Show or save the choices of whoever is logged in."""
    user_id: int = request.user.pk  # type: ignore[assignment]  # not None: login_required
    if request.method == "POST":
        save(user_id, request.POST)
        response = HttpResponseRedirect(f"{reverse('email_automation:own-preferences')}?saved", status=303)
        return page.guarded(response)
    return _page(request, user_id, saved="saved" in request.GET, csrf=True)


@csrf_exempt  # the token is the authority; whoever opens a mail's link has no cookie of ours
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """Show or save the choices of the person the token belongs to."""
    try:
        user_id = consent.read_preferences_token(token)
    except consent.InvalidToken:
        return page.invalid_link(request)
    posted = request.method == "POST"
    subject = f"preferences:{'post' if posted else 'read'}:{user_id}"
    if seconds := throttle.wait("EMAIL_PAGES_PER_TOKEN", subject):
        return page.too_many(request, seconds, language=page.language_of(user_id))
    if posted:
        save(user_id, request.POST)
    return _page(request, user_id, saved=posted, csrf=False)


def choices_of(user_id: int) -> Choices:
    """Return what a person can choose and has chosen, in four statements."""
    preference = EmailPreference.of(user_id)
    return Choices(
        suppressed=preference.suppressed_at is not None,
        nothing=Box(NOTHING, "", not preference.is_subscribed),
        categories=[
            Box(name, consent.category_words(category), getattr(preference, name))
            for category in words.CATEGORIES
            for name in [f"{category}_emails"]
        ],
        courses=_course_boxes(user_id),
    )


def _course_boxes(user_id: int) -> list[Box]:
    """Return a box for each course the person is in, and each one once opted out of, by title."""
    out = set(CourseOptOut.objects.filter(user_id=user_id).values_list("course_id", flat=True))
    joined = Enrollment.objects.filter(user_id=user_id, is_active=True).values_list("course_id", flat=True)
    courses = Course.objects.filter(pk__in=out.union(joined)).only("key", "title")
    return [
        Box(f"{COURSE}{course.pk}", course.title or course.key, course.pk in out, course.key)
        for course in sorted(courses, key=lambda course: (course.title.casefold(), course.key))
    ]


def save(user_id: int, form: QueryDict) -> None:
    """Write what the person has changed, and only that.

    Changed is what differs from what the form showed, not from what is stored: a page that has been open since
    yesterday must not bring back a mail that was unsubscribed from today.
    """
    if not form:
        return
    choices = choices_of(user_id)
    before = set(form.get(SHOWN, choices.shown).split())
    changed = {box.name: box.name in form for box in choices.boxes if (box.name in form) != (box.name in before)}
    switches = {name: ticked for name, ticked in changed.items() if name in consent.SWITCHES}
    if NOTHING in changed:
        switches["is_subscribed"] = not changed[NOTHING]
    courses = {int(name.removeprefix(COURSE)): ticked for name, ticked in changed.items() if name.startswith(COURSE)}
    consent.save_choices(user_id, switches, courses, source=SOURCE)


def _page(request: HttpRequest, user_id: int, *, saved: bool, csrf: bool) -> HttpResponse:
    context = {"choices": choices_of(user_id), "saved": saved, "with_csrf": csrf}
    return page.answer(request, "preferences.html", context, language=page.language_of(user_id), csrf=csrf)
