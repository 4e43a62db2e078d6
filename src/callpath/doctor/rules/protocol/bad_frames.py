"""WS010: the server's frames break the protocol."""

from callpath.doctor.facts import Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import media


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    faults = [fault for fault in stream.protocol_errors if "compressed" not in fault]
    if not faults:
        return None
    return Finding(
        f"a frame that a strict client closes for: {faults[0]}",
        tuple(Seen(fault, f"frame {number}") for number, fault in enumerate(faults, 1)),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="WS010",
    slug="ws-frames-invalid",
    title="The server sends frames that break the WebSocket protocol",
    owner="you",
    why="Hand-made framing (masked frames, wrong opcodes, invalid UTF-8) or a proxy that writes into the stream. A "
    "carrier's client closes at the first such frame.",
    fix="Use a WebSocket library on the server (pip install websockets, npm install ws), and keep filters away from "
    "the stream.",
    named={"masked": media(protocol_errors=("a frame from the server is masked",))},
    quiet={"sound frames": media()},
)
