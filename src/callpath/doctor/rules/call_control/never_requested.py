"""CALL015: the call was answered, and Telnyx was never asked for the stream."""

import re
from typing import cast

from callpath.doctor.calls import (
    COMMAND_MS,
    accepted,
    asked,
    event_of,
    every,
    first,
    overdue,
    show_entries,
    waited_ms,
    webhook,
    webhooks,
)
from callpath.doctor.facts import CallFacts, FactMissing, Facts, ToldFacts
from callpath.doctor.reasons import last_words, show_line
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, ASKED, a_call, hung_up
from callpath.timeline import FirstInbound, HandlerFailed, SocketReceived, StreamStarted, WebhookReceived

_BY_TELNYX = re.compile(
    r"call\.(?:speak|playback|gather|dtmf|recording|transcription|machine|bridged|enqueued|conversation|refer)\b"
)
"""Events of calls that need no stream of ours."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    answered_at = webhook(known, "call.answered")
    if answered_at is None or asked(known) is not None or accepted(known) is not None:
        return None
    if every(known, SocketReceived, StreamStarted, FirstInbound) or webhook(
        known, "streaming.started", "streaming.failed"
    ):
        return None
    log = facts.get(ToldFacts)
    since = answered_at.at_unix_ms
    words = last_words(facts, since, since + COMMAND_MS)
    if not (known.shows("stream.starting") or known.shows("command.sent") or words):
        raise FactMissing(CallFacts)
    if not overdue(known, answered_at, COMMAND_MS):
        return None
    failed = first(known, HandlerFailed)
    if log is not None and log.replies:
        return Finding(
            "the program put its commands into the answer to the webhook, where Telnyx reads none: no request for the "
            "stream was sent",
            (show_line(log.replies[0]), *show_entries(known, answered_at, webhook(known, "call.hangup"))),
            fix="Send the command to Telnyx's API: POST /v2/calls/{call_control_id}/actions/streaming_start. The "
            "answer to a webhook is only 200.",
        )
    by_telnyx = [entry for entry in webhooks(known) if _BY_TELNYX.match(event_of(cast(WebhookReceived, entry.what)))]
    if known.source == "logs" and by_telnyx:
        return Finding(
            "the call was answered and served by Telnyx itself (speak, playback, gather, …), and no line asks for a "
            "stream",
            show_entries(known, answered_at, *by_telnyx[:2], webhook(known, "call.hangup")),
            kind="open",
            question="Is the program meant to stream audio on this call? If not, nothing is wrong. If it is, "
            "streaming_start was never sent.",
        )
    return Finding(
        f"call.answered came, and no streaming_start followed in {waited_ms(known, answered_at) / 1000:.1f} s; no "
        "stream_url stood in answer or dial either" + (f"; {words[0]}" if words else ""),
        (*words, *show_entries(known, answered_at, failed, webhook(known, "call.hangup"))),
        owner="callpath" if known.source == "timeline" else "you",
        fix="The server stopped between the webhook and the command, or another process shares its call log. Look at "
        "its log at this second."
        if known.source == "timeline"
        else "",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL015",
    slug="streaming-start-never-sent",
    title="Telnyx was never asked for the stream",
    owner="you",
    why="Telnyx opens an audio WebSocket only when it is asked to: by streaming_start, or by a stream_url in answer "
    "or dial. An exception that is swallowed, a branch that is not taken, or an event name that is compared wrongly "
    "leaves it out.",
    fix="On call.answered POST /v2/calls/{call_control_id}/actions/streaming_start with stream_url, "
    "stream_bidirectional_mode rtp and stream_bidirectional_target_legs self.",
    named={"answered, then nothing": a_call(ANSWERED, (20_000, hung_up()))},
    quiet={"asked for": a_call(ASKED), "hung up at once": a_call(ANSWERED, (600, hung_up()))},
    unchecked={"logs that show neither command nor marker": a_call(ANSWERED, shown=frozenset({"webhook.received"}))},
)
