"""Who may ask and who may decide. `SUBSIDY_REQUESTS_ROLES` names one of these classes, or one of a host's own."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from django.utils.module_loading import import_string

from .conf import setting
from .models import EnterpriseRoleAssignment
from .models.roles import ADMIN, LEARNER

#: What a token calls our roles.
JWT_ROLES: Final = {LEARNER: "enterprise_learner", ADMIN: "enterprise_admin"}
EVERYWHERE: Final = "*"


class Roles:
    """Base of the answers to one request of the API."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def enterprises(self, role: str) -> frozenset[UUID] | None:
        """Return at which enterprises the caller has a role; None for all there are."""
        raise NotImplementedError

    def linked(self, user_ids: Collection[int], enterprise_customer_uuid: UUID) -> set[int]:
        """Return which accounts are still learners of an enterprise."""
        raise NotImplementedError

    def has(self, role: str, enterprise_customer_uuid: UUID) -> bool:
        """Return whether the caller has a role at an enterprise."""
        found = self.enterprises(role)
        return found is None or enterprise_customer_uuid in found


class AssignedRoles(Roles):
    """Asks our own table."""

    def enterprises(self, role: str) -> frozenset[UUID] | None:
        """Return the enterprises of the caller's rows."""
        rows = EnterpriseRoleAssignment.objects.filter(user_id=self.request.user.pk, role=role)
        return frozenset(rows.values_list("enterprise_customer_uuid", flat=True))

    def has(self, role: str, enterprise_customer_uuid: UUID) -> bool:
        """Return whether there is a row."""
        rows = EnterpriseRoleAssignment.objects.filter(
            user_id=self.request.user.pk, enterprise_customer_uuid=enterprise_customer_uuid, role=role
        )
        return rows.exists()

    def linked(self, user_ids: Collection[int], enterprise_customer_uuid: UUID) -> set[int]:
        """Return which accounts have a learner's row."""
        rows = EnterpriseRoleAssignment.objects.filter(
            user_id__in=user_ids, enterprise_customer_uuid=enterprise_customer_uuid, role=LEARNER
        )
        return set(rows.values_list("user_id", flat=True))


class JwtRoles(Roles):
    """Reads the claim `roles` of the token that the authentication class has accepted: `enterprise_admin:<uuid>`.

    Of other people it knows nothing, so that nobody counts as having lost the role.
    """

    def enterprises(self, role: str) -> frozenset[UUID] | None:
        """Return the enterprises that stand behind the role."""
        wanted, found = JWT_ROLES[role], set()
        for entry in _claimed(self.request.auth):
            name, _, context = entry.partition(":")
            if name != wanted:
                continue
            if context == EVERYWHERE:
                return None
            try:
                found.add(UUID(context))
            except ValueError:
                continue
        return frozenset(found)

    def linked(self, user_ids: Collection[int], enterprise_customer_uuid: UUID) -> set[int]:
        """Return all of them."""
        return set(user_ids)


def roles_of(request: Any) -> Roles:
    """Return the answers for a request, by the class the settings name."""
    kind: type[Roles] = import_string(setting("SUBSIDY_REQUESTS_ROLES"))
    return kind(request)


def _claimed(token: Any) -> Iterable[str]:
    """Return the entries of `roles` in claims, or in a token whose signature somebody has checked before."""
    claims = token if isinstance(token, Mapping) else _payload(token)
    entries = claims.get("roles")
    return [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else []


def _payload(token: Any) -> Mapping[str, Any]:
    text = token.decode("ascii", "replace") if isinstance(token, bytes) else token
    if not isinstance(text, str) or text.count(".") != 2:
        return {}
    middle = text.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
