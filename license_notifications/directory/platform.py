"""The platform's list of the people linked with an enterprise, over HTTP."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit
from uuid import UUID

import requests

from ..conf import setting
from .errors import DirectoryError
from .tokens import Token, tokens

LIST_PATH: Final = "/enterprise/api/v1/enterprise-learner/"
TOKEN_PATH: Final = "/oauth2/access_token/"  # noqa: S105  (an address)
#: Seconds to connect, and to wait for data.
TIMEOUTS: Final = (3.05, 10)
PAUSES: Final = (1.0, 2.0)
SPREAD: Final = 0.2
#: After so many requests in a row that came to nothing each of the others is made once: thousands may follow.
MOST_IN_VAIN: Final = 5
MOST_PAGES: Final = 200
SERVER_ERROR: Final = 500
PORTS: Final = {"http": 80, "https": 443}

Sleep = Callable[[float], object]


class Platform:
    """A connection to the platform as its service account. Not for several threads at once."""

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str,
        client_secret: str,
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._sleep = sleep
        self._clock = clock
        self._session = requests.Session()
        self._in_vain = 0

    @classmethod
    def of_settings(cls, *, sleep: Sleep = time.sleep) -> Platform:
        """Return a connection as the settings describe it."""
        return cls(
            setting("LICENSE_LMS_BASE_URL"),
            client_id=setting("LICENSE_LMS_CLIENT_ID"),
            client_secret=setting("LICENSE_LMS_CLIENT_SECRET"),
            sleep=sleep,
        )

    def rows(self, enterprise_uuid: UUID) -> Iterator[dict[str, Any]]:
        """Yield the rows of all pages. Raises DirectoryError when a page cannot be had; what came before is no use."""
        query = urlencode({"enterprise_customer_uuid": enterprise_uuid, "role": "enterprise_admin"})
        url: str | None = f"{self._base_url}{LIST_PATH}?{query}"
        for _ in range(MOST_PAGES):
            page = self._page(str(url))
            yield from _rows(page)
            url = self._following(str(url), page)
            if url is None:
                return
        raise DirectoryError(f"The list has more than {MOST_PAGES} pages.")

    def _page(self, url: str) -> dict[str, Any]:
        """Return one page; a token that is refused is replaced once."""
        token = self._token()
        response = self._request("GET", url, auth=_Header(token))
        if response.status_code == requests.codes.unauthorized:
            tokens.drop(self._key, token)
            response = self._request("GET", url, auth=_Header(self._token()))
        page = _json(response, "The list")
        if not isinstance(page, dict):
            raise DirectoryError("The list's answer is no JSON object.")
        return page

    @property
    def _key(self) -> tuple[str, ...]:
        return self._base_url, *self._credentials.values()

    def _token(self) -> Token:
        return tokens.get(self._key, now=self._clock(), ask=self._ask_for_token)

    def _ask_for_token(self) -> Any:
        form = {"grant_type": "client_credentials", "token_type": "jwt", **self._credentials}
        url = f"{self._base_url}{TOKEN_PATH}"
        return _json(self._request("POST", url, data=form, auth=_Header(None)), "The token endpoint")

    def _request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Make a request, again where the reason may pass by itself, unless it has not done so for some time."""
        problem = ""
        pauses = PAUSES if self._in_vain < MOST_IN_VAIN else ()
        for pause in (*pauses, None):
            try:
                # A redirect could lead, with what we send, to somebody else.
                response = self._session.request(method, url, timeout=TIMEOUTS, allow_redirects=False, **arguments)
            except requests.RequestException as error:
                # The error's own text shows the address that was asked for.
                problem = type(error).__name__
                if isinstance(error, ValueError):
                    raise DirectoryError(f"LICENSE_LMS_BASE_URL cannot be asked: {problem}.") from None
            else:
                if response.status_code < SERVER_ERROR:
                    return response
                problem = f"HTTP {response.status_code}"
            if pause is not None:
                self._sleep(pause * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311  (no secret)
        self._in_vain += 1
        raise DirectoryError(f"{problem}, {len(pauses) + 1} times." if pauses else f"{problem}.")

    def _following(self, url: str, page: dict[str, Any]) -> str | None:
        """Return the address of the page after this one, if it is on the same server."""
        following = page.get("next")
        if following is None:
            return None
        if not isinstance(following, str):
            raise DirectoryError(f"next is {type(following).__name__}. Allowed: an address, or null.")
        address = _joined(url, following)
        if address is None or _origin(address) != _origin(self._base_url):
            raise DirectoryError("next leads to another scheme, host or port than LICENSE_LMS_BASE_URL.")
        return address


class _Header(requests.auth.AuthBase):
    """Sends a token. Being an auth object it keeps `requests` from taking a password from a file of the machine."""

    def __init__(self, token: Token | None) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            request.headers["Authorization"] = self.token.header
        return request


def _json(response: requests.Response, where: str) -> Any:
    if response.status_code != requests.codes.ok:
        raise DirectoryError(f"{where} answered HTTP {response.status_code}.")
    try:
        return response.json()
    except ValueError:
        raise DirectoryError(f"{where}'s answer is no JSON.") from None


def _rows(page: dict[str, Any]) -> list[dict[str, Any]]:
    rows = page.get("results")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DirectoryError("results is no list of objects.")
    return rows


def _joined(url: str, following: str) -> str | None:
    """Return an address that may be relative to another one, None for what is no address."""
    try:
        return urljoin(url, following)
    except ValueError:
        return None


def _origin(address: str) -> tuple[Any, ...]:
    """Return scheme, host and port of an address, and who it says is calling."""
    try:
        parts = urlsplit(address)
        return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme), parts.username
    except ValueError:
        return (address,)
