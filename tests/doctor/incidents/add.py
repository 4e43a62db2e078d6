"""Keep a report as an incident: `python -m tests.doctor.incidents.add REPORT.json NAME --about … --source … SLUG …`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
KEPT = ("kind", "url", "steps", "facts")


def incident(report: dict[str, Any], *, about: str, source: str, date: str, answers: list[str]) -> dict[str, Any]:
    """The report without what is judged anew, and with the right answer."""
    inner = report.get("diagnosis")
    found = inner if isinstance(inner, dict) else report
    told = {"about": about, "source": source, "date": date, "answers": answers}
    return told | {key: found[key] for key in KEPT if key in found}


def write(name: str, kept: dict[str, Any]) -> None:
    (FOLDER / f"{name}.json").write_text(
        json.dumps(kept, ensure_ascii=False, separators=(",", ":"), indent=None) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("name")
    parser.add_argument("answers", nargs="+", metavar="SLUG")
    parser.add_argument("--about", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--date", default="2026-11-30")
    given = parser.parse_args()
    report = json.loads(given.report.read_text())
    write(
        given.name,
        incident(report, about=given.about, source=given.source, date=given.date, answers=given.answers),
    )


if __name__ == "__main__":
    main()
