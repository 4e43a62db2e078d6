"""WS007: a 101 without its Upgrade or Connection header."""

from dataclasses import replace

from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    if carrier.outcome != "answer":
        return None
    if carrier.status == 200 and carrier.has("sec-websocket-accept"):
        return Finding(
            "the handshake is answered with 200 in the place of 101", tuple(f"{n}: {v}" for n, v in carrier.headers)
        )
    if carrier.status != 101 or (not carrier.accept_ok and carrier.has("upgrade", "websocket")):
        return None
    missing = [
        f"{name}: {part}"
        for name, part in (("Upgrade", "websocket"), ("Connection", "Upgrade"))
        if not carrier.has(name, part)
    ]
    if not missing:
        return None
    return Finding(
        f"the 101 lacks {' and '.join(missing)}", tuple(f"{name}: {value}" for name, value in carrier.headers)
    )


CAUSE = Cause.of(
    "url",
    check,
    code="WS007",
    slug="ws-101-incomplete",
    title="The 101 lacks the headers that make it an upgrade",
    owner="you",
    why="Clients must close when Upgrade or Connection is missing or different in the 101 (RFC 6455 4.1); a proxy "
    "that deletes them on the way back has the same effect.",
    fix="Keep Upgrade and Connection in the answer (no proxy_hide_header, http-response del-header or Header unset "
    "for them).",
    named={
        "no Connection": upgrade(
            replace(answer(101), headers=(("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "right")))
        )
    },
    quiet={"a whole one": upgrade(answer(101))},
)
