"""What a page looks like, measured in the browser. The scripts run in the page's world but are not the page's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page

SMALLEST_TARGET = 44
#: A phone and a desk, by day and by night.
LOOKS = [(width, dark) for width in (320, 1280) for dark in (False, True)]

_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

# Every piece of text with its colour and the first opaque background behind it.
_TEXTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
    }
    return parse(getComputedStyle(document.documentElement).colorScheme.includes('dark')
      && matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)');
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.offsetParent) continue;
    found.push([walker.currentNode.textContent.trim().slice(0, 40),
      parse(getComputedStyle(element).color).slice(0, 3), behind(element)]);
  }
  return found;
}"""

# What can be clicked, with its size; a box's label is part of its target, a link inside a sentence is exempt.
_TARGETS = """() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select')]
  .filter(element => element.offsetParent)
  .map(element => (element.closest('label') || element))
  .map(element => [element.textContent.trim().slice(0, 40) || element.outerHTML.slice(0, 80),
    element.getBoundingClientRect().width, element.getBoundingClientRect().height])"""


def looks(page: Page) -> Iterator[str]:
    """Have a page seen narrow and wide, light and dark, and yield what each is called; one visit serves for all."""
    for width, dark in LOOKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if dark else "light")
        yield f"{width}-{'dark' if dark else 'light'}"


def faults(page: Page) -> dict[str, Any]:
    """What keeps somebody from reading or touching a page, in any of its looks; empty when nothing does."""
    found: dict[str, Any] = {}
    for name in looks(page):
        wider, texts, targets = sideways(page), poor_contrasts(page), small_targets(page)
        if wider > 0 or texts or targets:
            found[name] = (wider, texts, targets)
    return found


def sideways(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(page.evaluate(_SIDEWAYS))


def poor_contrasts(page: Page, *, least: float = 4.5) -> list[tuple[str, float]]:
    """The texts whose contrast with what is behind them is too low."""
    texts: list[Any] = page.evaluate(_TEXTS)
    assert texts
    measured = [(text, contrast(colour, behind)) for text, colour, behind in texts]
    return [(text, round(value, 2)) for text, value in measured if value < least]


def small_targets(page: Page) -> list[tuple[str, float, float]]:
    """What can be clicked and is smaller than a finger."""
    targets: list[Any] = page.evaluate(_TARGETS)
    return [(name, width, height) for name, width, height in targets if min(width, height) < SMALLEST_TARGET - 0.5]


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast of two colours by WCAG, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: list[float]) -> float:
    parts = [value / 255 for value in colour[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
