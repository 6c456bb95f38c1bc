"""The three parts talk by events alone …"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUESTS, LICENCES = ROOT / "subsidy_requests", ROOT / "license_notifications"
COUPONS = REQUESTS / "coupons"
#: Where both parts of one Django app have to be named: the tables, the pages, and what is registered at the start.
ASSEMBLY = {REQUESTS / "models" / "__init__.py", REQUESTS / "admin" / "__init__.py", REQUESTS / "apps.py"}


def imported(path: Path) -> set[str]:
    """Return the full names of the modules that a module names in its imports."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def modules(root: Path, *, but: Path | None = None) -> list[Path]:
    return [
        path
        for path in root.rglob("*.py")
        if "migrations" not in path.parts and path not in ASSEMBLY and (but is None or but not in path.parents)
    ]


def names(paths: list[Path], prefix: str, *, allowed: str = "") -> list[str]:
    """Return which modules import something with a prefix."""
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imported(path)
        if (name == prefix or name.startswith(f"{prefix}.")) and not (allowed and name.startswith(allowed))
    ]


def test_case_32_no_part_imports_another() -> None:
    requests, coupons = modules(REQUESTS, but=COUPONS), modules(COUPONS)
    assert len(requests) > 20
    assert len(coupons) > 4
    assert names(requests, "subsidy_requests.coupons") == []
    assert names(requests, "license_notifications") == []
    assert names(coupons, "license_notifications") == []
    assert names(coupons, "subsidy_requests", allowed="subsidy_requests.coupons") == []
    assert names(modules(LICENCES), "subsidy_requests") == []


def test_case_32_the_parts_share_no_table() -> None:
    for path in [*modules(REQUESTS, but=COUPONS), *modules(LICENCES)]:
        assert not {"Coupon", "CouponCode"} & {name.rpartition(".")[2] for name in imported(path)}, path


@pytest.mark.slow
def test_case_32_the_apps_import_without_the_extra() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['redis', 'walrus', 'edx_event_bus_redis']));"
        "import django; django.setup();"
        "import subsidy_requests.handlers, subsidy_requests.coupons.handlers, license_notifications.handlers"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "lms.envs.test", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
