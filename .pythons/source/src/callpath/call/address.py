"""The addresses of a call server, and how it signs its answers. Routes, commands and the doctor all read them here."""

from __future__ import annotations

from urllib.parse import urlsplit

from callpath.wire.ids import SessionId, path_segment

WEBHOOK_PATH = "/api/calls/webhook"
AUDIO_PATH = "/api/calls/{call_session_id}/audio"
AUDIO_PATH_WITH_TOKEN = AUDIO_PATH + "/{token}"
"""For streams asked for within `answer`, which takes no token, and for carriers whose header gets lost."""

ANSWERED_BY_HEADER = "x-callpath"
"""On every answer of a callpath server, refusals too: it tells "callpath said this" from "a proxy said this"."""

GOES_ON_HEADER = "x-callpath-next-upstream"
"""Set by a balancer that asks another node where one answers with the status that is the header's value: 503."""

MARK_AUTHENTICATED = "callpath.mark_authenticated"
"""Where in the ASGI scope's extensions a route finds what to call once a connection has shown a token or a signature."""


def webhook_url(public_url: str) -> str:
    """What to enter as webhook URL in the Call Control application."""
    return public_url.rstrip("/") + WEBHOOK_PATH


def audio_url(public_url: str, session: SessionId, path_token: str | None = None) -> str:
    """Where Telnyx opens the audio WebSocket of one call.

    Built from the public URL only: a request behind a TLS proxy says http and a host that only the proxy knows.
    """
    parts = urlsplit(public_url.rstrip("/"))
    scheme = {"https": "wss", "http": "ws"}[parts.scheme]
    path = AUDIO_PATH.format(call_session_id=path_segment(session))
    if path_token is not None:
        path += "/" + path_segment(path_token)
    return f"{scheme}://{parts.netloc}{parts.path}{path}"
