"""The frame of the repository: what must hold for every file, whoever wrote it."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path

import pytest

import callpath
from callpath.config import Settings

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "callpath"
TESTS = ROOT / "tests"
SETTINGS_PAGE = ROOT / "docs" / "reference" / "settings.md"

MODULES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
PACKAGES = [name for name in MODULES if name.endswith("__init__.py")]

TESTED_ELSEWHERE = {
    "__main__.py": "cli/test_app.py",  # one line; run as a process there
    "wire/api.py": "wire/test_golden.py",  # every sample goes through these three, both ways
    "wire/command.py": "wire/test_golden.py",
    "wire/ids.py": "test_control.py",  # names, and one encoding, which stands in each command's path
    "store/port.py": "store/test_contract.py",  # the promise; that suite is its test, on each store
    "store/memory.py": "store/test_contract.py",
    "store/sqlite.py": "store/test_sql.py",
    "store/schema.py": "store/test_sql.py",  # compared there with where the migrations lead
    "store/migrations/*": "store/test_sql.py",
    "doctor/rules/*": "doctor/test_rules.py",  # one file a cause, whose examples are its tests
    "doctor/facts/*": "doctor/test_facts.py",
    "doctor/report/*": "doctor/test_report.py",
    "doctor/probes/*": "lab/test_lab.py",  # what a probe sees is tried on real software that was set wrong
    "server/context.py": "server/test_calls.py",  # fields
    "server/capacity.py": "server/test_drain.py",
    "server/events.py": "server/test_recovery.py",
    "server/admission.py": "server/test_media.py",
    "server/line.py": "server/test_media.py",
    "server/app.py": "server/test_webhooks.py",  # puts the routes together; those tests enter by them
    "commands.py": "api/test_feed.py",
    "events.py": "api/test_feed.py",
    "api/results.py": "api/test_feed.py",
    "api/news.py": "api/test_feed.py",
    "api/prompts.py": "api/test_feed.py",
    "api/keys.py": "api/test_feed.py",
    "api/transfer.py": "api/test_feed.py",
    "api/ring.py": "api/test_app.py",
    "server/routing.py": "api/test_app.py",
    "call/incoming.py": "api/test_app.py",
    "call/client_state.py": "call/test_outcomes.py",
    "call/numbers.py": "api/test_feed.py",
    "server/builtin.py": "test_testing.py",
    "dashboard/documents.py": "dashboard/test_api.py",  # the shapes of its answers
    "cli/dashboard.py": "dashboard/test_phone.py",  # the second server, called by real phones
    "cli/simulate*.py": "simulator/test_simulate_command.py",
    "simulator/seen.py": "simulator/test_verdict.py",  # what was seen is there to be judged
    "cli/doctor.py": "doctor/test_command.py",
    "cli/doctor_deploy.py": "deploy/test_traps.py",
}
"""Source files without a test file of their own name, and where they are tested instead."""


def stand_in(module: str) -> str | None:
    """The test file that stands for `module` in TESTED_ELSEWHERE."""
    return next((test for pattern, test in TESTED_ELSEWHERE.items() if fnmatch(module, pattern)), None)


def mirror(module: str) -> str:
    """The test file that has `module`'s name."""
    path = Path(module)
    return str(path.with_name(f"test_{path.name}"))


def test_each_source_file_has_its_test_file() -> None:
    """Who changes a file must know where to look, without a search."""
    files = [name for name in MODULES if not name.endswith("__init__.py")]

    assert [name for name in files if not (TESTS / (stand_in(name) or mirror(name))).is_file()] == []


@pytest.mark.parametrize("pattern", TESTED_ELSEWHERE)
def test_the_table_above_is_no_longer_than_it_must_be(pattern: str) -> None:
    """A row for a file that has gone, or that has a test file by now, would hide the next gap."""
    meant = [name for name in MODULES if fnmatch(name, pattern) and not name.endswith("__init__.py")]

    assert meant
    assert [name for name in meant if (TESTS / mirror(name)).is_file()] == []


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_each_package_says_what_is_in_it(package: str) -> None:
    """Its first lines are the map that a newcomer reads; a module that is not on it is not found."""
    folder = (SOURCE / package).parent
    module = importlib.import_module(".".join(["callpath", *folder.relative_to(SOURCE).parts]))
    beside = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    named = set(re.findall(r"\w+", module.__doc__ or ""))
    if package.startswith("doctor/rules/"):
        beside = {folder.name} if not module.__doc__ else set()  # one file a cause: the list of these is CAUSES

    assert beside - named - {"__init__"} == set()


def test_each_module_says_what_it_is_for() -> None:
    """A file without a word at its head is read twice and understood once."""
    assert [name for name in MODULES if not ast.get_docstring(ast.parse((SOURCE / name).read_text()))] == []


# --- what users import -----------------------------------------------------------------------------------------------


def test_the_front_door() -> None:
    """`from callpath import App, Call` stands in every program."""
    assert all(getattr(callpath, name) is not None for name in callpath.__all__)
    assert callpath.App is callpath.api.app.App
    assert callpath.Call is callpath.api.call.Call
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = callpath.Nothing


def test_the_version_is_the_packages() -> None:
    """`callpath --version` in a bug report must name what is installed."""
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", callpath.__version__)
    assert importlib.metadata.version("callpath") == callpath.__version__


def test_types_ship() -> None:
    """Without py.typed a user's type checker takes everything of ours for Any."""
    assert (importlib.resources.files("callpath") / "py.typed").is_file()


def test_the_example_in_the_package_is_a_program() -> None:
    """The first code that anybody copies."""
    lines = (callpath.__doc__ or "").splitlines()
    example = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    ") or not line.strip())
    names: dict[str, object] = {}
    exec(compile(example, "example", "exec"), names)
    app = names["app"]

    assert isinstance(app, callpath.App)
    assert app.handler is names["handle"]


# --- docs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for item in fields(Settings) for name in item.metadata["names"]])
def test_each_setting_stands_in_the_docs(name: str) -> None:
    """A setting that is not written down does not exist for those who need it."""
    assert f"`{name}`" in SETTINGS_PAGE.read_text()


def test_the_generated_pages_are_up_to_date() -> None:
    """They are made from the code by `make docs`."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_guard_names_a_test_that_exists() -> None:
    """SECURITY.md promises; a promise whose proof was renamed away is none."""
    text = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", text)
    figures = re.findall(r"`([a-z_]+_)\*`", text)
    measured = "".join(path.read_text() for path in (TESTS / "soak").glob("*.py"))

    assert len(named) > 50
    assert [one for one in named if not (TESTS / one[0]).is_file()] == []
    assert [one for one in named if f"def {one[1]}" not in (TESTS / one[0]).read_text()] == []
    assert [one for one in figures if f'"{one}' not in measured] == []
