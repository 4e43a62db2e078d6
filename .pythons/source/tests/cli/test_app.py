"""The command line as a whole."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from callpath import __version__
from tests.cli.conftest import Run

HEAVY = ["numpy", "sqlalchemy", "alembic", "starlette", "uvicorn", "httpx2", "cryptography", "websockets", "structlog"]
COMMANDS = ["serve", "demo", "calls", "doctor", "simulate", "migrate", "config"]


def imported_by(*arguments: str) -> list[str]:
    """Which heavy modules a fresh process has imported once `callpath ARGUMENTS` is done."""
    code = (
        "import json, sys\n"
        "from callpath.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as done:\n"
        "    assert not done.code, done.code\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("config",),
        *((command, "--help") for command in COMMANDS),
        ("calls", "show", "--help"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("alone")
def test_light_commands_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Help that takes a second is not asked for; numpy alone takes a tenth of one."""
    assert imported_by(*arguments) == []


def test_the_guard_above_sees_imports() -> None:
    """A guard that cannot fail would be none."""
    code = "import sys, callpath.store.sql; sys.exit('sqlalchemy' not in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_lists_every_command(run: Run) -> None:
    """It is where newcomers look."""
    result = run("--help")

    assert result.exit_code == 0
    assert all(f"\n  {command} " in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    """Each option is explained; a command without a word cannot be found out."""
    result = run(command, "--help")

    assert result.exit_code == 0
    assert f"Usage: callpath {command}" in result.stdout


def test_version(run: Run) -> None:
    """The first question in every bug report."""
    result = run("--version")

    assert (result.exit_code, result.stdout) == (0, f"callpath {__version__}\n")


def test_no_command_is_a_question_for_help(run: Run) -> None:
    """Exit code 2, as for any wrong use."""
    result = run()

    assert result.exit_code == 2
    assert "Usage: callpath" in result.output


@pytest.mark.parametrize("arguments", [("levitate",), ("config", "--colour"), ("calls", "--limit", "0")], ids=" ".join)
def test_wrong_use(run: Run, arguments: tuple[str, ...]) -> None:
    """Scripts tell a typing error (2) from a problem with a call (1)."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_the_module_is_the_command() -> None:
    """`python -m callpath` works where no script folder is on the path."""
    done = subprocess.run([sys.executable, "-m", "callpath", "--version"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, f"callpath {__version__}\n")
