"""CLOSE007: the server does not take what a carrier sends."""

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import ended, media

_WORDS = {
    1002: "it sees a breach of the WebSocket protocol (what a proxy changed on the way may cause it)",
    1003: "it takes no text messages; every frame of a carrier is a text",
    1007: "it finds the content inconsistent",
}


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.code not in _WORDS:
        return None
    return Finding(
        f"the server closed with {show_ending(ending)} after our {ending.after}: {_WORDS[ending.code]}",
        (show_ending(ending),),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="CLOSE007",
    slug="ws-refuses-frames",
    title="The server refuses the carrier's frames",
    owner="you",
    why="The handler expects other messages (binary ones, another schema) than the JSON texts that a carrier sends.",
    fix="Read texts and parse them as JSON: event, start, media.payload in base64.",
    named={"no texts, please": media(ending=ended(code=1003))},
    quiet={"1000": media(ending=ended(code=1000))},
)
