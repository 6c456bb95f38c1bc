"""What operators decide: branding and organisations of a site, course flags, the guard of self-paced courses."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.contrib.sites.models import Site
from django.core.exceptions import ValidationError
from django.db import models, router, transaction
from waffle.models import AbstractUserFlag

from courses.models.catalogue import Course
from courses.models.fields import StructureField
from courses.models.fresh import FreshConfigurationModel
from courses.validators import (
    validate_color,
    validate_links,
    validate_mail_header_address,
    validate_one_line,
    validate_org_filter,
    validate_web_address,
    validate_zone,
)

PLATFORM = "Empty: the platform's setting."


class SiteConfiguration(models.Model):
    """How one site looks and whose courses it mails about. A blank field means "use the platform's setting"."""

    _org_filter: list[str] | None = None

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="configuration")
    platform_name = models.CharField(
        max_length=255, blank=True, validators=[validate_one_line], help_text=f"Name in the mails. {PLATFORM}"
    )
    logo_url = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_web_address],
        verbose_name="logo",
        help_text=f"Address of the picture. {PLATFORM}",
    )
    primary_color = models.CharField(
        max_length=7, blank=True, validators=[validate_color], verbose_name="colour", help_text=f"#RRGGBB. {PLATFORM}"
    )
    contact_mailing_address = models.CharField(
        max_length=500, blank=True, help_text=f"Postal address in the footer of every mail. {PLATFORM}"
    )
    from_address = models.CharField(
        max_length=320, blank=True, validators=[validate_mail_header_address], help_text=f"Sender. {PLATFORM}"
    )
    reply_to = models.CharField(
        max_length=320,
        blank=True,
        validators=[validate_mail_header_address],
        help_text="Where answers go. Empty: to the sender.",
    )
    list_id = models.CharField(
        max_length=255,
        blank=True,
        validators=[validate_one_line],
        verbose_name="List-Id",
        help_text="Name of the mailing list in the header. Empty: none.",
    )
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_zone],
        help_text="IANA name, for example Europe/Madrid. Empty: UTC.",
    )
    language = models.CharField(max_length=16, blank=True, help_text=f"Language code. {PLATFORM}")
    social_links = StructureField(
        default=dict,
        blank=True,
        validators=[validate_links],
        help_text=f'For example {{"facebook": "https://..."}}. {PLATFORM}',
    )
    store_links = StructureField(
        default=dict,
        blank=True,
        validators=[validate_links],
        help_text=f'App stores: {{"google": "https://...", "apple": "https://..."}}. {PLATFORM}',
    )

    def __str__(self) -> str:
        return f"configuration of site {self.site_id}"

    @property
    def org_filter(self) -> list[str]:
        """The organisations the site lists; what is assigned is stored with the next save.

        Learners of their courses are mailed by this site; a site with an empty list mails about every organisation
        that no other site lists. Upper and lower case differ.
        """
        if self._org_filter is None:
            self._org_filter = [] if self.pk is None else list(self.orgs.values_list("org", flat=True))
        return self._org_filter

    @org_filter.setter
    def org_filter(self, orgs: list[str] | None) -> None:
        self._org_filter = [] if orgs is None else orgs

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Check the columns and the list."""
        errors: dict[str, Any] = {}
        try:
            super().clean_fields(exclude)
        except ValidationError as error:
            errors = error.update_error_dict(errors)
        try:
            validate_org_filter(self.org_filter)
        except ValidationError as error:
            errors["org_filter"] = error.error_list
        if errors:
            raise ValidationError(errors)

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Read the row again, and the list when next asked for it."""
        super().refresh_from_db(*args, **kwargs)
        self._org_filter = None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row and its list."""
        if self._org_filter is not None:
            validate_org_filter(self._org_filter)
        with transaction.atomic(using=kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            super().save(*args, **kwargs)
            if self._org_filter is not None:
                self._store(self._org_filter)

    def _store(self, orgs: list[str]) -> None:
        # Two savers take turns: the row above is locked by now.
        if list(self.orgs.values_list("org", flat=True)) != orgs:
            self.orgs.all().delete()
            SiteOrg.objects.bulk_create(SiteOrg(configuration=self, org=org) for org in orgs)


class SiteOrg(models.Model):
    """One organisation of a site's list, which `SiteConfiguration.org_filter` reads and writes."""

    configuration = models.ForeignKey(SiteConfiguration, on_delete=models.CASCADE, related_name="orgs")
    org = models.CharField(max_length=255)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["configuration", "org"], name="courses_siteorg_once"),
        ]

    def __str__(self) -> str:
        return self.org


class Flag(AbstractUserFlag):
    """A waffle flag that can also be on or off for single courses; see `courses.switches` for what it means."""

    courses = models.ManyToManyField(Course, through="CourseFlag", blank=True, related_name="flags")

    class Meta(AbstractUserFlag.Meta):
        abstract = False


class CourseFlag(models.Model):
    """One flag's answer for one course."""

    flag = models.ForeignKey(Flag, on_delete=models.CASCADE, related_name="course_rows")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="flag_rows")
    on = models.BooleanField(default=True, help_text="Off beats everything but an `everyone` that is already off.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["flag", "course"],
                name="courses_courseflag_flag_course",
                violation_error_message="This course already has a row for this flag.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course}: {'on' if self.on else 'off'}"


class SelfPacedConfiguration(FreshConfigurationModel):
    """Allows course teams to make a course self-paced. The newest row counts."""

    class Meta(FreshConfigurationModel.Meta):
        verbose_name = "self-paced configuration"
