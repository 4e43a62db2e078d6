"""`python -m tests.soak`: every figure, each printed as `name value limit ok|FAIL`; about three quarters of an hour.

--short takes a minute and asks the same. Exit 0 if all is well, 1 if a limit is broken, 2 on wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.soak.figures import Figure, allow_files, bad, now_s
from tests.soak.measures import MEASURES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--short", action="store_true", help="as in CI: smaller, and times decide nothing")
    parser.add_argument("--only", nargs="+", choices=sorted(MEASURES), default=list(MEASURES), help="only these")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write all lines there, too")
    arguments = parser.parse_args()

    allow_files(65_536)
    figures: list[Figure] = []
    with arguments.report.open("w") if arguments.report is not None else nullcontext() as report:

        def tell(line: str) -> None:
            """At once: who stops it after an hour still has what was found."""
            for file in filter(None, (sys.stdout, report)):
                file.write(f"{line}\n")
                file.flush()

        for name in arguments.only:
            began_s = now_s()
            with TemporaryDirectory(prefix="callpath-soak-") as folder:
                found = _measured(name, Path(folder), tell, short=arguments.short)
            for figure in found:
                tell(str(figure))
            if not found:
                tell(f"{name} - - skipped")
            tell(f"# {name} took {now_s() - began_s:.0f} s")
            figures += found
        failed = bad(figures, short=arguments.short)
        tell(f"# {len(figures)} figures, {len(failed)} of them decide against us")
    return 1 if failed else 0


def _measured(name: str, folder: Path, tell: Callable[[str], None], *, short: bool) -> Sequence[Figure]:
    """A measurement that breaks is a figure, too: the others shall still be told."""
    try:
        return asyncio.run(MEASURES[name](folder, short))
    except Exception as error:
        tell(f"# {name}: {type(error).__name__}: {error}")
        return [Figure(f"{name}_broke", 1, 0)]


sys.exit(main())
