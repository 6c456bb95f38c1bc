"""The only writer of plans and licences. What cannot be done raises a LicenseError that says why.

Whoever takes or gives back a licence holds the lock of its plan, so that the numbers of a plan change one by one.
"""

from .granting import Granted, Refused, grant
from .licenses import (
    AlreadyHeld,
    Learner,
    LicenseError,
    NoFreeLicense,
    NoPlan,
    WrongStatus,
    activate,
    assign,
    auto_apply,
    revoke,
)
from .provisioning import freeze, provision

__all__ = [
    "AlreadyHeld",
    "Granted",
    "Learner",
    "LicenseError",
    "NoFreeLicense",
    "NoPlan",
    "Refused",
    "WrongStatus",
    "activate",
    "assign",
    "auto_apply",
    "freeze",
    "grant",
    "provision",
    "revoke",
]
