"""What is asked of an endpoint, and in which order: few requests, chosen by what came before.

A healthy endpoint gets the carrier's upgrade a few times and nothing else. One that refuses gets, within the request
budget, the requests that tell its likely causes apart. `--thorough` sends all of them, guessed paths, POST and other
protocols included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote, unquote

from callpath.doctor.facts import Exchange, UrlFacts
from callpath.doctor.probes.channel import USER_AGENT

BROWSER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 "
    + USER_AGENT
)
"""Begins as a browser's does and still names the doctor, so that logs can be read without its requests."""
TELNYX_ADDRESS = "192.76.120.130"
"""Inside the ranges Telnyx lists for webhooks and streams. Only ever sent in a header, as a forwarder would."""
MADE_UP_PATH = "/callpath-doctor-made-up-path"
OTHER_PATHS = (
    "/", "/ws", "/media", "/media-stream", "/stream", "/audio", "/socket", "/websocket", "/streams", "/telnyx",
    "/inbound-media-stream", "/api/media-stream", "/api/stream", "/api/ws", "/ws/media", "/api/calls/audio",
    "/api/calls/media-stream", "/api/audio", "/call-stream", "/calls", "/voice", "/ws/audio", "/media/stream", "/twilio",
    "/realtime", "/api/voice", "/voice/stream", "/call", "/telnyx/media", "/telnyx/stream", "/api/telnyx/media",
)  # fmt: skip
"""Where the projects read for failures.md serve their stream."""
ID_NAMES = (
    "id", "callId", "call_id", "sessionId", "session_id", "callSessionId", "call_session_id", "callControlId",
    "call_control_id", "sid", "uuid", "streamId", "stream_id", "call", "callSid", "call_sid", "session", "callid",
    "sessionid", "token", "name", "key", "callUuid", "call_uuid", "ID", "sessionID", "callID",
)  # fmt: skip
"""What people call the varying part of the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One request. The defaults are the carrier's: an upgrade with no Origin, no extension, no subprotocol."""

    name: str
    target: str | None = None
    method: str = "GET"
    upgrade: bool = True
    user_agent: str = USER_AGENT
    origin: str | None = None
    host: str | None = None
    token: bool = True
    extensions: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    alpn: tuple[str, ...] = ("http/1.1",)
    before: bytes = b""
    address: str | None = None
    connection: str = "Upgrade"
    http2: bool = False


CARRIER = Shape(name="carrier")

AGAIN = Shape(name="again")
PLAIN = Shape(name="plain", upgrade=False)
MADE_UP = Shape(name="made-up-path", target=MADE_UP_PATH)
MADE_UP_PLAIN = Shape(name="made-up-path-plain", target=MADE_UP_PATH, upgrade=False)
ROOT_PLAIN = Shape(name="root-plain", target="/", upgrade=False)
BROWSER_AGENT_ONLY = Shape(name="browser-agent", user_agent=BROWSER_AGENT)
SOCKET_IO = Shape(name="socket.io", target="/socket.io/?EIO=4&transport=websocket")
POST = Shape(name="post", method="POST", upgrade=False)
FORWARDED = Shape(name="forwarded-carrier", extra=(("X-Forwarded-For", TELNYX_ADDRESS), ("X-Real-IP", TELNYX_ADDRESS)))
FORWARDED_HTTPS = Shape(name="forwarded-https", extra=(("X-Forwarded-Proto", "https"),))
H2 = Shape(name="h2", alpn=("h2",), http2=True)
LOCALHOST = Shape(name="host:localhost", host="localhost")

LATE_TRIES = 3
"""Requests that are kept back for the same upgrade once more, after seconds: did something wake up?"""
SLOW_MS = 1000.0


def origin_of(url: UrlFacts) -> Shape:
    """With the site's own Origin, and nothing else of a browser."""
    return Shape(name="origin", origin=f"{'https' if url.secure else 'http'}://{url.authority}")


def browser_of(url: UrlFacts) -> Shape:
    """All that a browser sends and a carrier does not."""
    return Shape(
        name="browser",
        origin=origin_of(url).origin,
        user_agent=BROWSER_AGENT,
        extensions="permessage-deflate; client_max_window_bits",
        connection="keep-alive, Upgrade",
        extra=(("Accept-Language", "en"), ("Cache-Control", "no-cache"), ("Pragma", "no-cache")),
    )


def sibling_of(url: UrlFacts) -> Shape:
    """A path beside the given one that nobody serves: it takes the same way through a proxy."""
    return Shape(name="made-up-sibling", target=url.path.rstrip("/").rpartition("/")[0] + MADE_UP_PATH)


def after_refusal(url: UrlFacts, carrier: Exchange) -> Iterator[Shape]:
    """What tells the causes of this refusal apart, most telling first. The budget decides how many are sent."""
    yield PLAIN
    status = carrier.status if carrier.outcome == "answer" else 0
    if status in {301, 302, 303, 307, 308}:
        yield FORWARDED_HTTPS
        yield from _without_token_or_query(url)
        yield from _defects(url)
        yield MADE_UP
        return
    yield MADE_UP
    if status == 404:
        yield from _defects(url)
        yield MADE_UP_PLAIN
        yield from _without_token_or_query(url)
        yield from islice(_others(url, carrier), 2)
        yield ROOT_PLAIN
        yield from islice(_others(url, carrier), 2, None)
        return
    if status in {400, 401, 403, 406, 418, 444, 451, 493, 499, 501, 503}:
        yield browser_of(url)
    yield from _without_token_or_query(url)
    if status in {400, 421}:
        yield from _defects(url)
        yield LOCALHOST
    if status in {401, 403}:
        yield MADE_UP_PLAIN
        yield FORWARDED
        yield LOCALHOST
        yield from _defects(url)
    elif status in {502, 503, 504}:
        yield ROOT_PLAIN
        yield LOCALHOST
    elif not status:
        if url.secure:
            yield H2
        yield browser_of(url)
        yield LOCALHOST
    else:
        yield MADE_UP_PLAIN
        yield ROOT_PLAIN
        if status == 505 and url.secure:
            yield H2


def to_narrow_down(url: UrlFacts, seen: Mapping[str, Exchange]) -> Iterator[Shape]:
    """A request that differed in several things worked: which of them was it?"""
    browser = seen.get("browser")
    if browser is not None and browser.upgraded:
        yield origin_of(url)
        yield BROWSER_AGENT_ONLY


def all_shapes(url: UrlFacts, address: str, carrier: Exchange) -> Iterator[Shape]:
    """Everything, for --thorough."""
    yield from (PLAIN, origin_of(url), browser_of(url), BROWSER_AGENT_ONLY, MADE_UP, MADE_UP_PLAIN, ROOT_PLAIN)
    yield from (SOCKET_IO, POST, FORWARDED, H2 if url.secure else Shape(name="h2", alpn=(), http2=True))
    yield Shape(name="proxy-header", before=proxy_header(address, url.port))
    yield from _without_token_or_query(url)
    for name, target in _path_variants(url.path):
        yield _at(url, f"path:{name}", target)
    if carrier.status in {400, 403, 404, 421, 502, 503} or carrier.outcome != "answer":
        yield LOCALHOST
        yield Shape(name="host:127.0.0.1", host="127.0.0.1")
    if carrier.status in {301, 302, 307, 308}:
        yield FORWARDED_HTTPS
    yield from _others(url, carrier)
    if carrier.status == 400:
        for target in dict.fromkeys(_patterns(url.path)):
            yield Shape(name=f"pattern:{target}", target=target)


def only_thorough(url: UrlFacts, address: str, carrier: Exchange, sent: Iterable[str]) -> tuple[str, ...]:
    """Names of what --thorough would have sent besides."""
    asked = set(sent)
    return tuple(shape.name for shape in all_shapes(url, address, carrier) if shape.name not in asked)


def proxy_header(address: str, port: int) -> bytes:
    """What a balancer puts before the client's own bytes (PROXY protocol version 1, haproxy.org)."""
    if ":" in address:
        return f"PROXY TCP6 ::1 {address} 54321 {port}\r\n".encode()
    return f"PROXY TCP4 127.0.0.1 {address} 54321 {port}\r\n".encode()


def _without_token_or_query(url: UrlFacts) -> Iterator[Shape]:
    if url.token_given:
        yield Shape(name="no-token", token=False)
    if url.query:
        yield Shape(name="no-query", target=url.path)


def _at(url: UrlFacts, name: str, target: str) -> Shape:
    return Shape(name=name, target=target + (f"?{url.query}" if url.query else ""))


def _defects(url: UrlFacts) -> Iterator[Shape]:
    """The user's own path without what is likely wrong in it: no guess, since the path itself shows the defect."""
    path = url.path
    variants = dict(_path_variants(path))
    names = []
    if "//" in path:
        names += ["single-slashes", "single-slashes-no-trailing"]
    names += ["slash"] if path != "/" else []
    if path != path.lower():
        names += ["lower-case"]
    if any(character in path for character in ":+=@") or "%" in path:
        names += ["encoded", "encoded-whole", "decoded"]
    for name in names:
        if name in variants:
            yield _at(url, f"path:{name}", variants[name])


def _others(url: UrlFacts, carrier: Exchange) -> Iterator[Shape]:
    """Guessed paths. Where each answer takes long, only the likeliest are worth the wait."""
    prefixes = [f"path:{name}" for name in ("no-prefix", "api-prefix")]
    for name, target in _path_variants(url.path):
        if f"path:{name}" in prefixes:
            yield _at(url, f"path:{name}", target)
    others = (*OTHER_PATHS, *_other_spellings(url.path)) if carrier.ms < SLOW_MS else OTHER_PATHS[:6]
    for path in dict.fromkeys(others):
        if path != url.path:
            yield Shape(name=f"other:{path}", target=path)


def _path_variants(path: str) -> Iterable[tuple[str, str]]:
    """The same path as another hand would have written it."""
    collapsed = path
    while "//" in collapsed:
        collapsed = collapsed.replace("//", "/")
    variants = [
        ("slash", path.rstrip("/") if path.endswith("/") and len(path) > 1 else path + "/"),
        ("single-slashes", collapsed),
        ("single-slashes-no-trailing", collapsed.rstrip("/") or "/"),
        ("lower-case", path.lower()),
        ("encoded", "/".join(quote(unquote(part), safe="") for part in path.split("/"))),
        ("encoded-whole", _encoded_whole(path)),
        ("decoded", quote(unquote(path), safe="/:+=@,;!$&'()*~")),
        ("no-prefix", "/" + path.strip("/").partition("/")[2]),
        ("api-prefix", path.removeprefix("/api") if path.startswith("/api/") else "/api" + path),
    ]
    seen = {path, "/"}
    for name, target in variants:
        if target not in seen:
            seen.add(target)
            yield name, target


def _other_spellings(path: str) -> Iterable[str]:
    """Where the same stream may be served under another name: `/api/calls/ID/audio` as `/api/calls/ID/media`."""
    parts = path.strip("/").split("/")
    if len(parts) < 2:
        return
    identity = parts[-2]
    for last in ("media", "stream", "ws", "media-stream"):
        yield "/" + "/".join([*parts[:-1], last])
    yield "/" + "/".join(parts[:-1])
    yield "/" + "/".join([*parts[:-2], parts[-1]])
    for first in ("ws", "stream", "media", "media-stream", "audio", "call", "api/call", "api/stream"):
        yield f"/{first}/{identity}"
        yield f"/{first}/{identity}/{parts[-1]}"


def _encoded_whole(path: str) -> str:
    """An id may contain slashes: everything from its first odd character's part to the last one's, as one part."""
    parts = path.split("/")
    odd = [index for index, part in enumerate(parts) if any(c in ":+=" for c in part)]
    if not odd:
        return path
    whole = quote(unquote("/".join(parts[odd[0] : odd[-1] + 1])), safe="")
    return "/".join([*parts[: odd[0]], whole, *parts[odd[-1] + 1 :]])


def _patterns(path: str) -> Iterable[str]:
    """The path with its varying part written as a router's pattern: a server that takes patterns literally
    answers to them."""
    parts = path.strip("/").split("/")
    spots = [index for index, part in enumerate(parts) if any(c.isdigit() or c in "-_%:" for c in part)]
    if not spots and len(parts) >= 3:
        spots = [len(parts) - 2]
    for spot in spots[-1:]:
        for name in ID_NAMES:
            yield "/" + "/".join([*parts[:spot], f":{name}", *parts[spot + 1 :]])
        for name in ("*", "{id}", "{call_session_id}", "(.*)"):
            yield "/" + "/".join([*parts[:spot], name, *parts[spot + 1 :]])
    if len(parts) > 1:
        yield f"/{parts[0]}/*"
