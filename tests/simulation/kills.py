"""A process that is killed at each step of a transfer and of a consult: `python -m tests.simulation --kills 200`.

Nothing else goes wrong in these lives, so that what breaks is the kill's doing. The moments are spread evenly from just
before the first command to the time when the two talk to each other.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.simulation.life import Plan, live
from tests.simulation.world import Weather

HANDLERS = ("tries to transfer", "consults")

FIRST_MS, LAST_MS = 3_200.0, 9_400.0
"""The handler is entered after 0.3 s, begins 3 s later, and the two are joined and their streams stopped within 6 s."""


def plan_of(handler: str, number: int, of: int) -> Plan:
    """The life of one kill. Of two nodes either dies; every fourth phone is busy."""
    at_ms = FIRST_MS + (LAST_MS - FIRST_MS) * number / max(1, of - 1)
    weather = Weather(answers_transfer=number % 4 != 3, answer_ms=60.0, webhook_late_ms=60.0)
    plan = Plan(number, handler, weather, happenings=[(at_ms, "restart")])
    return replace(
        plan, nodes=1 + number % 2, caller_hangs_up_ms=120_000.0, after_ms=3_000.0, must_join=weather.answers_transfer
    )


def killed(handler: str, kills: int, *, step: int = 1) -> list[str]:
    """Kill a process at each `step`th of so many moments. One line for each promise that a life broke."""
    return [
        f"{handler}, kill {number} of {kills}: {what}"
        for number in range(0, kills, step)
        for what in asyncio.run(live(plan_of(handler, number, kills)))
    ]


def tell(kills: int) -> int:
    """Print the figures. How many promises were broken."""
    failed = 0
    for handler in HANDLERS:
        broken = killed(handler, kills)
        doubled = sum("double dial" in line for line in broken)
        print("\n".join(broken), end="\n" if broken else "")
        print(f"{handler}: {kills} kills, {doubled} double dials, {len(broken) - doubled} callers lost", flush=True)
        failed += len(broken)
    return failed
