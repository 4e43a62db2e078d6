"""CLOSE001: the stream opens, and the application does not know the call."""

import re
from urllib.parse import unquote

from callpath.doctor.answers import show
from callpath.doctor.calls import EARLY_END_MS, clock, every, no_socket, show_entries, until_unix_ms
from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts, UrlFacts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.reasons import closed_by_program, show_line
from callpath.doctor.rule import OWN_WORD, Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, ended, media, upgrade
from callpath.doctor.rules.sample_call import ACCEPTED, CAME, GOOD, call, hung_up, refusals
from callpath.doctor.rules.sample_log import line, told_call
from callpath.timeline import FirstInbound, SocketClosed, StreamStarted

_WORDS = re.compile(r"session|call|not found|unknown|no such|stream|\bid\b|expired", re.IGNORECASE)


def close_lookup(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame" or ending.code is None:
        return None
    spoken = bool(_WORDS.search(ending.reason))
    looks_up = ending.code in {4004, 4040, 4041, 4044, 4400, 4404} or (
        ending.code == 1008 and (spoken or not ending.reason)
    )
    if not looks_up and not (4000 <= ending.code <= 4999 and spoken):
        return None
    query = facts[UrlFacts].query
    named = (spoken or ending.code >= 4000) and not query
    other = "url-query-string-lost" if query else "ws-auth-required-401"
    return Finding(
        f"the application was reached, accepted, and closed with {show_ending(ending)}: it does not know this call",
        (f"path asked for: {facts[UrlFacts].path}", show_ending(ending)),
        kind="limited" if named else "open",
        confidence="medium" if spoken else "low",
        candidates=("session-lookup-fails",) if named else ("session-lookup-fails", other),
        question="Does it also close for the id of a call that is running now? A made-up id is rightly refused. Run "
        "again with the stream_url of a real call while it is up; if that closes too, the handler looks ids up in "
        "another id space.",
    )


def call_path_of_another_call(facts: Facts) -> Finding | None:
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
                f"an upgrade for this call came {clock(known, row.at_unix_ms)} into it and was refused "
                f"({row.reason}): the path named {named}",
                (f"{row.path}: {row.detail}",),
                fix="The socket came before the webhook was stored here, or to a process with another call log: let "
                "all processes use one DATABASE_URL."
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


def log_lookup(facts: Facts) -> Finding | None:
    closing = closed_by_program(facts)
    if closing is None or closing.line is None or closing.line.because != "lookup" or not closing.at_once:
        return None
    return Finding(
        f"the program did not find this call and closed its socket: {closing.line.text}",
        (show_line(closing.line), *show_entries(facts[CallFacts], closing.entry)),
        confidence="high" if closing.line.closes else "medium",
    )


def callpath_unknown_call(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, "unknown_session", "call_ended", "token_expired", "second_socket")
    if word is None:
        return None
    return Finding(
        f"the callpath server itself answered {word.exchange.status} {word.reason}: {word.detail}",
        (show(word.exchange),),
        certain=OWN_WORD,
        kind="limited",
        question="Nothing is wrong on the way to the server. Probe it with …/api/calls/test-connection/audio, which "
        "it always knows; and for a real call that failed read its timeline: callpath calls show ID.",
    )


def said(reason: str, status: int) -> Facts:
    return upgrade(answer(status, f'{{"error":"{reason}","detail":"told"}}', X_Callpath="0.1.0"))


CAUSE = Cause(
    code="CLOSE001",
    slug="session-lookup-fails",
    title="The application does not know the call of this URL",
    owner="you",
    why="The handler looks the id up and finds nothing: it stores another of the ids (call_control_id, "
    "call_session_id, its own), stores it too late, or the id in this URL is simply not a running call.",
    fix="Use one id for both sides, store it before streaming_start is sent, and log the id that was looked up.",
    signs=(
        Sign(
            "url",
            close_lookup,
            named={"unknown session": media(ending=ended(code=1008, reason="unknown session"))},
            quiet={"a crash": media(ending=ended(code=1011))},
        ),
        Sign(
            "call",
            log_lookup,
            code="LOG004",
            title="The program did not know the call when its socket came",
            named={
                "it says so": told_call(
                    CAME,
                    (1_200, SocketClosed(code=4404)),
                    (20_000, hung_up()),
                    complaints=(line(1_150, "no call state for v3:a, closing", because="lookup", closes=True),),
                )
            },
            quiet={"closed at the call's end": told_call(GOOD)},
        ),
        Sign(
            "call",
            call_path_of_another_call,
            code="CALL025",
            title="The socket came with an id that this server does not know",
            why="The server finds the call by the call_session_id in the path. Another id of the same call (leg, "
            "call_control_id), or a process that has not stored the call's webhooks, leads to 404.",
            fix="Put the call_session_id into the path of stream_url.",
            named={
                "the leg's id": Facts(
                    call(ACCEPTED), refusals("unknown_session", what="upgrade", path="/api/calls/leg-1/audio")
                )
            },
            quiet={"no upgrade was refused": Facts(call(ACCEPTED), refusals("stale"))},
        ),
        Sign(
            "url",
            callpath_unknown_call,
            code="CALLPATH001",
            title="The callpath server was reached; it does not wait for this call",
            why="A callpath server lets a socket in only for a call that it knows from its webhooks, that is not "
            "over, and that has no living socket yet. A made-up id is rightly refused.",
            fix="Use the id test-connection to probe. If it is the id of a real call, its webhooks went to another "
            "server or another call log: compare DATABASE_URL and PUBLIC_URL of both.",
            named={
                "an id that nobody knows": said("unknown_session", 404),
                "a call that is over": said("call_ended", 410),
                "a token of an hour ago": said("token_expired", 410),
            },
            quiet={"another server's 404": upgrade(answer(404, '{"error":"unknown_session"}'))},
        ),
    ),
)
