"""What the documents say is so: settings and defaults, commands, links, words, and the recipe for a message."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands
from django.urls import Resolver404, resolve

from course_goals import conf as goals
from email_automation import conf, words
from email_automation.models import MessageRun
from email_automation.pipeline import message
from license_notifications import conf as licences
from lms.envs import derive
from subsidy_requests import conf as requests

ROOT = Path(__file__).resolve().parents[2]
CONFS = (conf, goals, licences, requests)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SETTINGS_PAGE = ROOT / "docs" / "settings.md"
OPERATIONS_PAGE = ROOT / "docs" / "operations.md"
RECIPE = ROOT / "docs" / "adding-a-message.md"
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| .+ \|$", re.MULTILINE)
DASH = "–"
# Read by lms.demo, which is not a settings module.
OF_THE_DEMO = {"DEMO_SERVE", "DEMO_PORT"}
# Django's own, with a value of ours that people may want to know.
OF_DJANGO = {"LANGUAGES"}
DERIVED = {"ACE_CHANNEL_DEFAULT_EMAIL", "ACE_CHANNEL_TRANSACTIONAL_EMAIL"}


def documented() -> dict[str, str]:
    """Return {name: default} of the settings page."""
    return dict(ROW.findall(SETTINGS_PAGE.read_text(encoding="utf-8")))


def variables() -> dict[str, ast.expr | None]:
    """Return {environment variable: its default} of the settings modules."""
    found: dict[str, ast.expr | None] = {}
    for path in (ROOT / "lms" / "envs").glob("*.py"):
        if path.stem in ("private", "test"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            function = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if isinstance(function, ast.Name) and function.id == "env":
                default = next((word.value for word in node.keywords if word.arg == "default"), None)
                found.setdefault(str(node.args[0].value), default)
    return found


def read_by_apps() -> set[str]:
    """Return the settings that the apps read with a fall-back of their own."""
    asked = re.compile(r"""(?:getattr\(settings, |_text\()"([A-Z_]+)\"""")
    apps = [
        path
        for app in ("courses", "email_automation", "schedules", "course_goals")
        for path in (ROOT / app).rglob("*.py")
    ]
    return {name for path in apps if path.name != "checks.py" for name in asked.findall(path.read_text("utf-8"))}


def constants() -> dict[str, Any]:
    """Return {environment variable: default} where the default is written down and not computed."""
    found: dict[str, Any] = {}
    for name, default in variables().items():
        try:
            found[name] = ast.literal_eval(default) if default is not None else None
        except ValueError:
            continue
    # None here means that derive.py chooses.
    return found | {"ACE_ENABLED_CHANNEL": [derive.DEFAULT_CHANNEL]}


def written(value: Any) -> str:
    """Return a default as the page writes it."""
    if value in (None, "", [], {}):
        return DASH
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(map(str, value)) if isinstance(value, list) else value}`"


def test_every_setting_is_documented() -> None:
    own = {
        *variables(),
        *(name for each in CONFS for name in each.DEFAULTS),
        *(name for name in read_by_apps() if name not in ("FEATURES", "MKTG_URLS")),
    }
    assert own - set(documented()) == set()


def test_nothing_is_documented_that_is_not_read() -> None:
    read = (
        {*variables(), *(name for each in CONFS for name in each.DEFAULTS), *read_by_apps(), "ANYMAIL_…"}
        | OF_THE_DEMO
        | OF_DJANGO
        | DERIVED
    )
    assert set(documented()) - read == set()


@pytest.mark.parametrize(("name", "default"), sorted(constants().items()))
def test_the_documented_default_is_the_default(name: str, default: Any) -> None:
    assert documented()[name] == written(default)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    missing = []
    for target in targets:
        path, _, anchor = target.partition("#")
        if re.match(r"https?://", target):
            continue
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_it_names_exist(page: Path) -> None:
    found = re.findall(r"manage\.py (?:lms )?(?:--settings \w+ )?([a-z_]+)", page.read_text(encoding="utf-8"))
    assert set(found) - set(get_commands()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_addresses_it_names_exist(page: Path) -> None:
    unknown = []
    for address in re.findall(r"`(/(?:admin|email)/[a-z_/<>-]*)`", page.read_text(encoding="utf-8")):
        try:
            match = resolve(address.replace("<token>", "x"))
        except Resolver404:
            unknown.append(address)
        else:
            # The admin answers everything below it, to hide what exists from strangers.
            unknown += [address] if match.func.__name__ == "catch_all_view" else []
    assert unknown == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.stem)
def test_the_make_targets_it_names_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)\b", page.read_text(encoding="utf-8")):
        if target in ("demo", "test", "messages", "lint", "types", "bench", "install", "clean"):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_operations_explain_every_status_and_reason() -> None:
    text = OPERATIONS_PAGE.read_text(encoding="utf-8")
    engine = ROOT / "email_automation"
    reasons = {
        reason
        for path in (engine / "pipeline").glob("*.py")
        for reason in re.findall(r"""(?:reason=|UNREACHABLE = )"([a-z_]+)\"""", path.read_text(encoding="utf-8"))
    }
    spoken = {getattr(words, name) for name in vars(words) if name.isupper() and isinstance(getattr(words, name), str)}
    queues = {words.TRANSACTIONAL_QUEUE, words.LIFECYCLE_QUEUE}
    runs = {MessageRun.RUNNING, MessageRun.PLANNED, MessageRun.DONE, MessageRun.PARTIAL}
    explained = {word.split(":")[0] for word in re.findall(r"`([a-z_:<>]+)", text)}
    wanted = {words.group(word) for word in spoken | set(words.STATUSES) | reasons | runs} - queues
    assert wanted - explained == set()


def test_operations_explain_every_condition() -> None:
    text = OPERATIONS_PAGE.read_text(encoding="utf-8")
    names = {rule.name for kind in message.all_messages() for rule in kind.resolver.conditions}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_operations_name_every_beat_entry() -> None:
    text = OPERATIONS_PAGE.read_text(encoding="utf-8")
    for kind in message.all_messages():
        if kind.beat is not None:
            assert kind.label() in text or f"…{kind.NAME.removeprefix('recurringnudge')} for" in text


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_recipe_makes_a_message_that_works(tmp_path: Path) -> None:
    pytest.importorskip("babel")
    tree = tmp_path / "tree"
    left_out = shutil.ignore_patterns("__pycache__", "*.sqlite3*", ".*", "venv", "ace_messages", "node_modules")
    shutil.copytree(ROOT, tree, ignore=left_out)
    follow_the_recipe(tree)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "firststeps or has_a_factory"]
        + ["--ds", "lms.envs.test", "tests/test_contract.py"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def follow_the_recipe(tree: Path) -> None:
    """Do to a copy of the project what the recipe says, in the recipe's own words."""
    text = RECIPE.read_text(encoding="utf-8")
    module, factory = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tree / "schedules" / "messages" / "first_steps.py").write_text(module, encoding="utf-8")
    templates = re.findall(r"^`(\w+\.\w+)`\n```django\n(.*?)\n```", text, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in templates] == ["subject.txt", "from_name.txt", "head.html", "body.html", "body.txt"]
    folder = tree / "schedules" / "templates" / "schedules" / "edx_ace" / "firststeps" / "email"
    folder.mkdir(parents=True)
    for name, content in templates:
        (folder / name).write_text(content, encoding="utf-8")
    for language, entries in zip(("es", "fr"), re.findall(r"```po\n(.*?)```", text, re.DOTALL), strict=True):
        catalogue = tree / "schedules" / "locale" / language / "LC_MESSAGES" / "django.po"
        catalogue.write_text(f"{catalogue.read_text(encoding='utf-8')}\n{entries}", encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "babel.messages.frontend", "-q", "compile", "-D", "django"]
        + ["-d", str(tree / "schedules" / "locale")],
        check=True,
    )
    factories = tree / "tests" / "message_factories.py"
    source = factories.read_text(encoding="utf-8")
    last = "        WeeklyProgress,\n"
    assert last in source
    source = source.replace("FACTORIES: dict", f"{factory}\n\nFACTORIES: dict").replace(
        last, f"{last}        FirstSteps,\n"
    )
    factories.write_text(source, encoding="utf-8")
