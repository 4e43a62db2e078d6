"""CLOSE006: the application ends the stream by itself."""

from callpath.doctor.answers import show
from callpath.doctor.calls import every, show_entries, url_asked
from callpath.doctor.closings import closed_with, early, show_ending
from callpath.doctor.facts import CallFacts, Ending, Facts, Hold, IdleFacts, UpgradeFacts
from callpath.doctor.reasons import closed_by_program, show_line
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import ended, held, media, url
from callpath.doctor.rules.sample_call import CAME, GOOD, hung_up
from callpath.doctor.rules.sample_log import line, told_call
from callpath.timeline import CommandSent, SocketClosed, SocketRejected


def close_app_closes(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame":
        return None
    if ending.code in {None, 1000, 1005} or (ending.code == 1010):
        upgrade_facts = facts.get(UpgradeFacts)
        made_up = upgrade_facts.shape("made-up-sibling") if upgrade_facts is not None else None
        if made_up is not None and made_up.upgraded and not ending.reason:
            # express-ws and others accept every path and close those that no route has.
            return Finding(
                f"the server upgrades any path, a made-up one too, and closed this one in good order "
                f"({show_ending(ending)}) {ending.at_ms:.0f} ms in",
                (show_ending(ending), show(made_up)),
                kind="open",
                confidence="low",
                candidates=("url-path-mismatch", "app-closes-stream"),
                question="Has the server a route for exactly this path? Frameworks that accept before they route "
                "(express-ws) close what no route takes, and a proxy may change the path on the way.",
            )
        return Finding(
            f"the server closed in good order ({show_ending(ending)}) {ending.at_ms:.0f} ms in, after our {ending.after}",
            (show_ending(ending),),
        )
    return None


def keep_app_closes_idle(facts: Facts) -> Finding | None:
    idle = facts[IdleFacts]
    closed = [hold for hold in idle.holds if hold.ending.by == "peer" and hold.ending.kind == "close-frame"]
    if not closed or len(closed) == len(idle.holds):
        return None
    hold = closed[0]
    return Finding(
        f"the server ended the {hold.traffic} stream after {hold.held_ms / 1000:.1f} s with {show_ending(hold.ending)}",
        tuple(
            Seen(
                f"{h.traffic}: {h.ending.code or h.ending.kind} after {h.held_ms / 1000:.1f} s",
                f"the {h.traffic} stream",
            )
            for h in idle.holds
        ),
    )


HANGS_UP_MS = 5_000
"""A program that hangs up this soon after it closed the stream has ended the call on purpose."""


def log_app_closes(facts: Facts) -> Finding | None:
    closing = closed_by_program(facts)
    if closing is None:
        return None
    known, what = facts[CallFacts], closing.entry.what
    because = closing.line.because if closing.line is not None else ""
    if closing.at_once and (because in {"auth", "lookup"} or (because == "parameters" and "?" in url_asked(known))):
        return None  # causes of their own
    if isinstance(what, SocketRejected):
        return None  # socket-refused says so
    if not closing.at_once:
        at_ms = closing.entry.at_unix_ms
        hung_up = [
            e for e in every(known, CommandSent) if isinstance(e.what, CommandSent) and e.what.command == "hangup"
        ]
        if closing.line is None or any(abs(e.at_unix_ms - at_ms) <= HANGS_UP_MS for e in hung_up):
            return None
    code = what.code if isinstance(what, SocketClosed) else None
    words = f": {closing.line.text}" if closing.line is not None else f" with {code}" if code else ""
    return Finding(
        f"the program itself closed the stream{words}",
        (*((show_line(closing.line),) if closing.line is not None else ()), *show_entries(known, closing.entry)),
        confidence="high" if closing.line is not None and closing.line.closes else "medium",
        fix="" if closing.line is None else "Fix what that line names; Telnyx and the way to the program are in order.",
    )


CAUSE = Cause(
    code="CLOSE006",
    slug="app-closes-stream",
    title="The application closes the stream while the call goes on",
    owner="you",
    why="The handler returns or calls close(): after the first reply, at a mark, when the AI's socket ends, or "
    "because a frame was not what it waited for. The call stays up, silent.",
    fix='Keep the socket open until the carrier\'s stop frame; log every place that closes it: grep -rn "close(" '
    "shows them.",
    signs=(
        Sign(
            "url",
            close_app_closes,
            named={"1000 after start": media(ending=ended(code=1000))},
            quiet={"1000 after our stop": media(ending=ended(code=1000, after="stop"))},
        ),
        Sign(
            "call",
            log_app_closes,
            code="LOG003",
            named={
                "the program says why": told_call(
                    CAME,
                    (1_200, SocketClosed(code=1000)),
                    (20_000, hung_up()),
                    complaints=(line(1_150, "agent config failed to load, closing the socket", closes=True),),
                ),
                "a code of its own, without a word": told_call(
                    CAME, (1_200, SocketClosed(code=4500)), (20_000, hung_up())
                ),
            },
            quiet={"closed at the call's end": told_call(GOOD)},
        ),
        Sign(
            "url",
            closed_with({1013: "try again later"}),
            code="CLOSE008",
            title="The server accepts no more streams",
            why="1013 says overload or a limit of connections.",
            fix="Raise the limit or add instances.",
            named={"1013": media(ending=ended(code=1013))},
            quiet={"1000": media(ending=ended(code=1000))},
        ),
        Sign(
            "url",
            keep_app_closes_idle,
            code="KEEP003",
            title="The application closes quiet streams",
            why="A close frame comes from a WebSocket endpoint, not from a proxy's timer: the application has a "
            "timer of its own.",
            fix="Let the timer count pings, or make it longer than the longest silence of a call.",
            named={
                "closed for silence": Facts(
                    url(),
                    IdleFacts(
                        wanted_ms=9000,
                        holds=(
                            Hold(
                                traffic="silent", ending=Ending(by="peer", kind="close-frame", code=1000), held_ms=3000
                            ),
                            Hold(traffic="media", ending=Ending(by="us", kind="close-frame"), held_ms=9000),
                        ),
                    ),
                )
            },
            quiet={"cut by a proxy": held(10, silent=4.0, media=None)},
        ),
    ),
)
