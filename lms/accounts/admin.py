"""Accounts in the admin."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.utils.translation import gettext_lazy as _

from courses.paginator import BoundedPaginator
from lms.accounts.models import User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Django's account pages with the role; searches only what an index answers."""

    list_display = ("username", "email", "role", "is_active", "is_staff")
    list_filter = ("role", "is_active", "is_staff")
    search_fields = ("username__startswith", "email__exact")
    search_help_text = _("The start of a username, or a whole e-mail address.")
    show_full_result_count = False
    paginator = BoundedPaginator
    fieldsets = (*(DjangoUserAdmin.fieldsets or ()), (_("Role"), {"fields": ("role",)}))
    add_fieldsets = (*DjangoUserAdmin.add_fieldsets, (_("Role"), {"classes": ("wide",), "fields": ("email", "role")}))
