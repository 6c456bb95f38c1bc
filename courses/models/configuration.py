"""What operators decide: branding and organisations of a site, course flags, the guard of self-paced courses."""

from typing import ClassVar

from django.contrib.sites.models import Site
from django.db import models
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

    site = models.OneToOneField(Site, on_delete=models.CASCADE, related_name="configuration")
    org_filter = StructureField(
        default=list,
        blank=True,
        validators=[validate_org_filter],
        verbose_name="organisations",
        help_text="Learners of these organisations' courses are mailed by this site. Empty: by every organisation that "
        "no other site lists. Upper and lower case differ.",
    )
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
