"""A life of one call, drawn from a seed: its weather, its handler, and what happens to it when."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callpath.api.app import App
from callpath.api.call import Call
from callpath.errors import CallpathError
from callpath.timeline import describe, kind_of
from tests.simulation.checks import Checks
from tests.simulation.world import Weather, World

LIFE_MS = 240_000.0
"""Length of a life. What goes wrong does so in the first minute; then the promises must come true."""

BAD_MS = 60_000.0

SIMULATION_S_MAX = 600.0
"""Maximum real time of a life, which takes a fifth of a second on an idle machine: only one that hangs takes longer."""

HANDLERS = (
    "listens",
    "returns",
    "raises",
    "leaks",
    "exits",
    "transfers",
    "speaks",
    "plays and returns",
    "hangs up",
    "swallows cancellation",
    "plays in the background",
    "waits for a mark",
    "announces",
)


@dataclass
class Plan:
    """What was drawn."""

    seed: int
    handler: str
    weather: Weather
    nodes: int = 1
    record: bool = False
    happenings: list[tuple[float, str]] = field(default_factory=list)
    caller_hangs_up_ms: float = 0.0
    """0: the caller stays on the line for ever."""
    must_join: bool = False
    """One phone is called, and the caller is connected to it: nothing else can have happened."""
    after_ms: float | None = None
    """When the handler does what it is to do; None: drawn."""


@dataclass
class Bot:
    """The application of one life, and what it noticed."""

    kind: str
    resumed: list[bool] = field(default_factory=list)
    running: int = 0
    most: int = 0
    waiting: set[str] = field(default_factory=set)
    """What its background tasks wait for at the moment."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    after_ms: float = 3_000.0
    outcomes: list[str] = field(default_factory=list)
    """What came of its transfers."""
    in_transfer_since_ms: float | None = None
    """Since when it waits for the outcome of one."""

    def app(self, world: Callable[[], World]) -> App:
        """The application."""
        app = App()

        @app.call
        async def handle(call: Call) -> None:
            self.resumed.append(call.facts.resumed)
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await self._act(call, world())
            finally:
                self.running -= 1

        @app.call(name="brief")
        async def brief(call: Call) -> None:
            await world().clock.sleep_ms(2_000.0)
            assert call.consultation is not None
            await call.consultation.accept()

        return app

    async def _act(self, call: Call, world: World) -> None:
        clock = world.clock
        match self.kind:
            case "returns":
                await clock.sleep_ms(self.after_ms)
            case "raises":
                await clock.sleep_ms(self.after_ms)
                raise ValueError("a fault of the bot")
            case "leaks":
                await clock.sleep_ms(self.after_ms)
                helper = asyncio.get_running_loop().create_task(asyncio.Event().wait())
                helper.cancel()
                await helper
            case "exits":
                await clock.sleep_ms(self.after_ms)
                raise SystemExit(1)
            case "transfers":
                await clock.sleep_ms(self.after_ms)
                await call.transfer("+15555550177")
            case "tries to transfer":
                await clock.sleep_ms(self.after_ms)
                self.in_transfer_since_ms = clock.now_ms()
                try:
                    outcome = await call.transfer("+15555550177", ring_s=20)
                finally:
                    self.in_transfer_since_ms = None
                self.outcomes.append(outcome.status)
                if not outcome:
                    await self._listen(call)
            case "consults":
                await clock.sleep_ms(self.after_ms)
                self.in_transfer_since_ms = clock.now_ms()
                try:
                    asked = await call.consult("+15555550177", handler="brief", ring_s=20, decide_s=20)
                finally:
                    self.in_transfer_since_ms = None
                self.outcomes.append(asked.status)
                if not asked:
                    await self._listen(call)
            case "speaks":
                await call.speak("Thank you for calling, and good bye. " * 3, wait=False)
            case "plays and returns":
                await call.play(bytes(16_000))
            case "hangs up":
                await clock.sleep_ms(self.after_ms)
                try:
                    await call.hangup()
                except CallpathError:
                    await self._listen(call)
            case "swallows cancellation":
                try:
                    await self._listen(call)
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await clock.sleep_ms(2_000.0)
            case "plays in the background":
                self._start(self._waits("play", call.play(bytes(16_000 * 600))))
                await self._listen(call)
            case "waits for a mark":
                await call.play(bytes(160_000))
                await call.mark("end")
                self._start(self._waits("events", _all(call.events)))
                await self._listen(call)
            case "announces":
                await call.play(bytes(16_000 * 20))
                await self._echo(call)
            case _:
                await self._listen(call)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """As many bots do: a task that belongs to nobody."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _waits(self, name: str, work: Awaitable[object]) -> None:
        self.waiting.add(name)
        try:
            await work
        finally:
            self.waiting.discard(name)

    async def _listen(self, call: Call) -> None:
        async for _ in call.audio:
            pass

    async def _echo(self, call: Call) -> None:
        async for chunk in call.audio:
            await call.play(chunk)


async def _all(events: object) -> None:
    async for _ in events:  # type: ignore[attr-defined]
        pass


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(seed)

    def sometimes(share: float) -> bool:
        return rng.random() < share

    weather = Weather(
        until_ms=BAD_MS,
        webhook_lost=rng.choice([0.0, 0.0, 0.1]),
        webhook_doubled=rng.choice([0.0, 0.3]),
        webhook_late_ms=rng.choice([0.0, 0.0, 300.0, 4_000.0]),
        refused={name: rng.randint(1, 3) for name in ("hangup", "streaming_start", "transfer") if sometimes(0.2)},
        failing={name: rng.randint(1, 60) for name in ("hangup", "answer", "streaming_start") if sometimes(0.1)},
        lost_answers={name: 1 for name in ("hangup", "transfer", "speak", "answer") if sometimes(0.15)},
        answer_ms=rng.choice([10.0, 30.0, 300.0]),
        reply_ms=rng.choice([0.0, 0.0, 200.0]),
        reconnects=sometimes(0.6),
        reconnect_after_ms=rng.choice([200.0, 2_000.0, 9_900.0, 10_050.0, 12_000.0, 20_000.0]),
        tells_failed=sometimes(0.7),
        socket_late_ms=rng.choice([50.0, 500.0, 7_000.0, 8_100.0]),
        never_connects=rng.choice([0, 0, 0, 1, 3]),
        answers_transfer=sometimes(0.7),
        tells_speak_ended=sometimes(0.8),
    )
    nodes = rng.choice([1, 1, 2, 2])
    if sometimes(0.2 * nodes):
        since = rng.uniform(0, 40_000)
        weather.log_down.append((since, since + rng.choice([500.0, 5_000.0, 20_000.0, 20_000.0])))
    if sometimes(0.15):
        since = rng.uniform(0, 40_000)
        weather.log_slow.append((since, since + 20_000.0))
    plan = Plan(seed, rng.choice(HANDLERS), weather, nodes=nodes, record=sometimes(0.2))
    kinds = ["lose socket"] * 4 + ["silence socket", "restart", "lose write", "disk full"]
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        plan.happenings.append((rng.uniform(500, BAD_MS - 10_000), rng.choice(kinds)))
    plan.happenings.sort()
    plan.caller_hangs_up_ms = rng.choice([0.0, 0.0, 20_000.0, 90_000.0])
    if plan.handler == "transfers" and sometimes(0.6):  # drawn last, so that the other seeds' lives stay what they are
        plan.handler = "tries to transfer"
    elif plan.handler in ("raises", "leaks") and sometimes(0.6):
        plan.handler = "consults"
        weather.refused |= {name: rng.randint(1, 3) for name in ("dial", "bridge") if sometimes(0.15)}
        weather.lost_answers |= {name: 1 for name in ("dial", "bridge") if sometimes(0.2)}
        weather.failing |= {name: rng.randint(1, 6) for name in ("dial", "bridge") if sometimes(0.1)}
    return plan


async def live(plan: Plan, *, show: bool = False) -> list[str]:
    """Live it. What was promised and not kept. `show` prints the timeline."""
    rng = random.Random(plan.seed + 1)
    drawn_ms = rng.choice([0.0, 500.0, 3_000.0, 15_000.0])
    bot = Bot(plan.handler, after_ms=drawn_ms if plan.after_ms is None else plan.after_ms)
    worlds: list[World] = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(rng, bot.app(lambda: worlds[0]), plan.weather, Path(folder), nodes=plan.nodes)
        worlds.append(world)
        world.record = plan.record
        checks = Checks(world, bot, plan)

        async def happen() -> None:
            world.telnyx.tell("call.initiated", direction="incoming", state="parked")
            began_ms = world.clock.now_ms()
            for at_ms, kind in plan.happenings:
                await world.clock.sleep_ms(began_ms + at_ms - world.clock.now_ms())
                await _happen(world, kind)
            if plan.caller_hangs_up_ms:
                await world.clock.sleep_ms(began_ms + plan.caller_hangs_up_ms - world.clock.now_ms())
                world.telnyx.end("caller")

        try:
            async with asyncio.timeout(SIMULATION_S_MAX):
                await world.run(happen, checks.look, checks.before_the_stop, LIFE_MS)
        except TimeoutError:
            checks.found.append("the simulation did not end")
        checks.at_the_end()
        if show:
            for entry in world.log.entries:
                since_s = (entry.at_unix_ms - world.log.entries[0].at_unix_ms) / 1000
                print(f"{since_s:9.3f}  {kind_of(entry.what):20} {describe(entry.what)}")
    return checks.found


async def _happen(world: World, kind: str) -> None:
    telnyx = world.telnyx
    match kind:
        case "lose socket":
            telnyx.lose_socket()
        case "silence socket":
            silent = telnyx.socket
            if silent is not None:
                silent.silence()
                world.later(3_000.0, lambda: telnyx.open_another(silent))
        case "restart":
            node = world.pick_node()
            if node is not None:
                await world.restart(node, world.rng.choice([100.0, 3_000.0, 20_000.0]))
        case "lose write":
            world.lost_writes += 3
        case "disk full":
            recordings = world.data_dir / "recordings"
            if not recordings.exists():
                recordings.write_text("in the way of the folder")
