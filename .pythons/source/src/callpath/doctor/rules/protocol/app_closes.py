"""CLOSE006: the application ends the stream by itself."""

from __future__ import annotations

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Ending, Facts, Hold, IdleFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import ended, held, media, nothing, url


def close_app_closes(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame":
        return None
    if ending.code in {None, 1000, 1005} or (ending.code == 1010):
        return Finding(
            f"the server closed in good order ({show_ending(ending)}) {ending.at_ms:.0f} ms in, after our {ending.after}",
            (show_ending(ending),),
        )
    return None


def close_try_later(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.code != 1013:
        return None
    return Finding(f"the server closed with {show_ending(ending)}: try again later", (show_ending(ending),))


def keep_app_closes_idle(facts: Facts) -> Finding | None:
    idle = facts[IdleFacts]
    closed = [hold for hold in idle.holds if hold.ending.by == "peer" and hold.ending.kind == "close-frame"]
    if not closed or len(closed) == len(idle.holds):
        return None
    hold = closed[0]
    return Finding(
        f"the server ended the {hold.traffic} stream after {hold.held_ms / 1000:.1f} s with {show_ending(hold.ending)}",
        tuple(f"{h.traffic}: {h.ending.code or h.ending.kind} after {h.held_ms / 1000:.1f} s" for h in idle.holds),
    )


CAUSE = Cause(
    code="CLOSE006",
    slug="app-closes-stream",
    title="The application closes the stream while the call goes on",
    layer="protocol",
    owner="you",
    why="The handler returns or calls close(): after the first reply, at a mark, when the AI's socket ends, or because a "
    "frame was not what it waited for. The call stays up, silent.",
    fix="Keep the socket open until the carrier's stop frame; log every place that closes it.",
    signs=(
        Sign(
            "url",
            close_app_closes,
            examples=(
                Example("1000 after start", media(ending=ended(code=1000)), fires=True),
                Example("1000 after our stop", media(ending=ended(code=1000, after="stop")), fires=False),
                Example("no stream was opened", nothing(), fires=None),
            ),
        ),
        Sign(
            "url",
            close_try_later,
            code="CLOSE008",
            title="The server accepts no more streams",
            why="1013 says overload or a limit of connections.",
            fix="Raise the limit or add instances.",
            examples=(
                Example("1013", media(ending=ended(code=1013)), fires=True),
                Example("1000", media(ending=ended(code=1000)), fires=False),
                Example("no stream was opened", nothing(), fires=None),
            ),
        ),
        Sign(
            "url",
            keep_app_closes_idle,
            code="KEEP003",
            title="The application closes quiet streams",
            why="A close frame comes from a WebSocket endpoint, not from a proxy's timer: the application has a "
            "timer of its own.",
            fix="Let the timer count pings, or make it longer than the longest silence of a call.",
            examples=(
                Example(
                    "closed for silence",
                    Facts(
                        url(),
                        IdleFacts(
                            wanted_ms=9000,
                            holds=(
                                Hold(
                                    traffic="silent",
                                    ending=Ending(by="peer", kind="close-frame", code=1000),
                                    held_ms=3000,
                                ),
                                Hold(traffic="media", ending=Ending(by="us", kind="close-frame"), held_ms=9000),
                            ),
                        ),
                    ),
                    fires=True,
                ),
                Example("cut by a proxy", held(10, silent=4.0, media=None), fires=False),
                Example("not held", nothing(), fires=None),
            ),
        ),
    ),
)
