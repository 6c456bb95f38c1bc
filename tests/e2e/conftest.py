"""A real browser for the tests of this folder. It talks to nobody but the test's own server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

HERE = Path(__file__).parent
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

TIMEOUT = 10_000

OpenPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder; its pages see the database as others commit it."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine; CHROMIUM may name it."""
    path = shutil.which(os.environ.get("CHROMIUM") or "/usr/bin/chromium") or shutil.which("chromium")
    if path is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("Chromium is required and not installed; CHROMIUM may name it")
        pytest.skip("Chromium is not installed")
    # Playwright runs an event loop in this thread, in which Django would refuse to touch the database.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            yield started
            started.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


@pytest.fixture
def open_page(browser: Browser, live_server: Any) -> Iterator[OpenPage]:
    """Open a path of the test's server; options are those of a browser context, in short words.

    A request to anybody else fails the test, unless the page's own policy has stopped it.
    """
    contexts = []
    strangers: list[str] = []
    host = urlsplit(live_server.url).netloc

    def note(request: Request) -> None:
        if urlsplit(request.url).netloc != host and request.failure != "csp":
            strangers.append(f"{request.url} {request.failure}")

    def opened(
        path: str,
        *,
        width: int = 1000,
        javascript: bool = False,
        dark: bool = False,
        language: str = "en",
        cookies: SimpleCookie | None = None,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            java_script_enabled=javascript,
            color_scheme="dark" if dark else "light",
            locale=language,
        )
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        context.add_cookies(
            [
                {"name": name, "value": morsel.value, "url": live_server.url}
                for name, morsel in (cookies or SimpleCookie()).items()
            ]
        )
        context.on("requestfinished", note)
        context.on("requestfailed", note)
        page = context.new_page()
        page.goto(f"{live_server.url}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert strangers == []
