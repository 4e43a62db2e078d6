"""Where two causes meet: which one is named first, and which one brings the other about. Nothing else in the doctor
compares causes.

A key is a slug (every sign of that cause) or the code of one sign (old codes, see `Sign.code`), where that sign has to
stand apart from the rest of its cause.

GATES     the way of a call, in order. Of two findings that do not explain each other the proven one is the verdict,
          then the one of the earlier gate, then the earlier key.
EXPLAINS  a proven cause, and the findings that it brings about by itself: these are shown under it. Only a proven
          cause explains; an open question and a withdrawn finding explain nothing.

tests/doctor/test_precedence.py checks that every cause has its place, that EXPLAINS has no cycle, and that each sign's
examples win through the whole engine, or name the winner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callpath.doctor.rule import Cause, Rule


@dataclass(frozen=True, slots=True)
class Gate:
    """A stretch of the way that has to work before the next one can be judged."""

    name: str
    because: str
    keys: tuple[str, ...]
    minor: bool = False
    """Nothing here breaks a call by itself: an open question of an earlier gate stays the first thing to answer."""


@dataclass(frozen=True, slots=True)
class Explains:
    """`cause` brings about each of `symptoms`: keys, or `@name` for all of a gate."""

    cause: str
    symptoms: tuple[str, ...]
    because: str


# fmt: off
GATES: tuple[Gate, ...] = (
    # --- the account ---
    Gate("account", "Without the key nothing of the account is known; without number and application no call begins.", (
        "api-key-invalid", "telnyx-api-unreachable", "account-no-credit", "number-not-in-account", "number-not-active",
        "number-not-assigned", "TELNYX007", "TELNYX008", "app-inactive-or-deleted",
        "webhook-url-mismatch", "api-version-1-webhooks", "webhook-failover-elsewhere", "webhook-timeout-odd",
        "first-command-timeout-short", "channel-limit-zero", "outbound-profile-missing", "outbound-profile-disabled",
        "destination-not-allowed", "number-forwarded", "number-screens-callers", "webhook-public-key-mismatch",
    )),
    Gate("platform", "What the host says of its own domain and deployment comes before what was delivered to it.", (
        "PLATFORM001", "platform-domain-not-ready", "PLATFORM004", "PLATFORM002",
        "PLATFORM005", "PLATFORM006", "PLATFORM007", "stale-build", "PLATFORM009", "recordings-unwritable",
    )),
    Gate("deliveries", "Telnyx's own record of its webhooks.", (
        "webhook-unreachable", "webhook-redirected", "webhook-404", "TELNYX025", "webhook-blocked",
        "webhook-not-2xx-or-slow", "webhook-url-shared",
    )),
    # --- a past call, up to its socket: what its timeline proves by itself ---
    Gate("webhooks", "A call begins with its webhooks; one that is refused stops everything.", (
        "CALL003", "webhook-signature-refused", "webhook-clock-skew", "webhook-body-unparsed", "webhook-never-came",
        "server-turned-call-away",
    )),
    Gate("commands", "Then the commands: the account and the call's state first, then what the request itself said.", (
        "CALL007", "CALL008", "account-not-permitted", "call-already-ended", "callee-did-not-answer",
        "call-never-answered", "answer-refused", "webhooks-partly-missing", "streaming-before-answer",
        "stream-track-invalid", "bidirectional-codec-invalid", "CALL019", "second-stream-refused",
        "streaming-start-refused", "streaming-start-never-sent",
    )),
    Gate("stream URL", "Then the URL that Telnyx was given, against what this server serves.", (
        "CALL046", "CALL047", "CALL025", "url-stale-host", "CALL027", "CALL024", "CALL029", "CALL028", "CALL026",
    )),
    # --- what the platform's edge logged of the same way ---
    Gate("edge", "An edge that was never reached or whose application was down, before what the application answered.", (
        "EDGE001", "edge-never-reached", "worker-timeout", "crash-loop-or-oom", "LOG008", "EDGE004", "EDGE021", "EDGE005",
        "EDGE006", "EDGE007", "EDGE008", "upgrade-not-taken", "EDGE010", "ws-refused-403", "EDGE012", "EDGE013", "EDGE014",
        "socket-closed-at-once", "logs-dropped", "EDGE017", "EDGE018", "EDGE019", "EDGE020",
    )),
    # --- a live probe, layer by layer ---
    Gate("URL", "What stands in the URL itself needs no network to be proven.", (
        "url-malformed", "url-placeholder-unreplaced", "url-whitespace-or-control", "url-private-host", "URL009",
    )),
    Gate("controls", "Where the same step fails on a host that is known to work, nothing can be said about the URL.", (
        "machine-no-dns", "machine-no-route", "machine-no-ipv6", "machine-tls-inspected", "machine-trust-store",
        "dns-resolvers-disagree",
    )),
    Gate("connection", "Name, address, port. A dead address beside a good one comes after what stops every call.", (
        "dns-nxdomain", "dns-servfail", "dns-timeout", "dns-no-address", "dns-private-address", "url-port-mismatch",
        "tcp-refused", "tcp-timeout-firewall-drop", "tcp-host-unreachable", "dns-one-address-dead", "dns-stale-record",
    )),
    Gate("TLS", "Another protocol on the port first, then the certificate, then what the two sides cannot agree on.", (
        "proxy-protocol-expected", "tcp-wrong-service", "tls-plaintext-port", "tls-self-signed", "tls-expired",
        "tls-not-yet-valid", "tls-missing-intermediate", "tls-untrusted-root", "tls-hostname-mismatch",
        "tls-certificate-unsuitable", "tls-client-certificate-required", "tls-unrecognized-name",
        "tls-protocol-too-old", "tls-no-shared-cipher", "http2-only-endpoint", "tcp-mtu-blackhole",
        "tls-handshake-timeout", "tcp-reset-on-accept", "url-scheme-not-wss",
    )),
    Gate("changing answers", "Where the same request is answered differently, one answer says little about the cause.", (
        "edge-cold-start", "rate-limited-429", "wrong-instance", "backend-flapping", "TLS016",
    )),
    Gate("own word", "A callpath server says itself why it refuses; no guess is needed.", (
        "CALLPATH001", "CALLPATH002", "rate-limited",
    )),
    Gate("one change", "The same request with one thing changed works: that thing is the cause.", (
        "ws-origin-check-403", "ws-host-check", "url-double-slash-or-trailing", "url-unencoded-id",
        "url-query-refused", "URL011", "CALLPATH003", "ROUTE007", "node-ws-path-pattern", "url-path-mismatch",
    )),
    Gate("access", "Something before the application decides who may pass; the named product before the kind.", (
        "cloudflare-challenge-403", "access-gate", "ip-allowlist-403", "waf-blocks-upgrade", "ws-auth-required-401",
    )),
    Gate("proxies", "A proxy or edge that answers by itself, before anything the application may have said.", (
        "header-too-large-431", "proxy-upstream-scheme-wrong", "edge-app-not-found",
        "edge-app-failed-to-respond", "cloudflare-52x-origin", "proxy-upstream-down", "proxy-upstream-timeout-504",
        "proxy-internal-error-500", "service-unavailable-503", "redirect-on-upgrade", "proxy-location-missing",
        "proxy-upgrade-headers-stripped",
    )),
    Gate("application", "What the application answers to an upgrade; a framework's own words before the bare status.", (
        "ws-subprotocol-required", "ws-version-or-key-rejected", "socketio-not-websocket", "conversation-relay-not-media",
        "asgi-route-missing-403", "node-ws-attached-to-other-server", "fastify-websocket-plugin-order", "spa-fallback-200",
        "app-has-no-websocket", "ROUTE006", "method-not-allowed-405", "platform-no-websocket", "HTTP017",
        "ws-upgrade-closed", "http-no-answer", "HTTP013",
    )),
    Gate("101", "The upgrade was answered; is the answer one that a client may accept?", (
        "ws-accept-wrong", "ws-subprotocol-forced", "ws-extension-forced", "ws-101-incomplete", "ws-handshake-slow",
        "url-query-string-lost",
    )),
    Gate("end of the stream", "A stream that ended early: the reason that the server gave before the bare close.", (
        "AUTH006", "session-lookup-fails", "fastify-websocket-handler-signature", "app-crash-on-connect",
        "message-too-big-1009", "deploy-kills-streams", "ws-refuses-frames", "CLOSE008", "app-closes-stream",
        "CLOSE009", "ws-frames-invalid",
    )),
    Gate("media", "What came back on an open stream: its form, then its encoding, then its pace.", (
        "server-stops-reading", "WS011", "WS013", "WS014", "outbound-envelope-wrong",
        "outbound-not-base64", "codec-container-sent", "rtp-header-sent",
        "codec-pcm16-sent-as-ulaw", "codec-alaw-as-ulaw", "sample-rate-mismatch", "burst-send-too-fast",
        "audio-frames-damaged", "send-too-slow-underrun", "sends-silence", "outbound-level-wrong", "chunks-too-short",
        "dns-ipv6-only",
    )),
    Gate("held open", "What only shows on a stream that is held for longer.", (
        "proxy-idle-timeout", "max-duration-cutoff", "KEEP003", "no-audio-back",
        "reached-through-proxy", "examination-cut-off",
    )),
    # --- a past call, from its socket on ---
    Gate("socket", "The socket came and was refused, before all that only knows that none was opened.", (
        "CALL040", "ws-token-wrong", "CALL042", "second-socket-refused", "socket-refused", "CALL030",
        "stream-failed-to-start", "stream-connection-failed", "socket-never-came",
    )),
    Gate("in mid-call", "The first thing that went wrong on an open socket, by what broke it, before how it broke.", (
        "start-encoding-unreadable", "stream-never-started", "handler-crashed", "CALL080", "peer-breaks-protocol",
        "socket-went-silent", "stream-track-wrong", "no-inbound-media", "bidirectional-mode-missing",
        "target-legs-opposite", "CALL057", "sent-not-played", "socket-lost", "stream-stopped-in-midcall",
        "stream-reconnected", "hung-up-by-bot",
    )),
    Gate("passed on", "On an open stream that worked: the caller was to be passed on, or Telnyx to speak.", (
        "transfer-refused", "bridge-to-a-dead-leg", "bridge-before-answer", "refer-refused", "transfer-cut-by-hangup",
        "voicemail-answered-the-transfer", "conference-ended-its-creator", "caller-left-in-silence",
        "speech-cut-by-detection", "playback-failed", "command-refused", "texml-owns-the-leg",
        "conference-monitor-silences",
    )),
    Gate("sound", "Encoding and silence, which no late process brings about.", (
        "rtp-header-received", "CALL060", "l16-byte-order", "wrong-encoding", "CALL062", "CALL066", "inbound-silence",
        "CALL065", "ai-side-not-ready", "handler-played-nothing", "inbound-media-stalled",
    )),
    Gate("pace", "A late process makes gaps in every call of it: it explains no silence and no refusal.", (
        "event-loop-blocked", "handler-behind", "CALL072", "media-lost-or-late", "inbound-clipping", "both-tracks-mixed",
        "stream-slow-to-start",
    ), minor=True),
    Gate("end of the call", "How the call ended says least about why it did not work.", (
        "call-ended-abnormally", "caller-gave-up", "line-left-up", "call-in-progress",
    )),
    # --- files that tell a platform what to run ---
    Gate("files", "A server that cannot be reached, before one that is reached and loses calls.", (
        "bound-to-loopback", "port-fixed", "railway-trap", "start-command-cannot-upgrade", "proxy-keeps-upgrade",
        "KEEP001/files", "DEPLOY001/files", "call-log-not-kept", "server-sleeps", "killed-before-drained",
        "stop-signal-lost", "ingress-annotations-ignored",
    )),
    Gate("last resort", "Asked only where something is wrong and nothing above said what.", (
        "unknown-call-fault", "unknown-connection-fault", "unknown-tls-fault", "unknown-upgrade-refusal",
        "unknown-stream-end",
    )),
)

_PROBED = (
    "@connection", "@TLS", "@changing answers", "@own word", "@one change", "@access", "@proxies", "@application",
    "@101", "@end of the stream", "@media", "@held open",
)

EXPLAINS: tuple[Explains, ...] = (
    # --- the account and the webhooks ---
    Explains("api-key-invalid", ("@account", "@deliveries", "call-already-ended", "answer-refused", "CALL008",
        "streaming-start-refused"), "with a refused key neither the account can be read nor a command carried out"),
    Explains("webhook-url-mismatch", ("@deliveries",), "webhooks to another URL are answered by whatever runs there"),
    Explains("api-version-1-webhooks", ("webhook-signature-refused", "webhook-body-unparsed", "webhooks-partly-missing"),
        "version 1 has another signature and another body"),
    Explains("webhook-public-key-mismatch", ("webhook-signature-refused",), "no signature fits the wrong key"),
    Explains("webhook-signature-refused", ("webhook-body-unparsed", "call-never-answered", "webhooks-partly-missing"),
        "a refused webhook starts nothing"),
    Explains("webhook-clock-skew", ("call-never-answered", "webhooks-partly-missing"), "a refused webhook starts nothing"),
    Explains("webhook-body-unparsed", ("call-never-answered", "webhooks-partly-missing"),
        "a refused webhook starts nothing"),
    Explains("webhook-redirected", ("webhook-404", "webhook-not-2xx-or-slow"),
        "the redirected POST arrives as a GET, which no route takes"),
    Explains("webhook-not-2xx-or-slow", ("socket-closed-at-once",),
        "a server that never saw the webhook closes the socket of a call it does not know"),
    # --- the host ---
    Explains("crash-loop-or-oom", ("webhook-not-2xx-or-slow", "edge-app-failed-to-respond", "proxy-upstream-down",
        "proxy-upstream-timeout-504", "EDGE014"), "a server that is down answers neither webhook nor upgrade"),
    Explains("edge-app-failed-to-respond", ("webhook-not-2xx-or-slow", "EDGE014", "service-unavailable-503"),
        "the status is the edge's, since the application could not be reached"),
    # --- commands ---
    Explains("telnyx-api-unreachable", ("answer-refused", "streaming-start-refused"), "the command never got there"),
    Explains("call-already-ended", ("answer-refused", "streaming-start-refused"), "a call that is over takes no command"),
    Explains("account-not-permitted", ("answer-refused", "streaming-start-refused"), "the account may not do it at all"),
    Explains("stream-track-invalid", ("bidirectional-codec-invalid", "streaming-start-refused"),
        "Telnyx refuses the whole request for one field"),
    Explains("bidirectional-codec-invalid", ("streaming-start-refused",), "Telnyx refuses the whole request for one field"),
    Explains("start-encoding-unreadable", ("second-stream-refused",),
        "the handler asks for a new stream after the first one could not be read"),
    # --- the URL ---
    Explains("url-placeholder-unreplaced", ("url-malformed", "url-stale-host", "CALL024", "dns-nxdomain", "dns-servfail",
        "dns-timeout", "dns-no-address", "tcp-refused", "tcp-timeout-firewall-drop"),
        "a template in place of the host or path leads nowhere"),
    Explains("url-whitespace-or-control", ("url-stale-host", "CALL024", "dns-nxdomain", "dns-servfail", "dns-timeout"),
        "the stray character is part of the name that is looked up"),
    Explains("url-malformed", ("CALL023", "CALL024"), "a URL that cannot be read has neither host nor path to compare"),
    Explains("url-private-host", ("CALL023", "CALL024", *_PROBED),
        "a carrier never gets there, whatever answers inside this network"),
    Explains("url-port-mismatch", ("tcp-refused", "tcp-timeout-firewall-drop", "tcp-host-unreachable"),
        "nothing listens on a port that was never published"),
    Explains("url-stale-host", ("CALL024", "CALL030", "edge-never-reached"), "the other host gets the stream"),
    Explains("CALL024", ("CALL030",), "the path is refused whenever the stream is asked for"),
    Explains("CALL025", ("CALL030",), "the id is unknown whenever the stream is asked for"),
    Explains("CALL026", ("CALL030",), "the other server refuses whenever the stream is asked for"),
    Explains("EDGE019", ("EDGE006",), "the other deployment knows neither path nor call"),
    Explains("streaming-before-answer", ("CALL030",), "the refusal says it outright"),
    Explains("url-scheme-not-wss", ("redirect-on-upgrade", "ws-upgrade-closed", "http-no-answer", "HTTP013"),
        "plain text sent to a TLS port, or redirected to it"),
    Explains("URL009", ("header-too-large-431",), "431 is the server's word for it"),
    Explains("header-too-large-431", ("url-query-refused",), "without its query the URL is short enough"),
    Explains("url-double-slash-or-trailing", ("url-path-mismatch", "node-ws-path-pattern", "redirect-on-upgrade",
        "proxy-location-missing", "HTTP001", "asgi-route-missing-403", "node-ws-attached-to-other-server",
        "app-has-no-websocket"), "the path with one slash fewer or more works"),
    Explains("url-unencoded-id", ("ROUTE001", "proxy-location-missing"), "the encoded path works"),
    # --- connection and TLS ---
    Explains("dns-private-address", ("tcp-refused", "tcp-timeout-firewall-drop", "tcp-host-unreachable",
        "dns-one-address-dead"), "a private address is not reachable from here"),
    Explains("dns-one-address-dead", ("DEPLOY001", "backend-flapping"), "every n-th connection meets the dead address"),
    Explains("dns-stale-record", ("DEPLOY001", "backend-flapping"), "every n-th connection meets the other server"),
    Explains("proxy-protocol-expected", ("tls-no-shared-cipher", "tls-handshake-timeout", "TLS016", "ws-upgrade-closed",
        "http-no-answer", "HTTP013"), "the listener drops or misreads what lacks the PROXY line"),
    Explains("tls-plaintext-port", ("tls-handshake-timeout", "TLS016"), "a server without TLS waits for a request line"),
    Explains("tls-self-signed", ("tls-expired", "tls-not-yet-valid", "tls-missing-intermediate", "tls-untrusted-root",
        "tls-hostname-mismatch"), "the whole certificate has to be replaced"),
    Explains("tls-untrusted-root", ("tls-expired", "tls-not-yet-valid", "tls-hostname-mismatch"),
        "the whole certificate has to be replaced"),
    Explains("tls-missing-intermediate", ("tls-untrusted-root", "tls-hostname-mismatch"),
        "without the intermediate no chain leads to a root"),
    Explains("tls-expired", ("tls-hostname-mismatch",), "the certificate has to be replaced in any case"),
    Explains("tls-not-yet-valid", ("tls-hostname-mismatch",), "the certificate has to be replaced in any case"),
    Explains("tls-client-certificate-required", ("tls-unrecognized-name", "tls-no-shared-cipher", "HTTP001"),
        "the alert depends on the TLS library; the request for a certificate was seen"),
    Explains("tls-unrecognized-name", ("tls-no-shared-cipher",), "without a certificate there is no cipher to share"),
    Explains("tls-protocol-too-old", ("tls-no-shared-cipher",), "old versions come with old ciphers"),
    Explains("http2-only-endpoint", ("TLS016", "platform-no-websocket", "ws-upgrade-closed", "http-no-answer",
        "HTTP013"), "an HTTP/2 listener cannot read an HTTP/1.1 upgrade"),
    Explains("tcp-mtu-blackhole", ("tls-handshake-timeout",), "the large packets of the handshake are the lost ones"),
    Explains("tcp-reset-on-accept", ("ws-upgrade-closed",), "the connection is dropped before any request"),
    # --- answers to the upgrade ---
    Explains("edge-cold-start", ("ws-handshake-slow",), "the first request waits for the start"),
    Explains("rate-limited-429", ("DEPLOY001", "backend-flapping", "service-unavailable-503"),
        "the limiter lets some requests pass and not others"),
    Explains("DEPLOY001", ("CALL030", "url-query-refused", "AUTH006", "CLOSE001", "fastify-websocket-handler-signature",
        "CLOSE002", "CLOSE005", "ws-refuses-frames", "CLOSE008", "CLOSE006", "CLOSE009"),
        "only some instances answer so"),
    Explains("backend-flapping", ("AUTH006", "CLOSE001", "fastify-websocket-handler-signature", "CLOSE002", "CLOSE005",
        "ws-refuses-frames", "CLOSE006", "CLOSE009"), "the answer is that of the backend that is about to go"),
    Explains("ws-origin-check-403", ("ip-allowlist-403", "waf-blocks-upgrade", "AUTH001"), "with an Origin it is let in"),
    Explains("ws-host-check", ("waf-blocks-upgrade", "AUTH001", "proxy-location-missing"),
        "with the other Host it is let in"),
    Explains("node-ws-path-pattern", ("ROUTE001",), "the library's own rule about paths is the finer name"),
    Explains("ROUTE007", ("node-ws-attached-to-other-server", "HTTP001", "app-has-no-websocket", "proxy-location-missing"),
        "the application refuses a path that nobody asked for"),
    Explains("ROUTE001", ("proxy-location-missing", "asgi-route-missing-403", "ws-upgrade-closed", "http-no-answer"),
        "the stream is served under another path"),
    Explains("cloudflare-challenge-403", ("ip-allowlist-403", "waf-blocks-upgrade", "AUTH001", "service-unavailable-503"),
        "the answer is Cloudflare's challenge"),
    Explains("access-gate", ("waf-blocks-upgrade", "AUTH001", "redirect-on-upgrade"), "the gate sends people to its login"),
    Explains("ip-allowlist-403", ("waf-blocks-upgrade", "AUTH001", "proxy-location-missing"),
        "a list of addresses is the finer name"),
    Explains("waf-blocks-upgrade", ("service-unavailable-503",), "some filters refuse with 503"),
    Explains("AUTH006", ("CLOSE001",), "the close reason names the token"),
    Explains("edge-app-not-found", ("ROUTE006",), "the 404 is the platform's, not the application's"),
    Explains("cloudflare-52x-origin", ("HTTP003", "HTTP005"), "Cloudflare's own code is the finer name"),
    Explains("proxy-upstream-down", ("service-unavailable-503", "ws-upgrade-closed"),
        "the proxy answers for an application that is not there"),
    Explains("proxy-location-missing", ("HTTP003", "HTTP001", "app-has-no-websocket"),
        "the request never came to the application"),
    Explains("proxy-upstream-scheme-wrong", ("HTTP001",), "the backend answers 400 before it reads any header"),
    Explains("HTTP001", ("node-ws-attached-to-other-server", "app-has-no-websocket", "ROUTE006",
        "method-not-allowed-405", "HTTP017"), "without its headers an upgrade is an ordinary GET"),
    Explains("ws-version-or-key-rejected", ("HTTP001",), "the server saw the upgrade, and says what it dislikes"),
    Explains("ws-subprotocol-required", ("HTTP001",), "the server saw the upgrade, and says what it dislikes"),
    Explains("ws-101-incomplete", ("HTTP001", "app-has-no-websocket"), "a 101 came: the upgrade was seen"),
    Explains("fastify-websocket-plugin-order", ("HTTP001", "app-has-no-websocket", "HTTP017"),
        "the route runs as an ordinary handler"),
    Explains("socketio-not-websocket", ("ROUTE006", "outbound-envelope-wrong"), "Socket.IO has its own path and frames"),
    Explains("spa-fallback-200", ("app-has-no-websocket",), "the web site answers, not the application"),
    Explains("node-ws-attached-to-other-server", ("app-has-no-websocket",), "the finer name"),
    Explains("platform-no-websocket", ("app-has-no-websocket",), "the host takes no upgrade, whatever the application"),
    Explains("app-has-no-websocket", ("ROUTE006", "method-not-allowed-405"), "no path would take an upgrade"),
    Explains("WS004", ("http-no-answer",), "it answers, only late"),
    # --- frames and sound ---
    Explains("ws-extension-forced", ("ws-frames-invalid",), "compressed frames are invalid without the extension"),
    Explains("ws-frames-invalid", ("WS011", "WS013"), "the reader stops at the invalid frame"),
    Explains("server-stops-reading", ("WS011", "WS013", "no-audio-back"), "what is not read is not answered"),
    Explains("proxy-idle-timeout", ("WS011", "WS013"), "pings stop when the proxy cuts the stream"),
    Explains("conversation-relay-not-media", ("outbound-envelope-wrong", "no-audio-back"),
        "a relay's frames carry no audio"),
    Explains("outbound-envelope-wrong", ("sent-not-played", "@media"), "frames that cannot be read carry no audio"),
    Explains("outbound-not-base64", ("codec-container-sent", "rtp-header-sent", "codec-pcm16-sent-as-ulaw", "MEDIA007",
        "MEDIA008", "burst-send-too-fast", "MEDIA005", "MEDIA009", "WS011"), "the bytes are not the audio's"),
    Explains("codec-container-sent", ("codec-pcm16-sent-as-ulaw", "MEDIA007", "MEDIA008", "burst-send-too-fast",
        "MEDIA005", "WS011"), "a file's header and whole length are read as audio"),
    Explains("rtp-header-sent", ("codec-pcm16-sent-as-ulaw", "MEDIA007", "MEDIA008", "burst-send-too-fast", "MEDIA005",
        "MEDIA009", "WS011"), "the headers are read as audio"),
    Explains("codec-pcm16-sent-as-ulaw", ("MEDIA008", "burst-send-too-fast", "MEDIA005", "WS011"),
        "two bytes a sample are twice the time"),
    Explains("MEDIA007", ("burst-send-too-fast", "MEDIA005", "WS011"), "pace is judged on readable audio only"),
    Explains("MEDIA008", ("WS011",), "pace is judged on readable audio only"),
    Explains("audio-frames-damaged", ("MEDIA005", "burst-send-too-fast"),
        "frames that are lost or doubled change the pace"),
    Explains("burst-send-too-fast", ("WS011",), "the server answers pings after its burst"),
    Explains("bidirectional-mode-missing", ("target-legs-opposite", "sent-not-played"), "nothing sent is played"),
    Explains("target-legs-opposite", ("sent-not-played",), "it is played where nobody listens"),
    Explains("deploy-kills-streams", ("socket-lost", "stream-reconnected"), "the server ended its own sockets"),
    Explains("socket-went-silent", ("socket-lost", "stream-reconnected"), "a silent socket is closed after a while"),
    Explains("peer-breaks-protocol", ("socket-lost", "stream-reconnected"), "the socket is closed on a broken frame"),
    Explains("worker-timeout", ("crash-loop-or-oom", "deploy-kills-streams", "max-duration-cutoff", "socket-lost",
        "stream-reconnected"), "gunicorn ends the worker and with it the socket"),
    Explains("max-duration-cutoff", ("socket-lost", "stream-reconnected"), "the limit is what breaks the socket"),
    Explains("app-closes-stream", ("socket-lost", "stream-never-started", "stream-connection-failed", "no-inbound-media"),
        "the program closed the socket itself"),
    Explains("session-lookup-fails", ("socket-lost", "stream-never-started", "stream-connection-failed"),
        "the program closed the socket itself"),
    Explains("url-query-string-lost", ("socket-lost", "stream-never-started", "stream-connection-failed", "socket-refused"),
        "the program closed the socket for what it missed"),
    Explains("ws-auth-required-401", ("socket-lost", "stream-never-started", "stream-connection-failed"),
        "the program closed the socket itself"),
    Explains("handler-crashed", ("socket-lost", "CALL072", "streaming-start-never-sent", "stream-never-started",
        "no-inbound-media"), "the socket ends with its handler, and so does whatever it had to do next"),
    Explains("transfer-refused", ("caller-left-in-silence",), "nobody was dialled, so nobody could come"),
    Explains("command-refused", ("handler-played-nothing",), "what was to be heard was refused"),
    Explains("playback-failed", ("handler-played-nothing",), "what was to be heard could not be fetched"),
    Explains("conference-ended-its-creator", ("call-ended-abnormally",), "time_limit is how Telnyx names that end"),
    Explains("event-loop-blocked", ("handler-behind", "send-too-slow-underrun", "media-lost-or-late"),
        "nothing is read or sent while the loop stands still"),
)
# fmt: on

_PLACE: dict[str, int] = {key: n for n, key in enumerate(key for gate in GATES for key in gate.keys)}


def place_of_rule(rule: Rule) -> int:
    """Where a sign stands in the order of verdicts."""
    return _PLACE[rule.sign] if rule.sign in _PLACE else _PLACE[rule.slug]


_MINOR = frozenset(key for gate in GATES if gate.minor for key in gate.keys)


def minor(rule: Rule) -> bool:
    """Whether a sign stands in a gate whose faults break no call."""
    return (rule.sign if rule.sign in _PLACE else rule.slug) in _MINOR


def withholds(rule: Rule) -> bool:
    """Whether a finding of this rule takes back every other one, proven or not."""
    return rule.slug in _keys("@controls")


def place_of_cause(cause: Cause) -> int:
    """Where a cause stands in lists."""
    return _PLACE[cause.slug]


def _keys(symptom: str) -> tuple[str, ...]:
    if not symptom.startswith("@"):
        return (symptom,)
    return next(gate.keys for gate in GATES if gate.name == symptom[1:])


EDGES: frozenset[tuple[str, str]] = frozenset(
    (edge.cause, key) for edge in EXPLAINS for symptom in edge.symptoms for key in _keys(symptom) if key != edge.cause
)
"""(cause, symptom), each a slug or the code of a sign."""


def explains(cause: Rule, symptom: Rule) -> bool:
    """Whether a proven `cause` brings `symptom` about."""
    return cause.slug != symptom.slug and any(
        (deeper, shown) in EDGES for deeper in (cause.sign, cause.slug) for shown in (symptom.sign, symptom.slug)
    )


def explained_by(cause: Cause) -> tuple[str, ...]:
    """Keys of the causes that explain a finding of this one, for its page."""
    mine = {cause.slug, cause.code, *cause.old_codes}
    return tuple(dict.fromkeys(edge.cause for edge in EXPLAINS if any((edge.cause, key) in EDGES for key in mine)))
