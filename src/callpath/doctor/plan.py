"""What an examination would send, as text for --plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from callpath.doctor.facts import Exchange, UrlFacts
from callpath.doctor.probes.channel import USER_AGENT
from callpath.doctor.probes.shapes import (
    LATE_TRIES,
    MADE_UP_PLAIN,
    ROOT_PLAIN,
    Shape,
    after_refusal,
    all_shapes,
    sibling_of,
)
from callpath.doctor.probes.url import probe_url
from callpath.doctor.probes.websocket import TRIES
from callpath.doctor.request import Request

_REFUSALS = (
    ("a redirect", Exchange(shape="carrier", status=301)),
    ("400", Exchange(shape="carrier", status=400)),
    ("401 or 403", Exchange(shape="carrier", status=403)),
    ("404", Exchange(shape="carrier", status=404)),
    ("500 or 426", Exchange(shape="carrier", status=500)),
    ("502, 503 or 504", Exchange(shape="carrier", status=502)),
    ("no answer", Exchange(shape="carrier", outcome="eof")),
)


def plan_text(request: Request) -> str:
    """Every request that may be sent, in order, and when."""
    return "\n".join(_plan(request)) + "\n"


def _plan(request: Request) -> Iterator[str]:
    url = probe_url(request)
    yield f"At most {request.requests_max} requests to {url.authority}, each with User-Agent: {USER_AGENT}"
    yield ""
    yield f"1. GET {url.target}  (the upgrade as Telnyx sends it)"
    yield "If it is answered with 101:"
    yield f"  one stream of {request.media_s:g} s: connected, start, media, mark, stop"
    yield f"  the same upgrade {TRIES} times more, each with one frame of silence"
    if request.idle_s:
        yield f"  three streams held open for {request.idle_s:g} s"
    beside = sibling_of(url).target
    yield f"  if the stream ended early: upgrade {beside}, GET {MADE_UP_PLAIN.target}, GET {ROOT_PLAIN.target}"
    yield "If it is refused:"
    yield f"  the same upgrade again, and up to {LATE_TRIES} times at the end"
    room = request.requests_max - 2 - LATE_TRIES
    for title, carrier in _REFUSALS:
        yield f"  after {title}: {_listed(url, _shapes(request, url, carrier), room)}"
    yield "If TLS fails: handshakes in other forms, and one plain GET."
    if not url.secure:
        yield "If ws:// fails: the same upgrade over TLS."
    controls = request.controls
    if controls is None or request.is_local or url.host_class != "public":
        yield "No other host is asked."
    else:
        resolvers = " and ".join(address for address, _ in controls.resolvers)
        yield (
            f"After a failed step only: DNS, TCP and TLS to {controls.host}:{controls.port} (no request), the name at "
            f"{resolvers}, and a connection to {controls.ipv6[0]} where IPv6 failed."
        )
    if not request.thorough:
        yield "Only with --thorough: guessed paths beyond these, POST, HTTP/2 without TLS, PROXY headers, router patterns."


def _shapes(request: Request, url: UrlFacts, carrier: Exchange) -> Iterable[Shape]:
    return all_shapes(url, "192.0.2.1", carrier) if request.thorough else after_refusal(url, carrier)


def _listed(url: UrlFacts, shapes: Iterable[Shape], room: int) -> str:
    names = []
    for shape in list({shape.name: shape for shape in shapes}.values())[:room]:
        kind = "upgrade" if shape.upgrade else shape.method
        what = shape.target or url.path
        how = "" if shape.name in {"plain", "root-plain"} or shape.target else f" ({shape.name})"
        names.append(f"{kind} {what}{how}")
    return ", ".join(names)
