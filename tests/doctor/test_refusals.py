"""The table of edges: known by host name, and by their own pages only."""

from __future__ import annotations

import re

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.facts import DnsFacts, DnsQuery, Facts, UrlFacts
from callpath.doctor.refusals import EDGES, REFUSALS, Refusal, edge_of_host, names_of, refusal_by
from callpath.doctor.rules.sample import answer, upgrade, url

KNOWN = {edge.name for edge in EDGES} | {"Azure Application Gateway"}


@pytest.mark.parametrize(
    ("names", "edge"),
    [
        (("bot-production.up.railway.app",), "Railway"),
        (("app.onrender.com",), "Render"),
        (("app.fly.dev",), "Fly"),
        (("voice.example.com", "app-1.herokudns.com."), "Heroku"),
        (("bot-abc-uc.a.run.app",), "Cloud Run"),
        (("bot.azurewebsites.net",), "Azure App Service"),
        (("1234.ngrok-free.app",), "ngrok"),
        (("a-b-c.trycloudflare.com",), "Cloudflare"),
        (("voice.example.com", "lb-1.eu-central-1.elb.amazonaws.com"), "ALB"),
        (("voice.example.com", "d111111abcdef8.cloudfront.net", "x.cloudfront.net"), "CloudFront"),
        (("abc.execute-api.eu-west-1.amazonaws.com",), "API Gateway"),
        (("voice.example.com", "dualstack.x.global.fastly.net"), "Fastly"),
        (("app.vercel.app",), "Vercel"),
        (("voice.example.com",), None),
        (("notrailway.app",), None),
        (("onrender.com.example.com",), None),
    ],
)
def test_an_edge_is_known_by_its_names(names: tuple[str, ...], edge: str | None) -> None:
    """A silent edge sends no header to be known by."""
    found = edge_of_host(*names)

    assert edge == (found.name if found is not None else None)


def test_names_come_from_the_url_and_its_cnames() -> None:
    """A custom domain shows its host only in DNS."""
    query = DnsQuery("A", "answer", "192.0.2.53", 9.0, ("203.0.113.1",), ("app.onrender.com.",))
    facts = Facts(url(), DnsFacts(name="voice.example.com", source="system", queries=(query,)))

    assert ("voice.example.com", "app.onrender.com.") == names_of(facts)
    assert () == names_of(Facts())


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row.edge} {row.statuses[0]} {row.meaning}")
def test_rows_are_sound(row: Refusal) -> None:
    """A row for an edge that is never recognised, or with a pattern that does not compile, never speaks."""
    assert row.edge in KNOWN
    re.compile(row.pattern)
    assert row.fix


@pytest.mark.parametrize(
    ("host", "given", "slug"),
    [
        ("x.elb.amazonaws.com", answer(503, "<center><h1>503 Service Temporarily Unavailable</h1></center>"),
         "edge-app-failed-to-respond"),
        ("x.elb.amazonaws.com", answer(502, "<center><h1>502 Bad Gateway</h1></center>"), "edge-app-failed-to-respond"),
        ("a.trycloudflare.com", answer(502, "error code: 502", Server="cloudflare"), "edge-app-failed-to-respond"),
        ("a.example.com", answer(503, "upstream x via_upstream (503 -) App Platform failed to forward this request",
                                 x_do_orig_status="503"), "edge-app-failed-to-respond"),
        ("a.fly.dev", answer(502, "", Server="Fly/1"), "edge-app-failed-to-respond"),
        ("a.azurewebsites.net", answer(403, "<h1>Error 403 - This web app is stopped.</h1>"), "edge-app-not-found"),
        ("a.run.app", answer(404, "The requested URL <code>/x</code> was not found on this server.",
                             Server="Google Frontend"), "edge-app-not-found"),
        ("a.ngrok-free.app", answer(404, "The endpoint a is offline. ERR_NGROK_3200"), "edge-app-not-found"),
        ("a.run.app", answer(403, "Your client does not have permission to get URL <code>/</code>"), "waf-blocks-upgrade"),
        ("a.elb.amazonaws.com", answer(504, "<center><h1>504 Gateway Time-out</h1></center>"),
         "proxy-upstream-timeout-504"),
    ],
)  # fmt: skip
def test_an_edges_own_page_names_the_cause(host: str, given: object, slug: str) -> None:
    """The commonest outages of hosts: the page says what it is, and nobody has to guess."""
    diagnosis = judge("", upgrade(given, given=UrlFacts(raw="", host=host)))  # type: ignore[arg-type]

    assert diagnosis.verdict is not None
    assert (slug, 1) == (diagnosis.verdict.rule.slug, diagnosis.exit_code)


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, '{"error":"warming up"}'), (502, '{"error":"the model is down"}'), (404, '{"detail":"no such call"}')],
)
def test_an_applications_own_answer_is_not_the_edges(status: int, body: str) -> None:
    """Edges put their headers on what they pass on: the status alone says nothing of its author."""
    edges = frozenset(edge.name for edge in EDGES)

    assert refusal_by(edges, answer(status, body, Server="cloudflare", CF_Ray="1", fly_request_id="1")) is None
