"""Mutation score: how many small faults in a module its own test file finds. `make mutate`, outside CI.

    python -m tests.mutate                       all modules, one line each
    python -m tests.mutate playout --survivors   one of them, with each fault that no test found

cosmic-ray makes the faults: a number one off, a comparison or an operator replaced, a condition negated, `and` for `or`.
Each is tried in a process of its own, forked from one that has imported the libraries already. The module's source is
exchanged as it is imported; no file is written.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]

LIMIT = 85.0
"""Percent of the faults that a module's test file must find."""

MODULES: dict[str, str] = {
    "wire/signature": "wire/test_signature",
    "wire/media": "wire/test_media",
    "call/session": "call/test_session",
    "call/leg": "call/test_leg",
    "call/playout": "call/test_playout",
    "call/watchdog": "call/test_watchdog",
    "audio/jitter": "audio/test_jitter",
    "call/keys": "call/test_keys",
    "call/policies": "call/test_policies",
    "call/ending": "call/test_ending",
    "call/recorder": "call/test_recorder",
    "server/application": "server/test_application",
    "server/calls": "server/test_calls",
    "server/journal": "server/test_journal",
    "server/live": "server/test_live",
    "server/outbox": "server/test_outbox",
    "server/ownership": "server/test_ownership",
    "server/recovery": "server/test_recovery",
    "server/supervisor": "server/test_supervisor",
    "api/playing": "api/test_playing",
    "api/playback": "api/test_playback",
    "api/queue": "api/test_queue",
    "api/recording": "api/test_recording",
    "api/sounds": "api/test_sounds",
    "api/file_threads": "api/test_file_threads",
}
"""Where a fault is heard, or leaves a call alone; and the test file that has to find it."""

BINARY = "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul BitAnd_BitOr BitXor_BitAnd LShift_RShift RShift_LShift"
COMPARISONS = "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is"
OPERATORS = (
    *(f"core/ReplaceBinaryOperator_{name}" for name in BINARY.split()),
    *(f"core/ReplaceComparisonOperator_{name}" for name in COMPARISONS.split()),
    *("core/ReplaceUnaryOperator_USub_UAdd", "core/ReplaceUnaryOperator_Delete_Not", "core/AddNot"),
    *("core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue", "core/ReplaceAndWithOr", "core/ReplaceOrWithAnd"),
    *(
        "core/ReplaceBreakWithContinue",
        "core/ReplaceContinueWithBreak",
        "core/NumberReplacer",
        "core/ZeroIterationForLoop",
    ),
)
"""Of each kind of fault one or two. `|` is left alone: it stands in types, which nobody runs."""

WITHOUT_EFFECT = re.compile(r"@dataclass|frozen=True|TYPE_CHECKING|^\s*(from|import)\b")
"""Lines whose faults change nothing that a test could see. (Nor does a `*` among parameters that becomes a `/`.)"""

TIMEOUT_S_MIN, TIMEOUT_RUNS = 20.0, 5.0
"""A fault that makes a loop endless is found, too: after this many times what the tests take without a fault, and at least
after the minimum. It is measured at each start, since a busy machine is no fault."""


@dataclass(frozen=True)
class Fault:
    line: str
    source: str


@dataclass(frozen=True)
class Score:
    module: str
    killed: int
    survivors: list[str]
    seconds: float

    @property
    def total(self) -> int:
        return self.killed + len(self.survivors)

    @property
    def percent(self) -> float:
        return 100.0 * self.killed / max(1, self.total)

    @property
    def good(self) -> bool:
        return self.percent >= LIMIT

    def __str__(self) -> str:
        verdict = "ok" if self.good else "FAIL"
        found = f"{self.killed}/{self.total}"
        return (
            f"{self.module:<22} {found:>9} {self.percent:6.1f} %  limit {LIMIT:.0f} % {verdict}  ({self.seconds:.0f} s)"
        )


def faults_of(path: Path) -> Iterator[Fault]:
    """All faults in a file, each by itself."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    original = path.read_text()
    seen = {original}
    for name in OPERATORS:
        operator = get_operator(name)()
        occurrence = 0
        while (changed := mutate_code(original, operator, occurrence)) is not None:
            occurrence += 1
            lines = list(difflib.unified_diff(original.splitlines(), changed.splitlines(), lineterm="", n=0))
            at = next((line for line in lines if line.startswith("@@")), "")
            before = next((line[1:] for line in lines[2:] if line.startswith("-")), "")
            after = next((line[1:] for line in lines[2:] if line.startswith("+")), "")
            if changed in seen or WITHOUT_EFFECT.search(before) or before.replace("*,", "/,", 1) == after:
                continue
            seen.add(changed)
            number = at.removeprefix("@@ -").partition(" ")[0].partition(",")[0]
            yield Fault(f"{number}: {before.strip()}  ->  {after.strip()}", changed)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a source that is on no disk."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType | None:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Exchanges one module where it is imported."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        loader = _Loader(name, str(self._path), self._source)
        return importlib.util.spec_from_file_location(name, self._path, loader=loader)


def preload() -> None:
    """What a child need not import again. Nothing of callpath: it would have the module without its fault."""
    import httpx2  # noqa: F401
    import hypothesis  # noqa: F401
    import msgspec  # noqa: F401
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import starlette.applications  # noqa: F401
    import structlog  # noqa: F401
    import uvicorn  # noqa: F401

    for plugin in importlib.metadata.entry_points(group="pytest11"):
        if not plugin.value.startswith("callpath"):
            plugin.load()
    gc.collect()
    gc.freeze()  # a child that collects garbage need not look at all of this
    assert not [name for name in sys.modules if name.startswith("callpath")]


def start(module: str, source: str) -> int:
    """Run the module's tests on `source` in a child. Returns its process id; it exits with 0 if all tests pass."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        import pytest

        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        path = ROOT / "src" / "callpath" / f"{module}.py"
        sys.meta_path.insert(0, _Finder(f"callpath.{module.replace('/', '.')}", path, source))
        tests = str(ROOT / "tests" / f"{MODULES[module]}.py")
        options = [
            "-x",
            "-q",
            "-p",
            "no:callpath",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:unraisableexception",  # its warnings are ignored below, and it collects garbage after each run
            "-p",
            "no:threadexception",
            "--hypothesis-seed=0",
            "-W",
            "ignore",
            "--assert=plain",
        ]
        code = int(pytest.main([tests, *options, f"--basetemp=/tmp/callpath-mutate-{os.getpid()}", "-m", "not e2e"]))
    finally:
        os._exit(code)


def score(module: str, processes: int, every: int) -> Score:
    """Try each fault of a module, a few at a time; with `every` 10, each tenth."""
    began_s = time.monotonic()
    path = ROOT / "src" / "callpath" / f"{module}.py"
    if finish(start(module, path.read_text())) != 0:
        raise SystemExit(f"{module}: its tests fail without a fault")
    timeout_s = max(TIMEOUT_S_MIN, TIMEOUT_RUNS * (time.monotonic() - began_s))
    running: dict[int, tuple[Fault, float]] = {}
    killed, survivors = 0, list[str]()
    left = iter([fault for number, fault in enumerate(faults_of(path)) if number % every == 0])
    fault = next(left, None)
    while fault is not None or running:
        while fault is not None and len(running) < processes:
            running[start(module, fault.source)] = fault, time.monotonic()
            fault = next(left, None)
        for pid, (tried, started_s) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() - started_s > timeout_s:
                os.killpg(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, 0)
            if ended:
                del running[pid]
                if status == 0:
                    survivors.append(tried.line)
                else:
                    killed += 1
        select.select([], [], [], 0.005)
    return Score(module, killed, survivors, time.monotonic() - began_s)


def finish(pid: int) -> int:
    """Wait for a child; its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="parts of names of modules; all if there are none")
    parser.add_argument("--survivors", action="store_true", help="print each fault that no test found")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="try each N-th fault only")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    sys.dont_write_bytecode = True
    preload()
    scores = []
    for module in MODULES:
        if given.names and not any(name in module for name in given.names):
            continue
        scores.append(score(module, given.processes, given.every))
        print(scores[-1], flush=True)
        if given.survivors:
            print("\n".join(f"  {line}" for line in scores[-1].survivors), flush=True)
    return 0 if all(one.good for one in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
