"""The page that says why a person got a mail, or did not."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext_lazy as _

from ..explanation import explain
from ..forms import ExplainForm, default_site

PERMISSIONS = ("email_automation.explain_email", "email_automation.view_emaillog")


def may_explain(request: HttpRequest) -> None:
    """Raise PermissionDenied for who may neither explain nor see the log."""
    if not any(request.user.has_perm(permission) for permission in PERMISSIONS):
        raise PermissionDenied


def _with_default_site(asked: QueryDict) -> QueryDict:
    filled = asked.copy()
    if not filled.get("site"):
        filled["site"] = str(default_site())
    return filled


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Return the form as it was filled in and, once it is complete, the answer."""
    form = ExplainForm(_with_default_site(request.GET)) if request.GET else ExplainForm()
    context: dict[str, Any] = {
        "title": _("Why did somebody get a mail, or not?"),
        "form": form,
        "may_see_log": request.user.has_perm("email_automation.view_emaillog"),
    }
    if form.is_valid():
        asked = form.cleaned_data
        context["person"] = asked["user"]
        context["site_asked"] = asked["site"]
        context["found"] = explain(asked["message"], asked["user"].pk, asked["site"].pk, day=asked["date"])
    return context
