"""Requests in the demo: three learners ask Harbour Lines for a licence, and somebody decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser

from email_automation import words
from email_automation.models import EmailLog
from license_notifications.models import SubscriptionPlan
from subsidy_requests import services, states
from subsidy_requests.models import ApprovalItem, DeclineNotice, EnterpriseRoleAssignment, LicenseRequest
from subsidy_requests.models.configuration import LICENSE
from subsidy_requests.models.roles import ADMIN, LEARNER
from subsidy_requests.services import Broken

from .licences import ENTERPRISES

ENTERPRISE: Final = ENTERPRISES[0]
#: Who asks, and for which course of the catalogue.
ASKING: Final = (("nadia", "HarbourX+NAV101"), ("viggo", "HarbourX+WTR110"), ("freya", None))


class Shown(NamedTuple):
    """A request as the page shows it."""

    request: LicenseRequest
    state: str
    can_decide: bool
    mail: EmailLog | None


def set_up(users: Mapping[str, AbstractUser]) -> None:
    """Let the enterprise take requests, and three learners ask."""
    services.configure(
        ENTERPRISE.uuid,
        changed_by=_administrator(),
        name=ENTERPRISE.name,
        slug=ENTERPRISE.slug,
        subsidy_requests_enabled=True,
        subsidy_type=LICENSE,
        contact_email="crew@example.net",
    )
    roles = [(_administrator(), ADMIN), *((users[name], LEARNER) for name, _ in ASKING)]
    for user, role in roles:
        EnterpriseRoleAssignment.objects.create(user_id=user.pk, enterprise_customer_uuid=ENTERPRISE.uuid, role=role)
    for name, course_id in ASKING:
        services.create_request(LICENSE, users[name], enterprise_customer_uuid=ENTERPRISE.uuid, course_id=course_id)


def approve_first() -> None:
    """Have the administrator approve the oldest request, and the others wait for whoever opens the page."""
    approve(requests()[0])


def approve(request: LicenseRequest) -> str:
    """Approve a request; the licence, the state and the mail follow by events. Returns in words what it came to."""
    plan = SubscriptionPlan.objects.get(customer_agreement__enterprise_customer_uuid=ENTERPRISE.uuid)
    try:
        services.approve(
            LICENSE,
            [request.uuid],
            enterprise_customer_uuid=ENTERPRISE.uuid,
            subsidy_id=plan.pk,
            reviewer=_administrator(),
        )
    except Broken as refused:
        return f"Refused: {refused.code}."
    request.refresh_from_db()
    return f"{_name(request)} was approved, and is {request.state} now."


def decline(request: LicenseRequest) -> str:
    """Decline a request, and return in words what it came to."""
    try:
        services.decline(
            LICENSE,
            [request.uuid],
            enterprise_customer_uuid=ENTERPRISE.uuid,
            reviewer=_administrator(),
            decline_reason="There is another round of licences in spring.",
        )
    except Broken as refused:
        return f"Refused: {refused.code}."
    return f"{_name(request)} was declined."


def shown() -> Iterator[Shown]:
    """Yield the requests, oldest first, each with the mail that told its learner."""
    for request in requests():
        can_decide = states.allows(request.state, states.Trigger.APPROVE)
        yield Shown(request, request.state, can_decide, _mail_of(request))


def told() -> Iterator[tuple[str, str, str, str]]:
    """Yield for the report: who asked, for what, the state, and the subject of the mail."""
    for each in shown():
        asked_for = each.request.course_title or "a licence"
        yield each.request.user.get_username(), asked_for, each.state, each.mail.subject if each.mail else "-"


def requests() -> list[LicenseRequest]:
    """Return the requests, oldest first."""
    return list(LicenseRequest.objects.select_related("user").order_by("created_at", "pk"))


def _mail_of(request: LicenseRequest) -> EmailLog | None:
    windows = ApprovalItem.objects.filter(subsidy_request_uuid=request.uuid).values("window")
    # A demo has few; which of them names the request is asked here, since databases read JSON each in its own way.
    found = DeclineNotice.objects.filter(user_id=request.user_id)
    notices = [notice.pk for notice in found if str(request.uuid) in notice.subsidy_request_uuids]
    mails = EmailLog.objects.filter(recipient_id=request.user_id, status__in=words.HANDED_OFF).defer("content")
    approved = mails.filter(email_type="request_approved", target_id__in=windows)
    return approved.first() or mails.filter(email_type="request_declined", target_id__in=notices).first()


def _administrator() -> AbstractUser:
    users = get_user_model()._default_manager.filter(administers__enterprise_customer_uuid=ENTERPRISE.uuid)
    account: AbstractUser = users.get()
    return account


def _name(request: LicenseRequest) -> str:
    return f"The request of {request.user.get_full_name() or request.user.get_username()}"
