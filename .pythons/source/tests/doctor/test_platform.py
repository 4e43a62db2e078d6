"""Who answered, and who only passed it on."""

from __future__ import annotations

import pytest

from callpath.doctor.facts import Exchange
from callpath.doctor.platform import author, proxies, recognise
from callpath.doctor.rules.sample import NGINX_404, answer


@pytest.mark.parametrize(
    ("exchange", "name", "kind"),
    [
        (answer(404, NGINX_404, Server="nginx"), "nginx", "proxy"),
        (answer(404, "no such call", Server="nginx"), "", "unknown"),
        (answer(503, "<html><body><h1>503 Service Unavailable</h1>\nNone.\n</body></html>"), "HAProxy", "proxy"),
        (answer(404, "<pre>Cannot GET /x</pre>", X_Powered_By="Express"), "Express", "app"),
        (answer(404, '{"message":"Route GET:/x not found","error":"Not Found","statusCode":404}'), "Fastify", "app"),
        (answer(400, "Bad Request", Content_Type="text/html"), "ws", "app"),
        (answer(502, "{}", x_railway_fallback="true"), "Railway", "edge"),
        (answer(403, "", cf_mitigated="challenge", Server="cloudflare"), "Cloudflare", "edge"),
        (answer(200, "", Server="Caddy"), "Caddy", "proxy"),
        (answer(200, "", Server="Caddy", X_App="1"), "", "unknown"),
        (answer(404, "", x_callpath="1", Server="nginx"), "callpath", "app"),
    ],
)  # fmt: skip
def test_author(exchange: Exchange, name: str, kind: str) -> None:
    """A proxy that passes an answer on leaves its header; one that answers itself leaves its page."""
    trace = author(exchange)

    assert (name, kind) == (trace.name, trace.kind)


def test_everything_on_the_way() -> None:
    """Edges first, then proxies, then the application."""
    exchange = answer(404, "<pre>Cannot GET /</pre>", Server="nginx", X_Powered_By="Express", x_railway_request_id="a")

    assert [trace.name for trace in recognise(exchange)] == ["Railway", "nginx", "Express"]
    assert proxies(exchange) == ("Railway", "nginx")
