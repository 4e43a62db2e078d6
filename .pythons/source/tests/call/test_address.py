"""The two URLs of a call server."""

from __future__ import annotations

import pytest

from callpath.call.address import AUDIO_PATH, audio_url, webhook_url
from callpath.wire.ids import SessionId


@pytest.mark.parametrize(
    ("public_url", "url"),
    [
        ("https://calls.example.com", "wss://calls.example.com/api/calls/s-1/audio"),
        ("https://calls.example.com/", "wss://calls.example.com/api/calls/s-1/audio"),
        ("https://example.com:8443/voice", "wss://example.com:8443/voice/api/calls/s-1/audio"),
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/api/calls/s-1/audio"),
    ],
)
def test_the_audio_url(public_url: str, url: str) -> None:
    """wss for https, no doubled slash, the port and prefix of the public URL kept."""
    assert audio_url(public_url, SessionId("s-1")) == url


def test_ids_are_encoded() -> None:
    """A raw "v3:ab+/=" in a path is another path."""
    assert audio_url("https://h", SessionId("v3:a+/=")) == "wss://h/api/calls/v3%3Aa%2B%2F%3D/audio"


def test_the_urls_are_the_ones_promised() -> None:
    """They stand in applications that Telnyx calls; they never change."""
    assert webhook_url("https://h/") == "https://h/api/calls/webhook"
    assert AUDIO_PATH == "/api/calls/{call_session_id}/audio"
