"""CALL087: Telnyx stopped the stream in order, and the call went on without it."""

from callpath.doctor.calls import show_entries, stopped_early, waited_ms, webhook
from callpath.doctor.facts import CallFacts, Facts, TelnyxCallFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, STOPPED, a_call, counted, hung_up, sent


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    stop = stopped_early(known)
    if stop is None:
        return None
    told_by_telnyx = facts.get(TelnyxCallFacts)
    commands = [row.name for row in (told_by_telnyx.events if told_by_telnyx else None) or () if row.type == "command"]
    if "streaming_stop" in commands:
        return Finding(
            "Telnyx got a streaming_stop for this call, and this server sent none",
            (*show_entries(known, stop), f"commands that Telnyx got: {', '.join(commands)}"),
            title="Another program stopped the stream",
            owner="you",
        )
    fork = webhook(known, "call.fork.started")
    lived_s = waited_ms(known, stop) / 1000
    if fork is not None:
        return Finding(
            "a fork of the call's audio was started, which replaces the stream; the call went on for "
            f"{lived_s:.1f} s without",
            show_entries(known, fork, stop, webhook(known, "call.hangup")),
            title="Another program's fork_start took the stream away",
            fix="Do not use fork_start on a call that streams.",
        )
    return Finding(
        f"Telnyx ended the stream with a stop frame, and the call went on for {lived_s:.1f} s without it; no command "
        "of ours asked for that",
        show_entries(known, stop, webhook(known, "streaming.stopped"), webhook(known, "call.hangup")),
        kind="open",
        candidates=("streaming-stop-by-another-program", "fork-started", "streaming-limit-at-telnyx"),
        question="Who sent streaming_stop (or fork_start) for this call? Telnyx's call events list every command: set "
        "TELNYX_API_KEY and leave out --offline, or look in its portal.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL087",
    slug="stream-stopped-in-midcall",
    title="The stream was stopped while the call went on",
    owner="unclear",
    why="streaming_stop ends the stream and not the call; so does a fork. The caller hears nothing from then on.",
    fix="Let one program alone command the call; ask for the stream again when it is needed.",
    named={"20 s without it": a_call(BOTH_WAYS, (9_000, counted()), STOPPED, (30_000, hung_up()))},
    quiet={
        "we asked for it": a_call(BOTH_WAYS, (9_000, sent("streaming_stop")), STOPPED, (30_000, hung_up())),
        "at the call's end": a_call(GOOD),
    },
)
