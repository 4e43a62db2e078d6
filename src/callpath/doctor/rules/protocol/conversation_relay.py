"""RELAY001: the program speaks Conversation Relay, which carries text, where Telnyx streams audio."""

import re

from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import media

_FRAMES = (
    ("text", "token"),
    ("play", "source"),
    ("sendDigits", "digits"),
    ("language", "ttsLanguage"),
    ("language", "transcriptionLanguage"),
)
"""What a program sends on such a socket: `type` names the frame, and none has an `event`. (Telnyx's guide, 2026-08)"""


def check(facts: Facts) -> Finding | None:
    frames = [arrival for arrival in facts[MediaFacts].arrivals if is_relay_frame(arrival)]
    if not frames:
        return None
    return Finding(
        f"{len(frames)} of {len(facts[MediaFacts].arrivals)} messages are frames of a Conversation Relay, which carry text",
        tuple(Seen(f"at {arrival.at_ms:.0f} ms: {arrival.head[:100]!r}", "message") for arrival in frames[:3]),
    )


def is_relay_frame(arrival: Arrival) -> bool:
    """A frame that only a Conversation Relay takes."""
    if arrival.kind != "text" or arrival.event is not None:
        return False
    head = arrival.head
    return any(re.search(rf'"type"\s*:\s*"{kind}"', head) and re.search(rf'"{key}"\s*:', head) for kind, key in _FRAMES)


def _says(head: str) -> Arrival:
    return Arrival(20.0, "text", len(head), head, fault="wrong_shape")


CAUSE = Cause.of(
    "url",
    check,
    code="RELAY001",
    slug="conversation-relay-not-media",
    title="A Conversation Relay program is no media stream endpoint",
    owner="you",
    why="On a Conversation Relay, Telnyx listens and speaks itself: the socket carries JSON texts with a `type`, and no "
    "audio. On a media stream it sends frames with an `event`, which such a program does not know; its texts are not "
    "played.",
    fix="Start the relay instead of a stream: POST /v2/calls/{call_control_id}/actions/conversation_relay_start with "
    '{"url": "wss://HOST/PATH"}, and leave stream_url out of answer and dial. For audio, serve media frames at this URL.',
    named={
        "it speaks": media(_says('{"type":"text","token":"Hello, how can I help?","last":true}')),
        "it presses keys": media(_says('{"type":"sendDigits","digits":"12"}')),
    },
    quiet={
        "a media frame": media(Arrival(20.0, "text", 300, "", "media", b"\xff" * 160)),
        "an AI service's event": media(_says('{"type":"session.created","event_id":"e1"}')),
        "a text of its own": media(_says('{"type":"text","text":"hello"}')),
    },
)
