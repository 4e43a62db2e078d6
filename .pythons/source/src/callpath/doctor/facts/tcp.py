"""Which addresses took a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TcpOutcome = Literal["open", "refused", "timeout", "reset", "unreachable", "denied", "error"]


@dataclass(frozen=True, slots=True)
class TcpAttempt:
    address: str
    port: int
    outcome: TcpOutcome
    ms: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpFacts:
    """One attempt an address, and, where none was open, the same addresses on the scheme's own port.

    `no_route` lists addresses of a family that this machine cannot reach at all: no evidence about the server.
    """

    attempts: tuple[TcpAttempt, ...]
    usual_port: tuple[TcpAttempt, ...] = ()
    usual_port_speaks_tls: bool = False
    no_route: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[TcpAttempt, ...]:
        return tuple(attempt for attempt in self.attempts if attempt.outcome == "open")
