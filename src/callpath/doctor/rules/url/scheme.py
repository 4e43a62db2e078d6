"""URL001: the scheme is not wss, and that is what breaks."""

from callpath.doctor.answers import any_variant_works, mixed
from callpath.doctor.calls import compared
from callpath.doctor.facts import Exchange, Facts, OtherSchemeFacts, UpgradeFacts, UrlFacts
from callpath.doctor.rule import IN_THE_URL, Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import answer, upgrade, url
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, HOST, SESSION, TAKEN, a_call, asking, hung_up


def url_scheme(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if given.scheme in {"http", "https"}:
        return Finding(
            f"the URL begins with {given.scheme}://, a media stream needs wss://",
            (f"given: {given.raw[:80]!r}",),
            fix=f"wss://{given.authority}{given.target}",
            certain=IN_THE_URL,
        )
    if given.scheme not in {"ws", "wss"}:
        shown = f"{given.scheme}://" if given.scheme else "no scheme"
        summary = f"the URL has {shown}, a media stream needs wss://"
        return Finding(summary, (f"given: {given.raw[:80]!r}",), certain=IN_THE_URL)
    if given.scheme == "wss":
        return None
    upgrade_facts = facts.get(UpgradeFacts)
    other = facts.get(OtherSchemeFacts)
    if upgrade_facts is None or mixed(facts):
        return None
    carrier = upgrade_facts.carrier
    if carrier.upgraded:
        meant = given.host_class != "public" or (given.vouched and given.port_given)
        return Finding(
            "ws:// works here, but Telnyx documents wss:// only, and the call's audio would cross the internet "
            "in the clear",
            (f"given: {given.raw[:80]!r}",),
            confidence="medium",
            kind="note" if meant else "fault",
        )
    if any_variant_works(facts):
        return None
    if "HTTPS port" in carrier.text or "SSL-enabled server port" in carrier.text:
        return Finding(
            "ws:// was sent to a port that speaks TLS, and the server says so",
            (Seen(carrier.text[:120], "the request as Telnyx"),),
        )
    if carrier.status in {301, 302, 307, 308} and _moved_to_https(given, carrier):
        return Finding(
            "the URL says ws://, and port 80 only redirects to https, which no WebSocket client follows",
            (Seen(f"{carrier.status}, location: {carrier.header('location')}", "the request as Telnyx"),),
        )
    if other is not None and other.exchange is not None and _secure_is_meant(carrier, other):
        return Finding(
            "the URL says ws://, but the endpoint wants TLS: the handshake of the wss:// form works",
            (
                Seen(f"ws://: {carrier.outcome} {carrier.status or ''}", "the request over ws://"),
                Seen(f"wss://: {other.exchange.status or other.exchange.outcome}", "the request over wss://"),
            ),
        )
    return None


def _moved_to_https(given: UrlFacts, carrier: Exchange) -> bool:
    """The default port sends us to the same place over https."""
    location = carrier.header("location") or ""
    return not given.port_given and location.rstrip("/") == f"https://{given.host}{given.target}".rstrip("/")


def _secure_is_meant(carrier: Exchange, other: OtherSchemeFacts) -> bool:
    """Plain text failed without an HTTP answer of its own, or was sent on to https."""
    if carrier.status in {301, 302, 307, 308, 426}:
        return (carrier.header("location") or "https:").startswith("https:")
    return other.tls_on_port


def call_scheme(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or urls.sent.scheme == urls.served.scheme:
        return None
    return Finding(
        f"the stream was asked for with {urls.sent.scheme}://, the world reaches this server with {urls.served.scheme}://",
        urls.lines,
    )


CAUSE = Cause(
    code="URL001",
    slug="url-scheme-not-wss",
    title="The stream URL does not begin with wss://",
    owner="you",
    why="The carrier opens a secure WebSocket. With another scheme the command is refused, or the connection goes to "
    "a port that expects TLS, or gets a redirect that no WebSocket client follows.",
    fix="Write the URL with wss:// (turn https into wss where you build it), and refuse anything else at start-up.",
    signs=(
        Sign(
            "url",
            url_scheme,
            named={"an https URL": upgrade(answer(101), given=url(scheme="https"))},
            quiet={"a wss URL": upgrade(answer(404))},
        ),
        Sign(
            "call",
            call_scheme,
            code="CALL029",
            title="The stream URL has the wrong scheme",
            why="Behind a proxy that ends TLS a program sees http and builds ws://; Telnyx then speaks plainly to a "
            "port that wants TLS, or to port 80, where it is redirected.",
            fix="wss://. Build the URL from PUBLIC_URL, not from the request's own scheme.",
            named={
                "ws": a_call(ANSWERED, asking(f"ws://{HOST}/api/calls/{SESSION}/audio"), TAKEN, (20_000, hung_up()))
            },
            quiet={"wss": a_call(ACCEPTED, (20_000, hung_up()))},
        ),
    ),
)
