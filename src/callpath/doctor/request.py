"""What the doctor is asked to look at, and with which liberties."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Override:
    """`--resolve HOST:PORT:ADDRESS`: connect there for this host and port, and ask no DNS. As curl's option."""

    host: str
    port: int
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One examination.

    `ca_file` is trusted besides the system's roots. `resolver` (address, port) is asked in the place of the system.
    `timeout_ms` bounds one connection or handshake, `answer_timeout_ms` one answer to an upgrade (a carrier waits
    longer for it than for a connection), `budget_ms` the whole examination without `idle_s`.
    """

    url: str
    token: str | None = None
    ca_file: str | None = None
    resolve: tuple[Override, ...] = ()
    resolver: tuple[str, int] | None = None
    family: int | None = None
    timeout_ms: float = 4000.0
    answer_timeout_ms: float = 10_000.0
    budget_ms: float = 27_000.0
    codec: str = "PCMU"
    media_s: float = 1.6
    idle_s: float = 0.0
    insecure: bool = False

    @property
    def vouched(self) -> bool:
        """The user named the address, the resolver or the private CA, or waived trust: a laboratory, meant so."""
        return bool(self.resolve or self.resolver or self.ca_file or self.insecure)
