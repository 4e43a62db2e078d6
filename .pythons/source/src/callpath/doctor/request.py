"""What the doctor is asked to look at, and with which liberties."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Override:
    """`--resolve HOST:PORT:ADDRESS`: connect there for this host and port, and ask no DNS. As curl's option."""

    host: str
    port: int
    address: str


REQUESTS_MAX = 12
"""Maximum HTTP requests of one examination: few enough for a rate limiter, and for an application that starts paid work
with each."""
REQUESTS_MAX_THOROUGH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Where the answer is known. Asked only after a step failed, and never for a local test.

    `host` has to answer with a certificate of a public authority. `resolvers` answer anybody's questions; `ipv6` is an
    address and port that take connections over IPv6 (Cloudflare's public resolver, over HTTPS).
    """

    host: str = "api.telnyx.com"
    port: int = 443
    resolvers: tuple[tuple[str, int], ...] = (("1.1.1.1", 53), ("9.9.9.9", 53))
    ipv6: tuple[str, int] = ("2606:4700:4700::1111", 443)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One examination.

    `ca_file` is trusted besides the system's roots. `resolver` (address, port) is asked in the place of the system.
    `timeout_ms` bounds one connection or handshake, `answer_timeout_ms` one answer to an upgrade (a carrier waits
    longer for it than for a connection), `budget_ms` the whole examination without `idle_s`.

    `local`: a local test, in which nothing is said about the way from outside. `known_call`: the call id in the URL is
    a real one. `listen_only`: the server sends no audio, and that is right. `thorough`: more requests, guessed paths,
    POST and other protocols. `proxy` is the environment's proxy for HTTPS, as a URL. `controls` None: ask no other host.
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
    local: bool = False
    known_call: bool = False
    listen_only: bool = False
    thorough: bool = False
    proxy: str | None = None
    via: str | None = None
    """The proxy in use: the same as `proxy` once the direct way has failed."""

    controls: Controls | None = Controls()

    @property
    def requests_max(self) -> int:
        """Maximum HTTP requests."""
        return REQUESTS_MAX_THOROUGH if self.thorough else REQUESTS_MAX

    @property
    def is_local(self) -> bool:
        """A local test: said so, or shown by an address or a private root of the user's own."""
        return bool(self.local or self.resolve or self.ca_file)

    @property
    def vouched(self) -> bool:
        """The user named the address, the resolver or the private CA, or waived trust: a laboratory, meant so."""
        return bool(self.local or self.resolve or self.resolver or self.ca_file or self.insecure)
