"""A token for each call's audio socket, so that nobody else can open it.

It is derived, not stored: any node that has the secret can check it, also after a restart. How long it is good the call
itself tells: while it is up, and its stream has been asked for or alive within TOKEN_MS_MAX.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from callpath.wire.ids import SessionId

TOKEN_MS_MAX = 15 * 60_000
"""Telnyx connects at once after streaming_start, and again at once after a break; and no line rings for longer."""


class CallTokens:
    """Makes and checks the tokens of one server."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"callpath audio token 1\0" + secret.encode()).digest()

    def of(self, session: SessionId) -> str:
        """The token of one call: 43 characters that are safe in headers and paths."""
        digest = hmac.digest(self._key, session.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def fits(self, session: SessionId, shown: str) -> bool:
        """Whether `shown` is the token of this call; takes equally long for any wrong one."""
        return hmac.compare_digest(self.of(session).encode(), shown.encode())
