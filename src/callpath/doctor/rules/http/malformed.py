"""HTTP013: the answer is not HTTP/1."""

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, failed, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or carrier.outcome != "malformed" or carrier.raw[:1] == b"\x15":
        return None
    return Finding(f"the answer cannot be read as HTTP: {carrier.raw[:48]!r}", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP013",
    slug="http-malformed-answer",
    title="The answer is not HTTP",
    owner="you",
    why="Something on this port answers with other bytes: another protocol, or a hand-made server whose status line "
    "or head is broken.",
    fix="See what listens on the port, and compare its answer with RFC 9112: status line, headers, an empty line.",
    named={"garbage": upgrade(failed("malformed", raw=b"hello\r\n"))},
    quiet={"HTTP": upgrade(answer(404))},
)
