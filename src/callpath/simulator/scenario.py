"""Calls written down in a YAML file: what the callers do, what goes wrong on the way, and what must come of it.

`read_scenario` reads one and names each slip with its line; `run_scenario` plays it on a `Simulator`.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from callpath.audio.pcm import Pcm
from callpath.clock import Clock, SystemClock
from callpath.errors import AudioError, ConfigError
from callpath.simulator.callee import Callee, parse_callee
from callpath.simulator.caller import SAMPLE_RATE_HZ, Caller, CallFailed
from callpath.simulator.figures import Expectation, Figures, figures_of, parse_duration_ms, parse_expectation, together
from callpath.simulator.link import Fault, make_fault, parse_fault
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.simulator.speech import load_speech
from callpath.simulator.verdict import nothing_dialled
from callpath.wire.document import Json

Outcome = Literal["ok", "unreachable", "failed", "silent", "missed", "inconclusive"]
"""How a call or a run ended: `failed` is a stage or a step that was not reached, `missed` an expectation that did not
hold, `inconclusive` one that did not hold while this machine was late itself."""

WORST: tuple[Outcome, ...] = ("ok", "inconclusive", "missed", "silent", "failed", "unreachable")
"""From the best to the worst: a run is as good as its worst call."""

LATE_MS_MAX = 60.0
"""A simulator that was later than three packets measures itself, not the program."""

CALLS_MAX = 1_000
STREAM_MS_MAX = 10_000
"""How long a call waits for its stream before its first step."""

DIALLED_MS_MAX = 60_000
"""How long an outbound call waits to be dialled."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the caller does. `value` is a text or a path for say, keys for press, ms for what waits."""

    kind: str
    value: Any = None
    after_ms: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call of a scenario."""

    name: str
    from_: str = "+15555550123"
    to: str = "+15555550199"
    outbound: bool = False
    start_after_ms: float = 0.0
    faults: tuple[Fault, ...] = ()
    say: Pcm | None = None
    """What the caller says as soon as the stream is open, while the first steps are taken. 8 kHz."""
    steps: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...] = ()
    stream_within_ms: float = STREAM_MS_MAX
    dialled_within_ms: float = DIALLED_MS_MAX
    expect_audio: bool = False
    may_fail: bool = False
    """A stage that is not reached is told, but is no failure: for faults after which no call can go on."""
    callee: Callee = field(default_factory=Callee)
    """For an outbound call: what the dialled party does before the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Several calls and what is expected of them together."""

    name: str
    calls: tuple[CallPlan, ...]
    webhook: str | None = None
    seed: int = 0
    expect: tuple[Expectation, ...] = ()
    options: CarrierOptions = field(default_factory=CarrierOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """How one call went. `sentences` say what was wrong, if anything."""

    name: str
    outcome: Outcome
    sentences: tuple[str, ...]
    figures: Figures
    report: Json
    caller: Caller | None
    code: str = ""
    """Of the verdict: the same for calls that failed for the same reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run went. `sentences` are about all calls together."""

    name: str
    outcome: Outcome
    sentences: tuple[str, ...]
    calls: tuple[CallResult, ...]
    figures: Figures
    seed: int = 0


# --- playing ----------------------------------------------------------------------------------------------------------


async def run_scenario(
    scenario: Scenario,
    telnyx: Simulator,
    *,
    clock: Clock | None = None,
    on_call: Callable[[CallResult], None] = lambda _: None,
) -> Result:
    """Place the calls of `scenario` on a running simulator, at their times, and judge them. `on_call`: one is over.

    Raises ConfigError where the simulator has no webhook URL.
    """
    clock = clock or SystemClock()
    results: dict[int, CallResult] = {}
    dialled = asyncio.Lock()  # whoever dials next gets the callee that waits, so these wait in turn

    async def play(number: int, plan: CallPlan) -> None:
        await clock.sleep_ms(plan.start_after_ms)
        if plan.outbound:
            async with dialled:
                results[number] = await play_call(plan, telnyx)
        else:
            results[number] = await play_call(plan, telnyx)
        on_call(results[number])

    try:
        async with asyncio.TaskGroup() as tasks:
            for number, plan in enumerate(scenario.calls):
                tasks.create_task(play(number, plan), name=plan.name)
    except* ConfigError as group:
        raise group.exceptions[0] from None
    calls = tuple(results[number] for number in sorted(results))
    return judge(scenario.name, calls, scenario.expect, seed=scenario.seed)


async def _stream_or_menu(caller: Caller, within_ms: float) -> None:
    """Wait for the stream; a menu that Telnyx itself speaks has none, and is not asked for one."""
    try:
        await caller.stream_started(within_ms)
    except CallFailed:
        if not caller.served_by_telnyx:
            raise


async def play_call(plan: CallPlan, telnyx: Simulator) -> CallResult:
    """Place one call, take its steps, hang up, and judge it. Raises ConfigError without a webhook URL."""
    caller: Caller | None = None
    step_failed: str | None = None
    known = len(telnyx.requests)
    try:
        if plan.outbound:
            telnyx.callee = plan.callee
            if await _is_refused(plan, telnyx, known):
                return CallResult(
                    name=plan.name,
                    outcome="ok",
                    sentences=(TURNED_AWAY["sentence"],),
                    figures={},
                    report={},
                    caller=None,
                    code=TURNED_AWAY["code"],
                )
            caller = await telnyx.next_dialled(plan.dialled_within_ms)
        else:
            caller = await telnyx.call(plan.from_, plan.to, say=plan.say, faults=plan.faults)
        if plan.outbound and plan.callee.turns_away:
            await caller.until(lambda: caller.call.state == "ended", plan.stream_within_ms)
        else:
            await _stream_or_menu(caller, plan.stream_within_ms)
            for step in plan.steps if caller.call.state != "ended" or not caller.served_by_telnyx else ():
                await _take(step, caller)
    except CallFailed as error:
        step_failed = str(error)
    if caller is None:
        none = nothing_dialled(list(telnyx.requests)[known:], plan.dialled_within_ms)
        return CallResult(
            name=plan.name,
            outcome=none.outcome,
            sentences=(none.sentence,),
            figures={},
            report={},
            caller=None,
            code=none.code,
        )
    await caller.hang_up()
    with suppress(CallFailed):
        await caller.ended()
    # The ear's work takes tens of milliseconds, in which no packet of another call may wait.
    report = await asyncio.to_thread(caller.report, expect_audio=plan.expect_audio)
    if plan.outbound and plan.callee.turns_away:
        report |= {"failure": None, "verdict": report["verdict"] | TURNED_AWAY}
    elif step_failed is not None and report["failure"] is None:
        report["failure"] = step_failed
        report["verdict"] |= {"code": "step-failed", "outcome": "failed", "sentence": step_failed}
    verdict, figures = report["verdict"], figures_of(report)
    sentences = [] if verdict["outcome"] == "ok" else [verdict["sentence"]]
    outcome: Outcome = "ok" if plan.may_fail else verdict["outcome"]
    missed = [sentence for holds, sentence in (one.check(figures) for one in plan.expect) if not holds]
    if missed and outcome == "ok":
        outcome = "missed"
        if figures["late_ms"][0] > LATE_MS_MAX:
            outcome = "inconclusive"
            missed.append(late_sentence(figures["late_ms"][0]))
    return CallResult(
        name=plan.name,
        outcome=outcome,
        sentences=(*sentences, *missed),
        figures=figures,
        report=report,
        caller=caller,
        code=verdict["code"],
    )


def refused_dials(telnyx: Simulator, known: int = 0) -> int:
    """How many dials the API refused, after the first `known` requests that it turned away."""
    return sum(seen.name == "dial" for seen in list(telnyx.requests)[known:])


async def _is_refused(plan: CallPlan, telnyx: Simulator, known: int) -> bool:
    """Wait until the API has refused a dial, where the plan asks for that. False: it does not, or none came."""
    if plan.callee.refused is None:
        return False
    clock = SystemClock()
    until_ms = clock.now_ms() + plan.dialled_within_ms
    while not refused_dials(telnyx, known) and clock.now_ms() < until_ms:
        await clock.sleep_ms(LOOK_EVERY_MS)
    return refused_dials(telnyx, known) > 0


LOOK_EVERY_MS = 20.0
"""How often a refused dial is looked for."""

TURNED_AWAY: Json = {
    "code": "turned-away-as-asked",
    "outcome": "ok",
    "sentence": "The program dialled, and was turned away as asked for.",
}


def judge(
    name: str,
    calls: Sequence[CallResult],
    expect: Sequence[Expectation],
    *,
    seed: int = 0,
    late_ms_max: float = LATE_MS_MAX,
    late_ms: float | None = None,
) -> Result:
    """The verdict over several calls.

    `late_ms` is the simulator's own lateness where it knows it better than its calls do; then it is inconclusive above
    `late_ms_max` whatever was measured, since the load that was promised was not sent.
    """
    figures = together(call.figures for call in calls)
    failed = sum(call.outcome in ("failed", "unreachable", "silent") for call in calls)
    figures |= {"calls": [float(len(calls))], "failed_calls": [float(failed)]}
    missed = [sentence for holds, sentence in (one.check(figures) for one in expect) if not holds]
    outcomes: list[Outcome] = [call.outcome for call in calls]
    own_ms = max(figures["late_ms"], default=0.0) if late_ms is None else late_ms
    late = own_ms > late_ms_max
    if late and (missed or late_ms is not None):
        outcomes = ["inconclusive"]
        missed.append(late_sentence(own_ms, "at worst" if late_ms is None else "in one tick of a hundred"))
    elif missed:
        outcomes.append("missed")
    outcome: Outcome = max(outcomes, key=WORST.index, default="ok")
    return Result(name=name, outcome=outcome, sentences=tuple(missed), calls=tuple(calls), figures=figures, seed=seed)


def late_sentence(late_ms: float, how: str = "at worst") -> str:
    """Why nobody else is blamed."""
    return f"inconclusive: the load generator itself was late, by {late_ms:.0f} ms {how}; use a quieter machine"


async def _take(step: Step, caller: Caller) -> None:
    match step.kind:
        case "say":
            caller.say(step.value, SAMPLE_RATE_HZ)
            await caller.spoken()
        case "barge_in":
            await caller.barge_in(step.value, after_ms=step.after_ms)
        case "press":
            await caller.press(step.value)
        case "wait_for_speech":
            await caller.wait_for_speech(step.value)
        case "wait_for_speech_end":
            await caller.wait_for_speech_end(step.value)
        case "listen":
            await caller.listen(step.value)
        case "hang_up":
            await caller.hang_up()
        case _:
            raise AssertionError(f"no step {step.kind}")


# --- reading ----------------------------------------------------------------------------------------------------------


_WAITS = {"wait_for_speech": 10_000.0, "wait_for_speech_end": 30_000.0, "listen": 1_000.0}
"""Steps that wait, and how long when nothing is said."""

_STEPS = ("say", "barge_in", "press", "hang_up", *_WAITS)
_CALL_KEYS = (
    "name",
    "from",
    "to",
    "direction",
    "start_after",
    "repeat",
    "faults",
    "steps",
    "expect",
    "expect_audio",
    "may_fail",
    "stream_within",
    "rings",
    "rejects",
    "callee",
    "never_answers",
)
_KEYS = ("name", "webhook", "seed", "faults", "account", "calls", "steps", "expect")


def read_scenario(path: Path | str) -> Scenario:
    """A scenario from its file; WAVs that it names lie beside it. Raises ConfigError, with the line of the slip."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"cannot be read: {error}", "Give a YAML file in UTF-8") from None
    return parse_scenario(text, name=Path(path).name, folder=Path(path).parent)


def parse_scenario(text: str, *, name: str = "scenario", folder: Path = Path()) -> Scenario:
    """A scenario from its text. Raises ConfigError, with the line of the slip."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"{name}:{line}", f"is no YAML: {problem}", "Check indents, quotes and colons") from None
    except yaml.YAMLError as error:
        raise ConfigError(name, f"is no YAML: {error}", "Save it as plain UTF-8 text") from None
    return _Reader(name, folder, loader).scenario(root)


class _Reader:
    """Reads YAML nodes rather than values, since only they know their lines."""

    def __init__(self, file: str, folder: Path, loader: yaml.SafeLoader) -> None:
        self._file = file
        self._folder = folder
        self._loader = loader

    def scenario(self, root: yaml.Node | None) -> Scenario:
        if root is None:
            raise ConfigError(self._file, "is empty", "It needs at least: steps: [listen: 5s]")
        keys = self._mapping(root, "the scenario", _KEYS)
        if ("calls" in keys) == ("steps" in keys):
            raise self._wrong(
                root, "calls", "or steps must be there, and not both", "Write calls: with a list of calls"
            )
        shared = self._faults(keys.get("faults"))
        calls: list[CallPlan] = []
        if "steps" in keys:
            calls.append(CallPlan(name="call 1", faults=shared, steps=self._steps(keys["steps"])))
        else:
            for node in self._list(keys["calls"], "calls"):
                calls += self._calls(node, shared, len(calls) + 1)
        if not 1 <= len(calls) <= CALLS_MAX:
            raise self._wrong(keys["calls"], "calls", f"are {len(calls)}", f"1 to {CALLS_MAX} can be placed")
        webhook = self._text(keys["webhook"], "webhook") if "webhook" in keys else None
        if webhook is not None and not webhook.startswith(("http://", "https://")):
            raise self._wrong(keys["webhook"], "webhook", f"is {webhook!r}", "It is a URL: http://127.0.0.1:6000/hook")
        return Scenario(
            name=self._text(keys["name"], "name") if "name" in keys else self._file,
            calls=tuple(calls),
            webhook=webhook,
            seed=self._number(keys["seed"], "seed", 0, 2**63) if "seed" in keys else 0,
            expect=self._expectations(keys.get("expect"), total=True),
            options=self._account(keys["account"]) if "account" in keys else CarrierOptions(),
        )

    def _calls(self, node: yaml.Node, shared: tuple[Fault, ...], number: int) -> list[CallPlan]:
        keys = self._mapping(node, "a call", _CALL_KEYS)
        direction = self._text(keys["direction"], "direction") if "direction" in keys else "inbound"
        if direction not in ("inbound", "outbound"):
            raise self._wrong(keys["direction"], "direction", f"is {direction!r}", "It is inbound or outbound")
        outbound = direction == "outbound"
        for key in ("rings", "rejects", "never_answers", "callee"):
            if key in keys and not outbound:
                raise self._wrong(keys[key], key, "is for outbound calls", "Add direction: outbound")
        rejects = self._text(keys["rejects"], "rejects") if "rejects" in keys else None
        if rejects not in (None, "user_busy", "call_rejected"):
            raise self._wrong(keys["rejects"], "rejects", f"is {rejects!r}", "It is user_busy or call_rejected")
        repeat = self._number(keys["repeat"], "repeat", 1, CALLS_MAX) if "repeat" in keys else 1
        faults = shared + self._faults(keys.get("faults"))
        name = self._text(keys["name"], "name") if "name" in keys else "call"
        plan: dict[str, Any] = {
            "outbound": outbound,
            "start_after_ms": self._duration(keys["start_after"], "start_after") if "start_after" in keys else 0.0,
            "faults": faults,
            "steps": self._steps(keys["steps"]) if "steps" in keys else (Step("listen", 1_000.0),),
            "expect": self._expectations(keys.get("expect"), total=False),
            "expect_audio": self._flag(keys["expect_audio"], "expect_audio") if "expect_audio" in keys else False,
            "may_fail": self._flag(keys["may_fail"], "may_fail") if "may_fail" in keys else False,
            "callee": self._callee(keys, rejects, faults),
        }
        if "stream_within" in keys:
            plan["stream_within_ms"] = self._duration(keys["stream_within"], "stream_within")
        for key, field_name in (("from", "from_"), ("to", "to")):
            if key in keys:
                plan[field_name] = self._text(keys[key], key)
        return [
            CallPlan(name=f"{name} {number + n}" if repeat > 1 or "name" not in keys else name, **plan)
            for n in range(repeat)
        ]

    def _callee(self, keys: dict[str, yaml.Node], rejects: str | None, faults: tuple[Fault, ...]) -> Callee:
        """The party that is dialled: a script by name, or what `rings`, `rejects` and `never_answers` say."""
        script = Callee()
        if "callee" in keys:
            for key in ("rejects", "never_answers"):
                if key in keys:
                    raise self._wrong(
                        keys[key], key, "does not go with callee", "Write callee: busy, or callee: no-answer"
                    )
            try:
                script = parse_callee(self._text(keys["callee"], "callee"))
            except ConfigError as error:
                raise self._wrong(keys["callee"], "callee", error.problem, error.hint) from None
        return replace(
            script,
            rings_ms=self._duration(keys["rings"], "rings") if "rings" in keys else script.rings_ms,
            rejects=rejects or script.rejects,  # type: ignore[arg-type]  # one of the two, as checked
            never_answers=self._flag(keys["never_answers"], "never_answers")
            if "never_answers" in keys
            else script.never_answers,
            faults=faults,
        )

    def _steps(self, node: yaml.Node) -> tuple[Step, ...]:
        return tuple(self._step(one) for one in self._list(node, "steps"))

    def _step(self, node: yaml.Node) -> Step:
        if isinstance(node, yaml.ScalarNode):
            kind, value = self._text(node, "steps"), None
            self._known(node, kind, _STEPS, "a step")
        else:
            keys = self._mapping(node, "a step", _STEPS)
            if len(keys) != 1:
                raise self._wrong(node, "steps", "has several things in one step", "Put a dash before each")
            ((kind, value),) = keys.items()
        if kind in _WAITS:
            return Step(kind, _WAITS[kind] if value is None else self._duration(value, kind))
        if kind == "hang_up":
            return Step(kind)
        if value is None:
            raise self._wrong(node, kind, "says nothing", f"Write {kind}: and what, for example {kind}: hello.wav")
        if kind == "press":
            digits = self._text(value, kind)
            if not digits or set(digits) - set("0123456789ABCD*#"):
                raise self._wrong(value, kind, f"is {digits!r}", 'Keys are 0 to 9, A to D, * and #, in quotes: "12#"')
            return Step(kind, digits)
        after_ms = 300.0
        if kind == "barge_in" and isinstance(value, yaml.MappingNode):
            parts = self._mapping(value, "barge_in", ("say", "after"))
            if "say" not in parts:
                raise self._wrong(value, "barge_in", "has nothing to say", "Add say: and a text or a WAV")
            after_ms = self._duration(parts["after"], "after") if "after" in parts else after_ms
            value = parts["say"]
        return Step(kind, self._speech(value, kind), after_ms)

    def _speech(self, node: yaml.Node, key: str) -> Any:
        """Loaded here: a missing file is named before any call, and espeak-ng does not run in the middle of one."""
        text = self._text(node, key)
        try:
            if text.lower().endswith(".wav"):
                return load_speech(self._folder / text, None, SAMPLE_RATE_HZ)
            return load_speech(text, None, SAMPLE_RATE_HZ)
        except AudioError as error:
            raise self._wrong(node, key, f"cannot be said: {error}", "Give a WAV, or a text") from None

    def _faults(self, node: yaml.Node | None) -> tuple[Fault, ...]:
        if node is None:
            return ()
        return tuple(self._fault(one) for one in self._list(node, "faults"))

    def _fault(self, node: yaml.Node) -> Fault:
        try:
            value = self._value(node)
            if isinstance(value, str):
                return parse_fault(value)
            if isinstance(value, dict) and len(value) == 1:
                ((name, given),) = value.items()
                if isinstance(given, dict):
                    return make_fault(str(name), given)
                return parse_fault(str(name) if given is None else f"{name}={given}")
        except ConfigError as error:
            raise self._wrong(node, "faults", error.problem, error.hint) from None
        raise self._wrong(node, "faults", "is no fault", "Right are chunks_lost=0.1 or stalls: {for_ms: 500}")

    def _expectations(self, node: yaml.Node | None, *, total: bool) -> tuple[Expectation, ...]:
        if node is None:
            return ()
        expectations = []
        for one in self._list(node, "expect"):
            try:
                expectations.append(parse_expectation(self._text(one, "expect"), total=total))
            except ConfigError as error:
                if error.setting != "expect":
                    raise
                raise self._wrong(one, "expect", error.problem, error.hint) from None
        return tuple(expectations)

    def _account(self, node: yaml.Node) -> CarrierOptions:
        keys = self._mapping(node, "account", [one.name for one in fields(CarrierOptions)])
        for key, value in keys.items():
            try:
                msgspec.convert({key: self._value(value)}, CarrierOptions)
            except msgspec.ValidationError as error:
                raise self._wrong(value, key, str(error).partition(" - at")[0], "See CarrierOptions") from None
        return msgspec.convert({key: self._value(value) for key, value in keys.items()}, CarrierOptions)

    # --- nodes ---

    def _mapping(self, node: yaml.Node, what: str, known: Sequence[str]) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, what, "is no mapping", f"Keys are {', '.join(known)}")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(self._value(key_node))
            self._known(key_node, key, known, what)
            if key in found:
                raise self._wrong(key_node, key, "stands there twice", "Keep one")
            found[key] = value
        return found

    def _known(self, node: yaml.Node, key: str, known: Sequence[str], what: str) -> None:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}"
            raise self._wrong(node, key, f"is not a key of {what}" if what != "a step" else "is no step", hint)

    def _list(self, node: yaml.Node, key: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(node, key, "is no list", f"Write {key}: and below it lines that begin with a dash")
        return list(node.value)

    def _text(self, node: yaml.Node, key: str) -> str:
        # As it is written: 0123 and +15555550123 are texts here, though YAML takes them for numbers.
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, key, "is no text", f"Write {key}: and a text")
        return str(node.value)

    def _duration(self, node: yaml.Node, key: str) -> float:
        try:
            return parse_duration_ms(self._text(node, key), key)
        except ConfigError as error:
            raise self._wrong(node, key, error.problem, error.hint) from None

    def _number(self, node: yaml.Node, key: str, low: int, high: int) -> int:
        value = self._value(node)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(node, key, f"is {value!r}", f"It is a whole number from {low} to {high}")
        return value

    def _flag(self, node: yaml.Node, key: str) -> bool:
        value = self._value(node)
        if not isinstance(value, bool):
            raise self._wrong(node, key, f"is {value!r}", "It is true or false")
        return value

    def _value(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except yaml.YAMLError as error:
            raise self._wrong(node, "value", f"cannot be read: {error}", "Put it in quotes") from None

    def _wrong(self, node: yaml.Node, key: str, problem: str, hint: str) -> ConfigError:
        return ConfigError(f"{self._file}:{node.start_mark.line + 1}: {key}", problem, hint)
