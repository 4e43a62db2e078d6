"""CALL059: the program's own connection to an AI, or to another service, failed while the call was on."""

import re

from callpath.doctor.calls import ended_unix_ms, every, first, show_entries, until_unix_ms, webhook
from callpath.doctor.edges import said
from callpath.doctor.facts import CallFacts, FactMissing, Facts, LogFacts, ToldFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_edge import logged
from callpath.timeline import FirstInbound, FirstOutbound, SocketReceived, StreamStarted

START_MS = 5_000
"""Such a session is opened with the call. One that breaks later broke a call that may have worked."""

SILENT_MS = 5_000
"""A program that works has played something by then."""

_REFUSED = re.compile(
    r"(?<![\d,.:])(?:401|402|403|404|429)(?!\d)|unauthori[sz]ed|invalid[ _-]?api[ _-]?key|incorrect api key|"
    r"insufficient[ _]quota|"
    r"quota|rate limit|forbidden|permission denied|model.{0,20}(?:not found|does not exist)",
    re.IGNORECASE,
)
"""An answer that the same request will get again."""


def check(facts: Facts) -> Finding | None:
    known, log = facts[CallFacts], facts.get(LogFacts)
    if log is None:
        raise FactMissing(LogFacts)
    came = first(known, SocketReceived, StreamStarted, FirstInbound)
    if came is None or every(known, FirstOutbound):
        return None
    begin, end = known.entries[0].at_unix_ms, min(came.at_unix_ms + START_MS, until_unix_ms(known))
    failed = [
        line
        for line in log.process
        if line.topic == "provider failed" and line.at_unix_ms is not None and begin <= line.at_unix_ms <= end
    ]
    if not failed:
        return None
    told = facts.get(ToldFacts)
    ended = ended_unix_ms(known)
    over = ended is not None and ended - came.at_unix_ms >= SILENT_MS
    refused = [line for line in failed if _REFUSED.search(line.text)]
    if refused and over and told is not None and known.shows("media.first_inbound"):
        return Finding(
            f"the program's own connection to another service was refused, and nothing was played to the caller: "
            f"{refused[0].text[:160]}",
            (*(said(line) for line in refused[:3]), *show_entries(known, came, webhook(known, "call.hangup"))),
            confidence="medium",
            fix="Fix that connection: its key, its quota, its address, the model's name. The line above says what "
            "was answered.",
        )
    return Finding(
        "the carrier's socket is in order; the program's own connection to another service failed, and no line shows "
        "audio to the caller",
        (*show_entries(known, came), *(said(line) for line in failed[:4])),
        kind="open",
        question="Did the caller hear anything? If not, fix that connection first: its key, its quota, its address, "
        "the model's name. The line above says what was answered.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL059",
    slug="ai-side-not-ready",
    title="The stream works, and the program's own AI connection failed",
    owner="you",
    why="Telnyx reached the program. What the caller should hear comes from another service, over a connection that "
    "the program opens itself, and the log tells of its failure.",
    fix="Fix the connection to that service. Until then say something that needs nobody else: a greeting from a file.",
    named={"refused at the AI": logged("provider failed: OpenAI realtime websocket handshake failed (401)")},
    quiet={
        "it spoke all the same": logged("provider failed: deepgram closed", spoke=True),
        "nothing of the kind": logged("listening: on port 8080"),
    },
)
