"""Take the README's picture from a running demo: `venv/bin/python docs/images/take.py http://127.0.0.1:8000`."""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1000, 900


def take(address: str) -> None:
    """Open the first learner's mail in the outbox, and write what stands above its text to outbox.png."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{address}/")
        page.get_by_role("row").filter(has_text="(#1)").get_by_role("link").first.click()
        page.wait_for_load_state("networkidle")
        frame = page.locator("iframe").bounding_box() or {"y": 0, "height": HEIGHT}
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": frame["y"] + frame["height"] + 14}
        page.screenshot(path=HERE / "outbox.png", full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1].rstrip("/"))
