"""How a WebSocket ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a WebSocket ended. `by` is "us" where we closed as planned and the peer had said nothing.

    `after` names the last thing we had sent: connected, start, media, mark, clear, stop, nothing.
    """

    by: Literal["us", "peer", "nobody"]
    kind: Literal["close-frame", "eof", "reset", "protocol-error", "open"]
    code: int | None = None
    reason: str = ""
    at_ms: float = 0.0
    after: str = ""
    error: str = ""
