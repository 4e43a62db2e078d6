"""The diagnosis: steps, findings, one verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from callpath.call.overview import Result
from callpath.doctor.facts import Facts, TrafficFacts
from callpath.doctor.platform import Trace
from callpath.doctor.rule import Finding, Owner, Rule

StepStatus = Literal["ok", "failed", "warning", "skipped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer that was examined. `failed` is a fact ("no connection"), not yet a cause."""

    name: str
    status: StepStatus
    duration_ms: float
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """A rule and what it said. `under` is the code of the finding that explains this one."""

    rule: Rule
    finding: Finding
    under: str = ""

    @property
    def owner(self) -> Owner:
        return self.finding.owner or self.rule.owner


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A rule that could not judge: no fact, or a crash of its own. Neither ever counts as ok."""

    rule: Rule
    reason: str
    how: str
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """One of the three usual suspects, in plain words. `guilty` None: could not be told."""

    name: str
    guilty: bool | None
    words: str


StageStatus = Literal["reached", "missing", "not yet", "unknown"]


@dataclass(frozen=True, slots=True)
class StageSeen:
    """One stage of a call. `missing` is the first one that was not reached; those behind it are `not yet`. `unknown`:
    the source does not show it."""

    name: str
    label: str
    status: StageStatus
    at_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the timeline in words. `lane` is where it happened."""

    at_unix_ms: int
    lane: Literal["Telnyx", "server", "socket", "handler", "doctor"]
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeen:
    """The call that is judged: who it was, how far it came, and what is written about it."""

    session: str
    source: str
    state: str
    looked_at_unix_ms: int
    leg: str = ""
    call_control_id: str = ""
    direction: str = ""
    began_unix_ms: int | None = None
    ended_unix_ms: int | None = None
    hangup_cause: str = ""
    hangup_source: str = ""
    result: Result | Literal[""] = ""
    """What the call came to: talked, transferred, busy, …"""
    frames_in: int = 0
    frames_out: int = 0
    stages: tuple[StageSeen, ...] = ()
    timeline: tuple[Line, ...] = ()

    @property
    def missing(self) -> StageSeen | None:
        return next((stage for stage in self.stages if stage.status == "missing"), None)


@dataclass(frozen=True, slots=True)
class Source:
    """One place that was asked about the call, and what came of it. `lines` is what it said, for the report."""

    name: str
    status: Literal["read", "failed", "not asked"]
    detail: str
    lines: tuple[str, ...] = ()


Level = Literal["audio", "listening", "silent", "inside"]
"""How much a stream that works shows: audio came back; nothing was heard, and none was expected; nothing was heard; works
from here, but a carrier cannot reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that the doctor has to say about one URL, or about one call."""

    url: str
    started_unix_ms: int
    duration_ms: float
    healthy: bool | None
    verdict: Found | None
    findings: tuple[Found, ...]
    notes: tuple[Found, ...]
    did_not_match: tuple[Rule, ...]
    not_checked: tuple[NotChecked, ...]
    steps: tuple[Step, ...]
    platform: tuple[Trace, ...]
    suspects: tuple[Suspect, ...]
    proven: tuple[str, ...]
    unproven: tuple[str, ...]
    call: CallSeen | None = None
    sources: tuple[Source, ...] = ()
    level: Level | None = None
    traffic: TrafficFacts | None = None
    unwaited: tuple[str, ...] = ()
    local: bool = False
    """A local test: the way from outside was not examined."""

    facts: Facts = field(default_factory=Facts, compare=False, repr=False)
    """What was judged."""

    @property
    def decided(self) -> bool:
        """False where the verdict is withheld, or where nothing is wrong but too little could be seen."""
        if self.verdict is not None:
            return self.verdict.finding.kind in {"fault", "outcome"}
        return self.healthy is True

    @property
    def exit_code(self) -> int:
        """0 healthy or an outcome that is no fault, 1 a cause was found, 4 could not be decided."""
        if not self.decided:
            return 4
        return 0 if self.verdict is None or self.verdict.finding.kind == "outcome" else 1
