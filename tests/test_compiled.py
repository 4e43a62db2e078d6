"""The way of a frame, compiled by mypyc as in the Dockerfile: the same code has to do the same (docs/decisions/0094)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = (
    "audio/test_codec.py",
    "audio/test_g711.py",
    "audio/test_jitter.py",
    "call/test_playout.py",
    "call/test_stream.py",
    "call/test_symptoms.py",
    "server/test_driver.py",
    "server/test_frames.py",
    "server/test_read_coalescer.py",
    "api/test_queue.py",
    "server/test_media.py",
    "server/test_socket.py",
)
"""Those of what is compiled, and whole calls with it."""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """In which `callpath` is the compiled one."""
    made = subprocess.run([sys.executable, "bench/compiled.py"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return os.environ | {"PYTHONPATH": made.stdout.strip()}


@pytest.mark.timeout(600)
def test_what_is_said_to_be_compiled_is(environment: dict[str, str]) -> None:
    """Or the tests below would try the sources once more."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    sources = build["targets"]["wheel"]["hooks"]["mypyc"]["include"]
    modules = [source.removeprefix("src/").removesuffix(".py").replace("/", ".") for source in sources]
    program = "import importlib, sys; print(*[importlib.import_module(name).__file__ for name in sys.argv[1:]])"
    found = subprocess.run(
        [sys.executable, "-c", program, *modules], env=environment, check=True, capture_output=True, text=True
    ).stdout.split()

    assert modules and all(file.endswith(".so") and file.startswith(environment["PYTHONPATH"]) for file in found), found


@pytest.mark.timeout(600)
def test_it_passes_the_tests_of_its_sources(environment: dict[str, str]) -> None:
    """Types are looked at when it runs, attributes are fixed: what was written carelessly shows here."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(
        [*command, *(f"tests/{name}" for name in TESTS)],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )

    assert tested.returncode == 0, tested.stdout[-8000:] + tested.stderr
