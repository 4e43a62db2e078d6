"""CLOSE005: the server goes away while the stream runs."""

from callpath.doctor.calls import broken_off, closings, ended_unix_ms, every, first, show_entries, told, webhook
from callpath.doctor.closings import closed_with
from callpath.doctor.edges import said
from callpath.doctor.facts import CallFacts, Facts, LogFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import ended, media
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call, hung_up
from callpath.doctor.rules.sample_edge import drained_in_call, stopped_in_call
from callpath.timeline import HandlerEnded, SocketClosed, SocketReceived, StreamStarted, StreamStopped


def call_server_stopped(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    begun = first(known, StreamStarted)
    recovered = [entry for entry, _ in told(known, "call.recovered") if begun and entry.at_unix_ms > begun.at_unix_ms]
    if recovered:
        return Finding(
            "the server was restarted while the call was up, and took it up again afterwards: in between nobody was "
            "there",
            show_entries(known, begun, *(entry for entry, _ in closings(known)[-1:]), recovered[0]),
        )
    lost = broken_off(known)
    if lost is None or lost[1].by == "peer" or lost[1].code not in {1001, 1012}:
        return None
    entry, what = lost
    if known.source == "logs" and what.by != "us":
        return None  # a foreign log does not say which side sent the code
    return Finding(
        f"our server closed the socket with {what.code} {what.reason} while the call was on".replace("  ", " "),
        show_entries(
            known,
            entry,
            *every(known, HandlerEnded)[-1:],
            webhook(known, "streaming.failed"),
            webhook(known, "call.hangup"),
        ),
        confidence="high" if what.by == "us" else "medium",
    )


def edge_deployed(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    log = facts[LogFacts]
    came_at = next((entry.at_unix_ms for entry in every(call, SocketReceived, StreamStarted)), None)
    if came_at is None:
        return None
    end = ended_unix_ms(call)
    until = end if end is not None else call.looked_at_unix_ms
    stops = [
        line
        for line in log.process
        if line.topic == "stopping" and line.at_unix_ms is not None and came_at < line.at_unix_ms < until - 500
    ]
    if not stops or (end is not None and end < (stops[0].at_unix_ms or 0)):
        return None
    stopped_at = stops[0].at_unix_ms or 0
    if any(entry.at_unix_ms > stopped_at for entry in every(call, StreamStopped)):
        return None  # the stream came to its own end: the process waited for it
    return Finding(
        f"{((stops[0].at_unix_ms or 0) - came_at) / 1000:.1f} s after the socket came the process was told to stop, "
        "and the call was still on",
        tuple(said(line) for line in stops[:3]),
        confidence="medium",
    )


CAUSE = Cause(
    code="CLOSE005",
    slug="deploy-kills-streams",
    title="A restart or reload ends running streams",
    owner="you",
    why="1001 and 1012 are what servers and proxies send when they stop or reload (a redeploy, Caddy's reload).",
    fix="Drain before stopping: Railway RAILWAY_DEPLOYMENT_DRAINING_SECONDS; Caddy stream_close_delay; catch SIGTERM "
    "and let calls end.",
    signs=(
        Sign(
            "url",
            closed_with(dict.fromkeys((1001, 1012), "it says that it is going away"), "medium"),
            named={"1001": media(ending=ended(code=1001))},
            quiet={"1000": media(ending=ended(code=1000))},
        ),
        Sign(
            "call",
            call_server_stopped,
            code="CALL080",
            title="The server was stopped or replaced in mid-call",
            why="A deployment, restart or scale-down ends the process, and with it every stream that it carries.",
            fix="Give the old process time: on Railway set RAILWAY_DEPLOYMENT_DRAINING_SECONDS (it is 0 by default), "
            "elsewhere the platform's termination grace period. Deploy when no call is on.",
            named={"1012": a_call(BOTH_WAYS, (9_000, SocketClosed(code=1012, by="us")), (20_000, hung_up()))},
            quiet={"closed in order": a_call(GOOD), "the socket is open": a_call(BOTH_WAYS)},
        ),
        Sign(
            "edge",
            edge_deployed,
            code="EDGE020",
            title="The application was stopped while the call was on",
            why="A deployment, a restart or a stop ended the process that held the socket. Railway gives it 0 seconds "
            "unless told otherwise.",
            fix="Let calls end before the process does: RAILWAY_DEPLOYMENT_DRAINING_SECONDS (or kill_timeout, "
            "terminationGracePeriodSeconds), and a server that drains.",
            named={"SIGTERM in the middle": stopped_in_call()},
            quiet={
                "the process waited for the call": drained_in_call(),
                "SIGTERM afterwards": stopped_in_call(at_ms=30_000),
            },
        ),
    ),
)
