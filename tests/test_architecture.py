"""Rules of the house that hold for every module, also those not written yet."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from importlinter import cli

ROOT = Path(__file__).resolve().parents[1]
APPS = ("courses", "email_automation", "schedules", "course_goals", "license_notifications", "subsidy_requests")
MAX_LINES = 400
# Spelled so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(^|[^\w.])/(w[o]rk|f[a]rm)/|\.\./sh[a]red")
NOT_OURS = {".git", ".hypothesis", "venv", "build", "dist", "node_modules", "ace_messages", "staticfiles"}
DATED = {"timezone", "datetime", "date"}
CLOCKS = {"now", "today", "utcnow"}
WRITES = {
    "save", "create", "bulk_create", "update", "bulk_update", "delete", "get_or_create", "update_or_create",
    "insert_if_absent",
}  # fmt: skip


def project_files() -> list[Path]:
    """Return the files of the project, without what tools and runs leave behind."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden_cache = any(part.startswith(".") and part.endswith("_cache") for part in parts)
        if path.is_file() and not NOT_OURS & set(parts) and not hidden_cache and "__pycache__" not in parts:
            found.append(path)
    return found


FILES = project_files()
MODULES = [path for path in FILES if path.suffix == ".py"]
CODE = [path for path in MODULES if not {"migrations", "tests"} & set(path.relative_to(ROOT).parts)]
PIPELINE_WITHOUT_CLOCK = {"conditions.py", "resolver.py", "message.py", "policy.py"}


def name(path: Path) -> str:
    """Return how a test names a file."""
    return str(path.relative_to(ROOT))


WITHOUT_CLOCK = [
    path
    for path in CODE
    if path.parent.name == "messages"
    or path.name.startswith("resolver")
    or path.name == "week.py"
    or (path.parent.name == "pipeline" and path.name in PIPELINE_WITHOUT_CLOCK)
]
READ_ONLY = [path for path in CODE if path.parent.name == "messages" or path.name.startswith("resolver")]

Rule = Callable[[ast.AST], bool]


def test_the_floors_hold() -> None:
    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == cli.EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("path", WITHOUT_CLOCK, ids=name)
def test_time_enters_only_through_the_run(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), reads_a_clock) == []


def test_the_run_has_one_door_for_time() -> None:
    source = (ROOT / "email_automation" / "pipeline" / "run.py").read_text(encoding="utf-8")
    assert len(offences(source, reads_a_clock)) <= 1


@pytest.mark.parametrize("path", READ_ONLY, ids=name)
def test_resolvers_and_messages_write_nothing(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), writes) == []


@pytest.mark.parametrize("app", APPS)
def test_an_app_never_imports_the_project(app: str) -> None:
    assert importers("lms", [path for path in CODE if path.relative_to(ROOT).parts[0] == app]) == []


def test_only_the_engine_imports_ace() -> None:
    outside = [path for path in CODE if path.relative_to(ROOT).parts[0] != "email_automation"]
    assert importers("edx_ace", outside) == []


def test_a_module_has_one_noun_and_a_page_or_two() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {file: lines for file, lines in lengths.items() if lines > MAX_LINES} == {}


def test_nothing_names_a_path_of_one_machine() -> None:
    assert [name(path) for path in FILES if names_a_machine(path)] == []


@pytest.mark.parametrize("paths", [WITHOUT_CLOCK, READ_ONLY, CODE], ids=["clock", "read-only", "code"])
def test_the_rules_have_something_to_look_at(paths: list[Path]) -> None:
    assert {path.relative_to(ROOT).parts[0] for path in paths} & set(APPS)


@pytest.mark.parametrize(
    ("rule", "line", "found"),
    [
        ("clock", "timezone.now()", True),
        ("clock", "datetime.datetime.now(tz=UTC)", True),
        ("clock", "date.today()", True),
        ("clock", "datetime.utcnow()", True),
        ("clock", "Now()", True),
        ("clock", "time.time()", True),
        ("clock", "models.DateTimeField(default=timezone.now)", True),
        ("clock", "run.now", False),
        ("clock", "now(run)", False),
        ("write", "Schedule.objects.create(user=user)", True),
        ("write", "schedule.save()", True),
        ("write", "rows.filter(a=1).update(b=2)", True),
        ("write", "rows.delete()", True),
        ("write", "bulk.insert_if_absent(Model, rows)", True),
        ("write", "insert_if_absent(Model, rows)", True),
        ("write", "context.update(more)", False),
        ("write", "rows.filter(a=1)", False),
    ],
)
def test_a_rule_sees_what_it_forbids(rule: str, line: str, found: bool) -> None:
    assert bool(offences(line, {"clock": reads_a_clock, "write": writes}[rule])) is found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import lms", True),
        ("from lms.accounts import models", True),
        ("import lmsx", False),
        ("from .lms import x", False),
    ],
)
def test_an_import_is_seen(line: str, found: bool) -> None:
    assert bool(offences(line, lambda node: imports(node, "lms"))) is found


def offences(source: str, rule: Rule) -> list[str]:
    """Return `line: code` for every node of the source that breaks the rule."""
    return [f"{getattr(node, 'lineno', 0)}: {ast.unparse(node)}" for node in ast.walk(ast.parse(source)) if rule(node)]


def reads_a_clock(node: ast.AST) -> bool:
    """Whether the node asks what time it is, or hands on a function that does."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
        return (owner in ("timezone", "datetime", "date") and node.attr in CLOCKS) or (owner, node.attr) == (
            "time",
            "time",
        )
    # The database's own clock.
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Now"


def writes(node: ast.AST) -> bool:
    """Whether the node is a call that changes rows; `update` with a positional argument is a dict's or a set's."""
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "insert_if_absent"
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in WRITES:
        return False
    return not (node.func.attr == "update" and node.args)


def imports(node: ast.AST, package: str) -> bool:
    """Whether the node imports the package or something in it."""
    return any(module.split(".")[0] == package for module in _imported(node))


def importers(package: str, paths: list[Path]) -> list[str]:
    """Return `file:line: code` of every import of the package."""
    return [
        f"{name(path)}:{offence}"
        for path in paths
        for offence in offences(path.read_text(encoding="utf-8"), lambda node: imports(node, package))
    ]


def names_a_machine(path: Path) -> bool:
    """Whether a text file contains a path that exists on one machine only."""
    try:
        return bool(MACHINE_PATH.search(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        return False


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or ""
