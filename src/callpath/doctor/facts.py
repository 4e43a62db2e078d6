"""What was seen, raw and unjudged: by the live probes, in a call's timeline, by Telnyx, by the platform. Times are in ms;
header names keep their spelling and order.

Rules read facts by type: `facts[TlsFacts]` raises FactMissing where that probe never ran, and the engine then says
"not checked". Nothing here knows what is right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from callpath.call.session import CallSession
from callpath.store.port import Refusal
from callpath.timeline import Entry
from callpath.wire.api import CallControlApplication, CallEvent, CallStatus, WebhookDelivery
from callpath.wire.document import Json

T = TypeVar("T")


class FactMissing(Exception):  # noqa: N818 (not an error: the engine turns it into "not checked")
    """A rule asked for what no probe could get. `fact` is the dataclass."""

    def __init__(self, fact: type) -> None:
        super().__init__(fact.__name__)
        self.fact = fact


class Facts:
    """All facts of one examination, by type."""

    def __init__(self, *facts: object) -> None:
        self._by_type: dict[type, Any] = {type(fact): fact for fact in facts}

    def __getitem__(self, kind: type[T]) -> T:
        fact = self._by_type.get(kind)
        if fact is None:
            raise FactMissing(kind)
        return fact  # type: ignore[no-any-return]

    def __contains__(self, kind: type) -> bool:
        return kind in self._by_type

    def __iter__(self) -> Iterator[object]:
        return iter(self._by_type.values())

    def get(self, kind: type[T]) -> T | None:
        """The fact, or None. For rules that can judge without it."""
        return self._by_type.get(kind)

    def add(self, fact: object) -> None:
        """Keep `fact`, in the place of an older one of its kind."""
        self._by_type[type(fact)] = fact


# --- the URL ---------------------------------------------------------------------------------------------------------

HostClass = Literal["public", "loopback", "private", "link-local", "unspecified", "internal-name", "bare-name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlFacts:
    """The URL as given and as read. `port` is the effective one; `target` is path and query as sent on the wire."""

    raw: str
    scheme: str = "wss"
    host: str = ""
    port: int = 443
    port_given: bool = False
    path: str = "/"
    query: str = ""
    fragment: str = ""
    userinfo: bool = False
    problem: str = ""
    host_class: HostClass = "public"
    host_is_address: bool = False
    vouched: bool = False
    token_given: bool = False
    local: bool = False
    """The user said that this is a local test: reachability from outside is not examined."""

    made_up_call: bool = False
    """The call id in the path belongs to no call, so that a careful server refuses or closes."""

    listen_only: bool = False
    """The user said that the server only listens: no audio is expected back."""

    @property
    def secure(self) -> bool:
        """Whether the doctor speaks TLS: only `ws` and `http` are taken at their word."""
        return self.scheme not in {"ws", "http"}

    @property
    def target(self) -> str:
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


# --- DNS -------------------------------------------------------------------------------------------------------------

DnsOutcome = Literal["answer", "nxdomain", "nodata", "servfail", "refused", "timeout", "unreachable", "malformed"]


@dataclass(frozen=True, slots=True)
class DnsQuery:
    """One question to one server. `chain` holds the CNAME targets in order, `rcode` the server's own word."""

    record: str
    outcome: DnsOutcome
    server: str
    ms: float
    addresses: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    rcode: str = ""
    works_unchecked: bool = False  # SERVFAIL, but an answer came with checking disabled: DNSSEC is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFacts:
    """Where the name leads. `source` says who told us; `classes` is parallel to `addresses`."""

    name: str
    source: Literal["literal", "override", "resolver", "system", "hosts-file"]
    queries: tuple[DnsQuery, ...] = ()
    addresses: tuple[str, ...] = ()
    classes: tuple[HostClass, ...] = ()
    left_out: tuple[str, ...] = ()  # of the other family, by --ipv4 or --ipv6
    resolver_is_loopback: bool = False


# --- TCP -------------------------------------------------------------------------------------------------------------

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


# --- TLS -------------------------------------------------------------------------------------------------------------

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


# --- HTTP ------------------------------------------------------------------------------------------------------------

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
    interim: tuple[int, ...] = ()
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


# --- the WebSocket ---------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message from the peer. `payload` is media.payload decoded where it is sound base64."""

    at_ms: float
    kind: Literal["text", "binary"]
    size: int
    head: str
    event: str | None = None
    payload: bytes | None = None
    fault: str = ""
    """not_json, wrong_shape, invalid_media, or "" """


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The machine that the doctor itself runs on. `lag_ms_max`: how late it was woken at worst."""

    lag_ms_max: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upgrade request as callpath's own server tells a probe that it came in; header names in lower case."""

    path: str
    query: str
    scheme: str = ""
    client: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """One stream, spoken as Telnyx speaks it."""

    codec: str
    sample_rate_hz: int
    ending: Ending
    sent_frames: int = 0
    planned_frames: int = 0
    sending_ms: float = 0.0
    arrivals: tuple[Arrival, ...] = ()
    marks_sent: int = 0
    marks_returned: int = 0
    pong_ms: tuple[float | None, ...] = ()
    pings_received: int = 0
    protocol_errors: tuple[str, ...] = ()
    heard_as: str = ""  # what audio.level.guess_encoding made of the bytes: PCMU, PCMA, "PCM16 little"…
    echo_ms: float | None = None
    echo_likeness: float = 0.0
    level_dbfs: float | None = None
    listening_ms: float = 0.0
    handshake: Exchange | None = None
    arrived: Arrived | None = None
    """What of our request reached callpath's own server; None from any other server."""

    stalled_ms: float | None = None
    """When the peer stopped reading: a send was still waiting after seconds."""

    @property
    def media(self) -> tuple[Arrival, ...]:
        """What claims to be audio and could be decoded."""
        return tuple(arrival for arrival in self.arrivals if arrival.payload is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One stream held open: "silent", "media" or "media+ping" from our side, until `held_ms`."""

    traffic: Literal["silent", "media", "media+ping"]
    ending: Ending
    held_ms: float
    received: int = 0
    last_received_ms: float | None = None
    last_sent_ms: float | None = None
    stalled: bool = False
    """The peer stopped reading: a send was still waiting after seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleFacts:
    """What --idle saw."""

    wanted_ms: float
    holds: tuple[Hold, ...]

    def hold(self, traffic: str) -> Hold | None:
        return next((hold for hold in self.holds if hold.traffic == traffic), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSchemeFacts:
    """`ws://` failed: does the same port speak TLS, and does the wss form of the URL upgrade?"""

    tls_on_port: bool = False
    tls_on_443: bool = False
    exchange: Exchange | None = None


# --- the examination itself ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFacts:
    """The step that failed, measured again where the answer is known. None or "": not measured.

    `host` was looked up with the same resolver, reached by the same route and verified with the same trust store as
    the URL; `public` holds what public resolvers say of the URL's own name; `ipv6` is a connection to a host that has
    IPv6. `tls_issuer` names who signed the certificate that came for `host`.
    """

    host: str = ""
    dns: DnsOutcome | None = None
    dns_detail: str = ""
    tcp: TcpOutcome | None = None
    tcp_detail: str = ""
    tls: TlsOutcome | None = None
    tls_issuer: str = ""
    ipv6: TcpOutcome | None = None
    public: tuple[DnsQuery, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFacts:
    """An HTTP proxy from the environment. `outcome` "used": the URL was reached through it after the direct way failed."""

    proxy: str
    outcome: Literal["used", "failed"]
    detail: str = ""
    direct: str = ""
    """How the direct way failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFacts:
    """What the examination sent. `left_out` names requests that only --thorough sends; `limited_at` is the number of the
    request that was the first to be answered with a rate limit."""

    requests: int
    requests_max: int
    connections: int = 0
    left_out: tuple[str, ...] = ()
    limited_at: int = 0
    cut_off_ms: float | None = None
    """When the whole examination ran out of time."""


# --- a call that was -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """One call, from our own timeline or from one that was rebuilt from logs; `state` is the fold over `entries`.

    `shown` holds the kinds (as `timeline.kind_of` names them) that this source is known to write. A timeline shows all of
    them; logs show those that were seen for any call in the same file. A kind that is not shown may have happened all
    the same: its absence proves nothing. `looked_at_unix_ms` is when the source was read, or where the logs end: a stage
    that could still come by then is not missing.
    """

    session: str
    source: Literal["timeline", "logs"]
    entries: tuple[Entry, ...]
    state: CallSession
    shown: frozenset[str]
    looked_at_unix_ms: int

    def shows(self, kind: str) -> bool:
        """Whether the absence of `kind` from `entries` says that it did not happen."""
        return kind in self.shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFacts:
    """What our server serves, from its settings. `port` is what it listens on; URLs are as the world should see them."""

    public_url: str
    webhook_url: str
    audio_url: str
    """With `{call_session_id}` in it."""

    port: int
    token_in: Literal["header", "path", "off"] = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFacts:
    """Webhooks and upgrades that were turned away before they could be tied to a call: how many ever, and the latest."""

    count: int
    latest: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WayFacts:
    """The way to the server as it is now, for a call that is over: its own stream URL was tried, and then the server's
    test connection beside it.

    `word` is the reason with which a callpath server itself refused (`call_ended`, `unknown_session`, …); "" where none
    spoke. `through` says whether a whole stream was carried on the test connection; None: it was not tried.
    """

    url: str
    probed_at_unix_ms: int
    word: str = ""
    detail: str = ""
    through: bool | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log that speaks about the process and not about a call. `topic` is what a pattern took it for."""

    at_unix_ms: int | None
    topic: str
    text: str
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts:
    """What else the logs say: where they begin and end, what was dropped, and the lines about the process (`listening`,
    `crash`, `out of memory`, `restart`, `stopping`, …)."""

    formats: tuple[str, ...]
    lines: int
    from_unix_ms: int | None = None
    until_unix_ms: int | None = None
    dropped: bool = False
    process: tuple[LogLine, ...] = ()


# --- the platform ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRow:
    """One request as the platform's edge logged it. `upstream_errors` are its own words about reaching the app."""

    at_unix_ms: int
    method: str
    path: str
    status: int
    host: str = ""
    duration_ms: float | None = None
    upstream_ms: float | None = None
    upstream_address: str = ""
    upstream_errors: tuple[str, ...] = ()
    response_details: str = ""
    request_id: str = ""
    source_ip: str = ""
    user_agent: str = ""
    region: str = ""
    deployment_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFacts:
    """The edge's rows that bear on this call: its own path, and webhooks at its time. `from` and `until` bound what the
    log covers, all rows considered; rows of upgrades may be written only when the socket ends."""

    platform: str
    rows: tuple[EdgeRow, ...]
    from_unix_ms: int
    until_unix_ms: int


@dataclass(frozen=True, slots=True)
class PlatformDomain:
    """A host name as the platform routes it. `target_port` None: the platform decides. `certificate` is the state's name
    without its prefix (VALID, ISSUING, ISSUE_FAILED, …), `certificate_error` the platform's word for why."""

    domain: str
    target_port: int | None = None
    custom: bool = False
    certificate: str = ""
    certificate_error: str = ""
    verified: bool | None = None
    dns_records: tuple[tuple[str, str, str], ...] = ()
    """(required value, current value, status)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """What the platform's own API says about the service. None: that could not be asked (`refusals` says why).

    `listening_port` is ours, where it is known; `public_host` the host of our public URL. `volumes` are mount paths.
    `shared_log` says whether our call log is a database that several replicas can share.
    """

    platform: str
    domains: tuple[PlatformDomain, ...] | None = None
    deployments: tuple[tuple[str, str], ...] | None = None
    """(status, created at), newest first."""

    replicas: int | None = None
    volumes: tuple[str, ...] | None = None
    listening_port: int | None = None
    listening_line: str = ""
    """The line of the log that names the port, where it was found there."""

    public_host: str = ""
    shared_log: bool | None = None
    error_lines: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFacts:
    """Whether a small object could be written, read and deleted where recordings are kept. `code` "": it could."""

    url: str
    code: str = ""
    said: str = ""


# --- what a platform is told -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartCommand:
    """How a program is started. `words` None: a shell runs `text`, and it is the shell that gets the signals."""

    text: str
    words: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """What one file says. `stop_s` is the time between the stop signal and the kill, None where the file is silent, then
    the platform's own counts; `port` is where it sends requests; `sleeps` is what makes it sleep, in the file's words."""

    file: str
    platform: str
    commands: tuple[StartCommand, ...] = ()
    stop_s: float | None = None
    stop_is_text: bool = False
    """Whether that time stands there in quotes."""
    sleeps: str = ""
    replicas: int | None = None
    volume: bool = False
    volume_keyword: bool = False
    user: str = ""
    port: int | None = None
    health_path: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    proxied: tuple[str, ...] = ()
    """Lines of a proxy's location that passes requests on, for each such location."""

    def variable(self, name: str) -> str | None:
        """The value that the file gives to an environment variable."""
        return dict(self.environment).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFacts:
    """The files in a folder that tell platforms how to run it. `unread` could not be read, and why."""

    plans: tuple[DeployPlan, ...]
    drain_s: float
    """What our server is set to wait for its calls when it is told to stop."""

    unread: tuple[tuple[str, str], ...] = ()

    def on(self, platform: str) -> tuple[DeployPlan, ...]:
        return tuple(plan for plan in self.plans if plan.platform == platform)


# --- Telnyx's own word -----------------------------------------------------------------------------------------------


ChosenBy = Literal["", "asked", "number", "url", "host", "only one"]
"""Why this application: its id was given, its webhook URL is ours, or has our host, the number leads to it, or the account
has no other."""


@dataclass(frozen=True, slots=True)
class ApiRefusal:
    """Telnyx answered a question of the doctor's with an error. `status` None: no answer came."""

    question: str
    status: int | None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """How the account is set. A part that could not be asked is None, and `refusals` says why.

    `number` is the row of /phone_numbers (free JSON) of the number that was asked for, `number_voice` its voice settings;
    `connection_id` is where it leads; with `application_missing` that is no Call Control application, and
    `connection_kind` is what it is instead ("": nothing). `application` is the one that is meant, and `chosen_by` says
    why that one: it may be another than the number's. `numbers` and `voices` are of the asked number, or of all that lead
    to the application.
    """

    key_accepted: bool | None = None
    balance: Json | None = None
    number_asked: str = ""
    number_found: bool | None = None
    number: Json | None = None
    number_voice: Json | None = None
    numbers: tuple[Json, ...] = ()
    numbers_listed: bool = False
    other_numbers: tuple[Json, ...] = ()
    """Where none leads to the application: what else the account has."""

    voices: tuple[Json, ...] = ()
    connection_id: str = ""
    connection_kind: str = ""
    application: CallControlApplication | None = None
    application_missing: bool = False
    chosen_by: ChosenBy = ""
    applications: tuple[CallControlApplication, ...] = ()
    applications_listed: bool = False
    outbound_profile: Json | None = None
    outbound_profile_missing: bool = False
    destination: str = ""
    """A number that is to be dialled; "" where calls only come in, as far as is known."""

    deliveries: tuple[WebhookDelivery, ...] | None = None
    """Of the last day, newest first."""

    public_key_fits: bool | None = None
    looked_at_unix_ms: int = 0
    refusals: tuple[ApiRefusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TelnyxCallFacts:
    """One call as Telnyx tells it. `missed` are events of `events` that our timeline does not have."""

    key_accepted: bool | None = None
    events: tuple[CallEvent, ...] | None = None
    deliveries: tuple[WebhookDelivery, ...] | None = None
    status: CallStatus | None = None
    detail_records: tuple[Json, ...] | None = None
    missed: tuple[CallEvent, ...] = ()
    refusals: tuple[ApiRefusal, ...] = ()
