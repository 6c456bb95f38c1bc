"""The templates that the course team edits, in the admin: checked before they are saved, looked at, tried, restored."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.sites.models import Site
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin

from courses import sites

from .. import headers, links, trial, values, words
from ..models import EmailTemplate
from ..pipeline import message as registered
from ..templating.edited import Sources
from ..templating.errors import TemplateError
from ..templating.listing import Variable, variables
from ..templating.preview import Preview, preview

#: Some mail programs cut a mail off behind so many bytes, with the unsubscribe link in the part that is cut.
CLIPPED_AT = 102_400
TEST_PERMISSION = "email_automation.test_emailtemplate"


class EmailTemplateForm(forms.ModelForm):
    """A template, with the messages and languages there are to choose from."""

    email_type = forms.ChoiceField(label=_("Message"))
    language = forms.ChoiceField(
        label=_("Language"), required=False, help_text=_("Empty: all languages without a row of their own.")
    )

    class Meta:
        model = EmailTemplate
        fields = ("name", "email_type", "language", "is_active", "subject", "html_content", "text_content")
        widgets = {
            "subject": forms.TextInput(attrs={"class": "vLargeTextField", "dir": "auto"}),
            "html_content": forms.Textarea(attrs={"class": "vLargeTextField code", "rows": 24, "spellcheck": "true"}),
            "text_content": forms.Textarea(attrs={"class": "vLargeTextField code", "rows": 16, "spellcheck": "true"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("email_type", _messages()), ("language", _languages())):
            # A field that the person may only look at is not in the form.
            if name in self.fields:
                self.fields[name].choices = choices  # type: ignore[attr-defined]  # both are ChoiceFields


class MessageFilter(admin.SimpleListFilter):
    """By message."""

    title = _("message")
    parameter_name = "email_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the registered messages."""
        return _messages()

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the rows of the chosen message."""
        return queryset if self.value() is None else queryset.filter(email_type=self.value())


@admin.register(EmailTemplate)
class EmailTemplateAdmin(SimpleHistoryAdmin):
    """Templates by message and language. Every version is kept, and can be restored if it is still valid."""

    form = EmailTemplateForm
    list_display = ("name", "email_type", "language", "state", "updated_at")
    list_filter = (MessageFilter, "language", "is_active", "is_stock")
    ordering = ("email_type", "language", "-is_active", "pk")
    search_fields = ("name", "subject")
    readonly_fields = ("state", "variables")
    change_form_template = "admin/email_automation/emailtemplate/change_form.html"

    def get_fieldsets(self, request: HttpRequest, obj: EmailTemplate | None = None) -> Any:
        """Return the fields, and what can be said in them once the message is known."""
        shown = (None, {"fields": ("name", "email_type", "language", "is_active", *(("state",) if obj else ()))})
        content = (_("What the mail says"), {"fields": ("subject", "html_content", "text_content")})
        return [shown, content, *([(_("Variables"), {"fields": ("variables",)})] if obj else [])]

    def get_urls(self) -> list[URLPattern]:
        """Add the preview and the test mail."""
        guarded, names = self.admin_site.admin_view, "email_automation_emailtemplate"
        own = [
            path("<int:template_id>/preview/", guarded(self.preview_view), name=f"{names}_preview"),
            path("<int:template_id>/test/", guarded(self.test_view), name=f"{names}_test"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page, with the languages a template of all languages can be tried in."""
        context = {
            **(extra_context or {}),
            "may_test": request.user.has_perm(TEST_PERMISSION),
            "languages": settings.LANGUAGES,
        }
        return super().change_view(request, object_id, form_url, context)

    def preview_view(self, request: HttpRequest, template_id: int) -> HttpResponse:
        """Show what a mail would look like: of the stored template or, by POST, of what stands in the form."""
        row = get_object_or_404(EmailTemplate, pk=template_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        posted = request.POST if request.method == "POST" else None
        language = _language(row, (posted or request.GET).get("preview_language", ""))
        source: EmailTemplate | Sources = row
        if posted is not None and self.has_change_permission(request, row) and "html_content" in posted:
            source = Sources(posted.get("subject", ""), posted.get("html_content", ""), posted.get("text_content", ""))
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Preview"),
            "row": row,
            "unsaved": isinstance(source, Sources),
            "language": language,
            "languages": settings.LANGUAGES,
        }
        try:
            context |= _shown(row, source, language)
        except TemplateError as error:
            context["problem"] = f"{_('line')} {error.line}: {error.message}" if error.line else error.message
        except ValueError as error:
            # A message whose app is not installed any more.
            context["problem"] = str(error)
        return TemplateResponse(request, "admin/email_automation/emailtemplate/preview.html", context)

    def test_view(self, request: HttpRequest, template_id: int) -> HttpResponse:
        """Send the stored template to whoever asks, made of example values."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = get_object_or_404(EmailTemplate, pk=template_id)
        if not (self.has_view_permission(request, row) and request.user.has_perm(TEST_PERMISSION)):
            raise PermissionDenied
        try:
            log = trial.send_test(row, request.user, language=_language(row, request.POST.get("preview_language", "")))
        except ValueError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            status = log.status if log is not None else words.SKIPPED
            if status in words.HANDED_OFF:
                self.message_user(request, _("A test mail is on its way to you."), messages.SUCCESS)
            else:
                reason = (log.reason or log.error_message) if log is not None else ""
                text = _("The test mail did not go out: %(status)s (%(reason)s).")
                self.message_user(request, text % {"status": status, "reason": reason}, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:email_automation_emailtemplate_change", args=[row.pk]))

    @admin.display(description=_("state"))
    def state(self, row: EmailTemplate) -> str:
        """Return in words whether mails are made of the row."""
        if not row.is_active:
            return str(_("off"))
        return str(_("stock: shows what the files say") if row.is_stock else _("in use"))

    @admin.display(description=_("What you can say"))
    def variables(self, row: EmailTemplate) -> str:
        """Return the variables of the row's message with an example of each."""
        try:
            found = variables(registered.get(row.email_type))
        except ValueError:
            return "-"
        return _table(found)


def _messages() -> list[tuple[str, str]]:
    return [(kind.NAME, f"{kind.title} ({kind.label()})") for kind in registered.all_messages()]


def _languages() -> list[tuple[str, Any]]:
    return [("", _("all languages")), *settings.LANGUAGES]


def _language(row: EmailTemplate, asked: str) -> str:
    """Return the language to show a row in: its own, else the one asked for."""
    known = [code for code, _name in settings.LANGUAGES]
    return next((code for code in (row.language, asked) if code in known), settings.LANGUAGE_CODE)


def _shown(row: EmailTemplate, source: EmailTemplate | Sources, language: str) -> dict[str, Any]:
    kind = registered.get(row.email_type)
    mail: Preview = preview(kind, source, language)
    site = Site.objects.filter(pk=settings.SITE_ID).first() or Site(domain="example.com")
    return {
        "mail": mail,
        "headers": headers.Headers(
            brand=sites.brand(site), domain=site.domain, label=kind.label(), category=kind.category
        ).for_mail(uuid.UUID(links.MESSAGE_UUID), values.EXAMPLES["unsubscribe_url"], {}),
        "dark": preview(kind, source, language, dark=True),
        "kilobytes": round(mail.size / 1024, 1),
        "too_large": mail.size > CLIPPED_AT,
    }


def _table(found: list[Variable]) -> str:
    rows = format_html_join(
        "",
        "<tr><td><code>{}</code></td><td>{}</td></tr>",
        ((variable.name, variable.example) for variable in found),
    )
    return format_html(
        '<div class="email-variables"><table><thead><tr><th scope="col">{}</th><th scope="col">{}</th></tr></thead>'
        "<tbody>{}</tbody></table></div>",
        _("Variable"),
        _("For example"),
        rows,
    )
