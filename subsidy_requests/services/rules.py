"""What a request or a decision can be refused for: the codes of the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

TEXTS: Final = {
    "requests_disabled": "This enterprise takes no requests.",
    "wrong_subsidy_type": "This enterprise grants another kind of subsidy.",
    "already_outstanding": "There is an outstanding request for the same already.",
    "learner_unknown": "The platform does not know this account: its profile has no lms_user_id.",
    "unknown_requests": "subsidy_request_uuids: these are no requests of this kind at this enterprise.",
    "already_declined": "subsidy_request_uuids: these are declined.",
    "already_decided": "subsidy_request_uuids: these are approved, fulfilled or declined already.",
    "learner_not_linked": "subsidy_request_uuids: the learners of these are no learners of this enterprise any more.",
}


class Broken(Exception):
    """A rule forbids it; nothing was changed. `uuids` are the requests it is about."""

    def __init__(self, code: str, uuids: Iterable[UUID] = ()) -> None:
        super().__init__(TEXTS[code])
        self.code, self.uuids = code, sorted(uuids)
