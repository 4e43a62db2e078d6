"""Answers to the upgrade, in several shapes and tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts.ending import Ending

ExchangeOutcome = Literal["answer", "timeout", "eof", "reset", "malformed", "no-connection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back. `raw` keeps the first bytes as they came, `body` the decoded beginning."""

    shape: str
    address: str = ""
    method: str = "GET"
    target: str = "/"
    outcome: ExchangeOutcome = "answer"
    ms: float = 0.0
    version: str = "1.1"
    status: int = 0
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raw: bytes = b""
    key: str = ""
    error: str = ""
    accept_ok: bool = False

    def header(self, name: str) -> str | None:
        """The first value of that header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def has(self, name: str, part: str = "") -> bool:
        return any(key.lower() == name.lower() and part.lower() in value.lower() for key, value in self.headers)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def upgraded(self) -> bool:
        """101 with everything a strict client wants."""
        return (
            self.status == 101
            and self.accept_ok
            and self.has("upgrade", "websocket")
            and self.has("connection", "upgrade")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeFacts:
    """The carrier's upgrade request, and, where it failed, the shapes that tell why. `silent` is what a connection
    on which we say nothing does: a server waits, a forwarder without a backend closes."""

    carrier: Exchange
    shapes: tuple[Exchange, ...] = ()
    silent: Literal["", "open", "eof", "reset", "spoke"] = ""
    silent_bytes: bytes = b""

    def shape(self, name: str) -> Exchange | None:
        return next((exchange for exchange in self.shapes if exchange.shape == name), None)

    def shaped(self, prefix: str) -> tuple[Exchange, ...]:
        return tuple(exchange for exchange in self.shapes if exchange.shape.startswith(prefix))


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One more upgrade in the carrier's shape, in order of time."""

    at_ms: float
    exchange: Exchange
    ending: Ending | None = None

    @property
    def fine(self) -> bool:
        return self.exchange.upgraded and (self.ending is None or self.ending.by != "peer")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatFacts:
    """Several tries in a row: does the endpoint answer always alike?"""

    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSchemeFacts:
    """`ws://` failed: does the same port speak TLS, and does the wss form of the URL upgrade?"""

    tls_on_port: bool = False
    tls_on_443: bool = False
    exchange: Exchange | None = None
