"""MEDIA010: no audio came back."""

from callpath.doctor.closings import early
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import media


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if stream.arrivals or early(facts) is not None:
        return None
    return Finding(
        f"the server took {stream.sent_frames} frames and sent none",
        ("right for a program that only listens, or speaks later",),
        kind="note",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA010",
    slug="no-audio-back",
    title="No audio came back in this time",
    owner="unclear",
    why="The stream works one way. A listener, or a bot that waits for speech, is right to be silent; one that should "
    "greet is not.",
    fix="If it should speak: look at its speech service, and run again with --media 10.",
    named={"silence": media()},
    quiet={"an echo": media(Arrival(20.0, "text", 300, "", "media", b"\xff" * 160))},
)
