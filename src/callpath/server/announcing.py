"""The handler of calls that are dialled to say or play one thing: over HTTP, from the command line, from the dashboard.

With answering machine detection a machine hears it after its beep, or when its greeting is over; a fax is hung up.
"""

from __future__ import annotations

from callpath.api.app import Route
from callpath.api.call import Call
from callpath.call.dials import ANNOUNCE, ANNOUNCEMENT, SOUNDS

DETECTED_S_MAX = 4.0
"""How long a person who said hello hears nothing, while Telnyx decides whether it is one."""

BEEP_S_MAX = 40.0
"""How long a greeting may last. What is said into one that goes on is cut off at its end."""


async def announce(call: Call) -> None:
    """Say or play what the order names; then the call is hung up."""
    order = call.variables.get(ANNOUNCEMENT) or {}
    if order.get("detect"):
        found = await call.detected(within_s=DETECTED_S_MAX) or ""
        if found.startswith("fax"):
            call.note("A fax answered: nothing is said")
            return
        if found == "machine":
            await call.beep(within_s=BEEP_S_MAX)
    if order.get("file"):
        await call.play(call.facts.data_dir / SOUNDS / str(order["file"]))
    elif order.get("url"):
        await call.playback(str(order["url"]))
    else:
        await call.speak(str(order.get("say", "")))


ROUTE = Route(announce, ANNOUNCE)
