"""What a running stand-in has delivered, for pages that show it beside the e-mails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from django.utils.dateparse import parse_datetime

from ..conf import setting
from ..loopback import is_loopback
from .control import ROOT
from .rules import MOST_RECIPIENTS

#: It is on this machine: who does not answer at once is not there.
TIMEOUT: Final = (0.5, 2)


class NotRunning(Exception):
    """The stand-in does not answer, or not as one."""


@dataclass(frozen=True)
class Delivered:
    """One message that the stand-in has delivered; `properties` are the merged ones."""

    number: int
    at: datetime | None
    dispatch_id: str
    campaign: str
    user: str
    email: str
    properties: dict[str, Any]


def stands_in() -> bool:
    """Return whether BRAZE_API_URL leads to this machine, and so not to Braze."""
    try:
        return is_loopback(urlsplit(str(setting("BRAZE_API_URL"))).hostname or "")
    except ValueError:
        return False


def delivered(*, limit: int, before: int | None = None, dispatch_id: str = "") -> list[Delivered]:
    """Return the newest messages it has delivered, those below a number or those of one request. Raises NotRunning."""
    query = {"limit": str(limit), **({"before": str(before)} if before is not None else {})}
    if dispatch_id:
        query["dispatch_id"] = dispatch_id
    with requests.Session() as session:
        # A proxy of the network's cannot reach this machine's own addresses.
        session.trust_env = False
        try:
            answer = session.get(
                f"{str(setting('BRAZE_API_URL')).rstrip('/')}{ROOT}/delivered.json", params=query, timeout=TIMEOUT
            )
            answer.raise_for_status()
            return list(_read(answer.json()))
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise NotRunning(type(error).__name__) from error


def delivered_to(address: str, *, dispatch_id: str) -> Delivered | None:
    """Return what somebody was delivered by one request, None where the stand-in does not say."""
    if not dispatch_id or not stands_in():
        return None
    try:
        found = delivered(limit=MOST_RECIPIENTS, dispatch_id=dispatch_id)
    except NotRunning:
        return None
    return next((message for message in found if message.email.lower() == address.lower()), None)


def _read(said: Iterable[Any]) -> Iterable[Delivered]:
    for entry in said:
        yield Delivered(
            number=int(entry["number"]),
            at=parse_datetime(entry["at"]),
            dispatch_id=str(entry["dispatch_id"]),
            campaign=str(entry["campaign"]),
            user=str(entry["user"]),
            email=str(entry["email"]),
            properties=dict(entry["properties"]),
        )
