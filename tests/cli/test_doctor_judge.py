"""`callpath doctor judge`."""

from __future__ import annotations

import json
from pathlib import Path

from callpath.doctor.evidence import evidence, judge_facts
from callpath.doctor.facts import Arrival
from callpath.doctor.rules.sample import media
from tests.cli.conftest import Run

HEARD = Arrival(20.0, "text", 300, "", "media", b"\xff" * 160)


def test_the_command(run: Run, tmp_path: Path) -> None:
    """The exit code is the diagnosis's; a file that is not there is a wrong argument."""
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps(evidence(judge_facts(media(HEARD)))))
    result = run("doctor", "judge", str(file), "-q")

    assert 0 == result.exit_code
    assert result.stdout.lower().startswith("healthy")
    assert 2 == run("doctor", "judge", str(tmp_path / "none.json")).exit_code


def test_a_file_that_is_no_evidence(run: Run, tmp_path: Path) -> None:
    """One line that says what to give, no traceback."""
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    result = run("doctor", "judge", str(file))

    assert 2 == result.exit_code
    assert "--json" in " ".join(result.output.split())
    assert "Traceback" not in result.output
