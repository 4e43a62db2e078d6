"""The ids of a phone call, so that one is never passed where another is meant.

All come from Telnyx and are opaque. A session holds one or more legs; a leg has one call_control_id.
"""

from __future__ import annotations

from typing import NewType
from urllib.parse import quote

SessionId = NewType("SessionId", str)
"""`call_session_id`, a UUID: all legs of one phone call. Our timelines and audio URLs are keyed by it."""

LegId = NewType("LegId", str)
"""`call_leg_id`, a UUID: one party's side of the call."""

CallControlId = NewType("CallControlId", str)
"""`call_control_id`, opaque, "v3:…" today: what commands are addressed to."""

StreamId = NewType("StreamId", str)
"""`stream_id`: one media WebSocket."""


def path_segment(identifier: str) -> str:
    """Percent-encode an id for use in a URL path.

    A raw "v3:ab+/=" breaks routers and decoders (seen in the field as 404 and error 90015), so every
    reserved character is encoded.
    """
    return quote(identifier, safe="")
