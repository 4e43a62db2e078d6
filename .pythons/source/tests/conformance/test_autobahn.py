"""RFC 6455, by the cases of the Autobahn test suite, against both makes of our socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callpath.cli.demo import _free_ports

ROOT = Path(__file__).parents[2]
FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
COMPRESSION = ("12.*", "13.*")
"""Per-message deflate, which we do not offer."""


@pytest.fixture(params=["bare", "asgi"])
def echo(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A running server, and which make of socket it has."""
    (port,) = _free_ports(1)
    command = [sys.executable, "-m", "tests.conformance.echo", request.param, str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert "listening" in (said := process.stdout.readline()), said
        yield request.param, port
        process.kill()


def test_only_the_known_deviation(echo: tuple[str, int], tmp_path: Path) -> None:
    """7.1.5: the library under ASGI answers a close inside a fragmented message with 1002 rather than 1000, on purpose.
    Our own frames differ nowhere."""
    make, port = echo
    kosoku = Path(sys.executable).with_name("kosoku")
    without = [word for cases in COMPRESSION for word in ("--exclude", cases)]
    done = subprocess.run(
        [kosoku, *without, "--parallelism", "2", "--outdir", tmp_path, f"127.0.0.1:{port}"],
        check=False,
        capture_output=True,
        text=True,
    )
    (cases,) = json.loads((tmp_path / "index.json").read_text()).values()
    differs = {name for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - FINE}

    assert 301 == len(cases), done.stdout + done.stderr
    assert {"bare": set(), "asgi": {"7.1.5"}}[make] == differs
