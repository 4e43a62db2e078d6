"""Commands that show a finding without the doctor: curl, openssl, dig, websocat."""

from __future__ import annotations

import shlex

from callpath.doctor.facts import DnsFacts, Facts, MediaFacts, TlsFacts, UpgradeFacts, UrlFacts
from callpath.doctor.rules import known
from callpath.doctor.verdict import Diagnosis

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""RFC 6455's own example."""

_STREAM_LAYERS = {"protocol", "codec", "pacing", "keepalive", "handler"}
_BELOW_HTTP = {"dns", "tcp", "network", "tls"}


def reproduce(diagnosis: Diagnosis) -> str:
    """The command that shows the evidence of a URL's verdict without the doctor; "" where there is none."""
    if diagnosis.verdict is None or diagnosis.call is not None:
        return ""
    return command_for(diagnosis.facts, diagnosis.verdict.rule.layer)


def next_steps(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What may be the cause where none is proven, likeliest first: (title, command)."""
    verdict = diagnosis.verdict
    if verdict is None or verdict.finding.kind == "fault":
        return []
    # The commands are about a URL that was just examined; a call that is over cannot be tried again.
    facts = diagnosis.facts if diagnosis.call is None else Facts()
    return [command_for_cause(facts, slug) for slug in verdict.finding.candidates]


def command_for(facts: Facts, layer: str) -> str:
    """The command that shows what a finding of this layer saw; "" where a URL was not probed, or none would show it."""
    url = facts.get(UrlFacts)
    if url is None or url.problem or not url.host or layer in {"url", "account", "webhook", "call-control"}:
        return ""
    if layer == "dns":
        return _dig(facts, url)
    if layer in {"tcp", "network"}:
        return f"nc -vz -w 4 {_address(facts, url)} {url.port}"
    if layer == "tls" or (layer not in _BELOW_HTTP and _stopped_at_tls(facts)):
        name = "" if url.host_is_address else f" -servername {url.host}"
        return f"openssl s_client -connect {_address(facts, url)}:{url.port}{name} -showcerts </dev/null"
    if layer in _STREAM_LAYERS and MediaFacts in facts:
        return f"websocat -v {shlex.quote(_as_given(url))}  # then paste: " + '{"event":"connected","version":"1.0.0"}'
    return _curl(facts, url)


def command_for_cause(facts: Facts, slug: str) -> tuple[str, str]:
    """(title, command) of a candidate. An unknown slug is its own title."""
    causes = known(slug)
    if not causes:
        return _NO_CAUSE.get(slug, slug.replace("-", " ")), ""
    command = command_for(facts, causes[0].layer) or f"callpath doctor explain {causes[0].code}"
    if slug in _ONLY_THOROUGH and UrlFacts in facts:
        command = f"callpath doctor url --thorough {shlex.quote(_as_given(facts[UrlFacts]))}"
    elif slug in _NEEDS_TIME and UrlFacts in facts:
        command = f"callpath doctor url --idle 130 {shlex.quote(_as_given(facts[UrlFacts]))}"
    return causes[0].title, command


_ONLY_THOROUGH = {"http2-only-endpoint", "proxy-protocol-expected", "node-ws-path-pattern", "url-path-mismatch"}
_NEEDS_TIME = {"proxy-idle-timeout", "max-duration-cutoff"}


_NO_CAUSE = {
    "firewall-ip-allowlist": "A firewall admits the doctor and not Telnyx's addresses",
    "fork-started": "Another program started a fork on this call",
    "handler-attached-late": "The handler was attached after the audio had begun",
    "outbound-clipped": "The gain is too high: the audio is clipped",
    "outbound-quiet-on-purpose": "The program plays it so quietly on purpose",
    "packets-lost": "Packets were lost on the way",
    "not-telnyx": "Somebody else than Telnyx connected",
    "proxy-buffering-or-compression": "A proxy buffers or compresses the stream",
    "somebody-tried-the-url": "Somebody tried the URL by hand",
    "stream-parameters-together": "Two stream parameters that do not go together",
    "streaming-limit-at-telnyx": "Telnyx's limit of streams is reached",
    "streaming-stop-by-another-program": "Another program sent streaming_stop",
    "two-channels": "Two channels in the place of one",
    "unknown-call-refused": "The server rightly refuses a call that it does not know",
}
"""Candidates that no sign can name by itself."""


def _dig(facts: Facts, url: UrlFacts) -> str:
    dns = facts.get(DnsFacts)
    asked = next((query.server for query in dns.queries if query.server not in {"", "system"}), "") if dns else ""
    address, _, port = asked.partition(":") if asked.count(":") == 1 else (asked, "", "")
    server = f" @{address}" if address else ""
    return f"dig{server}{f' -p {port}' if port else ''} {url.host} A"


def _address(facts: Facts, url: UrlFacts) -> str:
    """The host, or the address that --resolve named."""
    dns = facts.get(DnsFacts)
    host = dns.addresses[0] if dns is not None and dns.source == "override" and dns.addresses else url.host
    return f"[{host}]" if ":" in host else host


def _stopped_at_tls(facts: Facts) -> bool:
    tls = facts.get(TlsFacts)
    return tls is not None and tls.carrier.outcome != "ok" and UpgradeFacts not in facts


def _as_given(url: UrlFacts) -> str:
    scheme = url.scheme or "wss"
    return f"{scheme}://{url.authority}{url.target}"


def _curl(facts: Facts, url: UrlFacts) -> str:
    scheme = "https" if url.secure else "http"
    words = ["curl -i -N --http1.1 --max-time 10"]
    dns = facts.get(DnsFacts)
    if dns is not None and dns.source == "override" and dns.addresses:
        words.append(f"--resolve {url.host}:{url.port}:{dns.addresses[0]}")
    words += [
        "-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13'",
        f"-H 'Sec-WebSocket-Key: {_KEY}'",
        shlex.quote(f"{scheme}://{url.authority}{url.target}"),
    ]
    return " ".join(words)
