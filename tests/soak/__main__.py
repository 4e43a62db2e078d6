"""`python -m tests.soak`: every figure, each printed as `name value limit ok|FAIL`; about an hour.

--short takes a minute and asks the same. Exit 0 if all is well, 1 if a limit is broken, 2 on wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.figures import Figure, allow_files, bad
from tests.soak.measures import MEASURES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--short", action="store_true", help="as in CI: smaller, and times decide nothing")
    parser.add_argument("--only", nargs="+", choices=sorted(MEASURES), default=list(MEASURES), help="only these")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all lines there, too")
    arguments = parser.parse_args()

    allow_files(65_536)
    figures: list[Figure] = []
    for name in arguments.only:
        with TemporaryDirectory(prefix="callpath-soak-") as folder:
            found = _measured(name, Path(folder), short=arguments.short)
        for figure in found:
            sys.stdout.write(f"{figure}\n")
            sys.stdout.flush()
        if not found:
            sys.stdout.write(f"{name} - - skipped\n")
        figures += found
    if arguments.report is not None:
        arguments.report.write_text("".join(f"{figure}\n" for figure in figures))
    return 1 if bad(figures, short=arguments.short) else 0


def _measured(name: str, folder: Path, *, short: bool) -> Sequence[Figure]:
    """A measurement that breaks is a figure, too: the others shall still be told."""
    try:
        return asyncio.run(MEASURES[name](folder, short))
    except Exception as error:
        sys.stdout.write(f"# {name}: {type(error).__name__}: {error}\n")
        return [Figure(f"{name}_broke", 1, 0)]


sys.exit(main())
