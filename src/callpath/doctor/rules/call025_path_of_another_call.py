"""CALL025: an upgrade came at the time of this call under an id that this server does not know."""

from __future__ import annotations

from urllib.parse import unquote

from callpath.doctor.calls import EARLY_END_MS, clock, every, no_socket, until_unix_ms
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, call, refusals
from callpath.timeline import FirstInbound, StreamStarted


def check(facts: Facts) -> Finding | None:
    known, refusals_seen = facts[CallFacts], facts[RefusalFacts]
    if every(known, StreamStarted, FirstInbound) or not known.entries:
        return None
    begin = known.entries[0].at_unix_ms
    rows = [
        row
        for row in refusals_seen.latest
        if row.what == "upgrade"
        and row.reason not in ("no_such_path", "no_upgrade")
        and begin <= row.at_unix_ms <= until_unix_ms(known) + EARLY_END_MS
    ]
    leg = known.state.leg
    ids = {str(known.session): "its own call_session_id"}
    if leg is not None:
        ids |= {str(leg.leg_id): "its call_leg_id", str(leg.call_control_id): "its call_control_id"}
    for row in rows:
        path = unquote(row.path or "")
        named = next((words for value, words in ids.items() if value and value in path), None)
        if named is not None:
            own = named.startswith("its own")
            return Finding(
                f"an upgrade for this call came {clock(known, row.at_unix_ms)} into it and was refused ({row.reason}): the "
                f"path named {named}",
                (f"{row.path}: {row.detail}",),
                fix="The socket came before the webhook was stored here, or to a process with another call log: let all "
                "processes use one DATABASE_URL."
                if own
                else "",
            )
    if not rows or no_socket(known) is None:
        return None
    return Finding(
        f"{len(rows)} upgrades for calls that this server does not know came while this call waited for its socket",
        tuple(f"{row.path} from {row.client}: {row.detail}" for row in rows[:4]),
        kind="open",
        candidates=("session-lookup-fails", "wrong-instance"),
        question="Are these this call's? Compare the path with the stream URL that was sent.",
    )


RULE = Rule(
    code="CALL025",
    slug="session-lookup-fails",
    title="The socket came with an id that this server does not know",
    layer="routing",
    owner="you",
    why="The server finds the call by the call_session_id in the path. Another id of the same call (leg, "
    "call_control_id), or "
    "a process that has not stored the call's webhooks, leads to 404.",
    fix="Put the call_session_id into the path of stream_url.",
    check=check,
    examples=(
        Example(
            "the leg's id",
            Facts(call(ACCEPTED), refusals("unknown_session", what="upgrade", path="/api/calls/leg-1/audio")),
            fires=True,
        ),
        Example("no upgrade was refused", Facts(call(ACCEPTED), refusals("stale")), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
