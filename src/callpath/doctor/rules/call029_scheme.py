"""CALL029: the stream URL has another scheme than this server is served with."""

from __future__ import annotations

from callpath.doctor.calls import compared
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, HOST, SESSION, TAKEN, a_call, asking, hung_up


def check(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or urls.sent.scheme == urls.served.scheme:
        return None
    return Finding(
        f"the stream was asked for with {urls.sent.scheme}://, the world reaches this server with {urls.served.scheme}://",
        urls.lines,
    )


RULE = Rule(
    code="CALL029",
    slug="url-scheme-not-wss",
    title="The stream URL has the wrong scheme",
    layer="url",
    owner="you",
    why="Behind a proxy that ends TLS a program sees http and builds ws://; Telnyx then speaks plainly to a port "
    "that wants TLS, "
    "or to port 80, where it is redirected.",
    fix="wss://. Build the URL from PUBLIC_URL, not from the request's own scheme.",
    check=check,
    examples=(
        Example(
            "ws",
            a_call(ANSWERED, asking(f"ws://{HOST}/api/calls/{SESSION}/audio"), TAKEN, (20_000, hung_up())),
            fires=True,
        ),
        Example("wss", a_call(ACCEPTED, (20_000, hung_up())), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
