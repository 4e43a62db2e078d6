"""CALL043: a second socket came while the first one lived."""

from callpath.doctor.calls import every, first, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, STARTED, a_call, turned_away
from callpath.timeline import FirstInbound, SocketReceived, SocketRejected


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = [
        (e, w)
        for e in every(known, SocketRejected)
        if isinstance(w := e.what, SocketRejected) and w.reason == "second_socket"
    ]
    if not found:
        return None
    entry, what = found[0]
    works = bool(every(known, FirstInbound))
    return Finding(
        "a second socket for this call came while the first one brought audio; it was refused",
        (*show_entries(known, first(known, SocketReceived), entry), f"from {what.client}"),
        kind="note" if works else "fault",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL043",
    slug="second-socket-refused",
    title="A second socket came for this call",
    owner="unclear",
    why="One socket carries a call. A second one comes where the stream is asked for twice, where Telnyx connects "
    "again while the old connection hangs in a proxy, or from somebody who tries.",
    fix="Ask for the stream once; look at what sent the second request.",
    named={
        "two before any audio": a_call(STARTED, turned_away("second_socket", 409)[-2:]),
        "beside a stream that works": a_call(BOTH_WAYS, turned_away("second_socket", 409)[-1:]),
    },
    quiet={"one": a_call(GOOD)},
)
