"""Matching a language somebody asks for to one that is released. Pure."""

from collections.abc import Iterable

SCRIPTS = {
    "zh-cn": "zh-hans",
    "zh-sg": "zh-hans",
    "zh-my": "zh-hans",
    "zh-tw": "zh-hant",
    "zh-hk": "zh-hant",
    "zh-mo": "zh-hant",
}


def closest_language(wanted: str | None, released: Iterable[str]) -> str | None:
    """Return the released code closest to the wanted one, or None.

    In this order: the same code, the code with its last parts taken off (`es-419` -> `es`), the first released variant
    of the same language (`pt` -> `pt-br`). Chinese is matched by script, never across scripts.
    """
    code = normalized(wanted)
    if not code:
        return None
    known = {normalized(candidate): candidate for candidate in reversed(list(released))}
    for candidate in _shorter_and_shorter(code):
        if candidate in known:
            return known[candidate]
    base = code.split("-", 1)[0]
    if base == "zh":
        return None
    return next((known[candidate] for candidate in reversed(known) if candidate.split("-", 1)[0] == base), None)


def normalized(code: str | None) -> str:
    """Return a language code in lower case with hyphens; an encoding behind a dot is dropped."""
    return (code or "").strip().lower().replace("_", "-").split(".", 1)[0]


def _shorter_and_shorter(code: str) -> list[str]:
    """Return the code, then the code without its last part, and so on."""
    parts = code.split("-")
    candidates = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return [variant for candidate in candidates for variant in (candidate, SCRIPTS.get(candidate)) if variant]
