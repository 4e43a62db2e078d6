"""Handshakes and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TlsOutcome = Literal["ok", "untrusted", "alert", "timeout", "eof", "reset", "not-tls", "error", "no-connection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate as sent. Times are Unix ms."""

    subject: str
    issuer: str
    not_before_unix_ms: int
    not_after_unix_ms: int
    names: tuple[str, ...] = ()
    self_signed: bool = False
    is_ca: bool = False
    issuer_urls: tuple[str, ...] = ()
    key: str = ""
    signature: str = ""
    purposes: tuple[str, ...] = ()
    key_id: str = ""
    issuer_key_id: str = ""
    issuer_issuer: str = ""  # authority_cert_issuer: who signed our issuer, where the certificate says it
    der: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsAttempt:
    """One handshake. `shape` is "carrier" or what differed; `after` is what came when we read before sending."""

    shape: str
    address: str
    outcome: TlsOutcome
    ms: float
    reason: str = ""  # OpenSSL's name for the error, alerts included
    verify_code: int = 0
    verify_message: str = ""
    version: str = ""
    cipher: str = ""
    alpn: str | None = None
    first_bytes: bytes = b""
    received: int = 0
    chain: tuple[Certificate, ...] = ()
    asked_client_certificate: bool = False
    alert_before_hello: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """Handshakes in the carrier's shape, one an address, and further shapes where one of them failed.

    `silent` is what a connection does on which we say nothing, looked at where the handshake was cut off.
    `plain_answer` holds the first bytes of the answer to plain HTTP on the same port; `trusted_names` the subjects of
    the roots in --ca; `issuer_found_by_url` says that the issuer's own URL gave the missing link, and that it leads to
    a trusted root. `system_roots` counts the roots of this machine's own store (None: not looked at), `mozilla` is the
    outcome of the same handshake against Mozilla's roots ("": not tried).
    """

    attempts: tuple[TlsAttempt, ...]
    shapes: tuple[TlsAttempt, ...] = ()
    plain_answer: bytes = b""
    plain_outcome: str = ""
    silent: Literal["", "open", "eof", "reset", "spoke"] = ""
    trusted_names: tuple[str, ...] = ()
    trusted_key_ids: tuple[str, ...] = ()
    checked_at_unix_ms: int = 0
    ca_given: bool = False
    accepted_despite: bool = False  # --insecure: the examination went on past a failed verification
    issuer_found_by_url: bool = False
    system_roots: int | None = None
    mozilla: TlsOutcome | Literal[""] = ""
    system_rejects: str = ""
    """Why this machine's own store does not trust a chain that Mozilla's roots do; the attempts are then by Mozilla's."""

    @property
    def carrier(self) -> TlsAttempt:
        """The handshake the verdict hangs on: the first that failed, else the first."""
        return next((attempt for attempt in self.attempts if attempt.outcome != "ok"), self.attempts[0])

    def shape(self, name: str) -> TlsAttempt | None:
        return next((attempt for attempt in self.shapes if attempt.shape == name), None)

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The chain of the carrier's handshake, read without verification where that failed."""
        if self.carrier.chain:
            return self.carrier.chain
        return next((a.chain for a in (*self.shapes, *self.attempts) if a.chain and a.address == self.carrier.address),
                    next((a.chain for a in self.shapes if a.chain), ()))  # fmt: skip
