"""MEDIA013: an echo that loses frames, doubles them or changes their order."""

from callpath.doctor.closings import early, heard
from callpath.doctor.facts import Arrival, Echo, Ending, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import media

SHARE_MAX = 0.1
"""Of the frames that came back. A sender that skips when it is late skips fewer."""
STOPPED_MS = 700.0


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    echo = stream.echo
    if echo is None or early(facts) is not None:
        return None
    evidence = (heard(stream, f"{echo.came} of {stream.sent_frames} frames came back as they were sent"),)
    if echo.again > SHARE_MAX * echo.came:
        return Finding(
            f"{echo.again} of {echo.came} frames came back more than once",
            evidence,
            title="Audio frames are sent twice",
            fix="Two tasks or two listeners send the same audio: log who sends, and register the sender once a stream.",
        )
    if echo.early > SHARE_MAX * echo.came:
        return Finding(
            f"{echo.early} of {echo.came} frames came back before one that was sent before them",
            evidence,
            title="Audio frames are sent in the wrong order",
            fix="Send from one task in the order of arrival: one queue, no pool of workers, no task for each frame.",
        )
    if echo.lost > SHARE_MAX * (echo.came + echo.lost):
        return Finding(
            f"{echo.lost} of {echo.came + echo.lost} frames did not come back, though later ones did",
            evidence,
            title="Audio frames are lost in the application",
            fix="Count frames where they are read and where they are sent; a queue between the two drops them.",
        )
    if echo.due_ms > STOPPED_MS and stream.ending.kind != "open":
        return Finding(
            f"the caller's audio came back up to a point, and then for {echo.due_ms / 1000:.1f} s no more",
            evidence,
            kind="open",
            confidence="medium",
            title="Audio comes back at first, and then no more",
            question="Is the program to answer only for a moment? If not, its sending task has ended: look for an "
            "exception in its log, and run again with --media 10.",
        )
    return None


def _echo(ending: Ending | None = None, **fields: float) -> Facts:
    frames = tuple(Arrival(20.0 * n, "text", 300, "", "media", bytes([n]) * 160) for n in range(60))
    return media(*frames, ending=ending, echo=Echo(**{"came": 60} | fields))  # type: ignore[arg-type]


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA013",
    slug="audio-frames-damaged",
    title="Audio frames are doubled, reordered or lost in the application",
    owner="you",
    why="What comes back is, byte for byte, what was sent, so nothing is wrong with the encoding; but the caller hears a "
    "stutter. The application handles the same frame twice, in parallel, or not at all.",
    fix="Let one task read, one queue keep the order, and one task send.",
    named={
        "each frame twice": _echo(again=60),
        "pairs exchanged": _echo(early=30),
        "every second frame": _echo(came=30, lost=29),
        "the sending task has ended": _echo(due_ms=1000.0),
    },
    quiet={
        "each frame once and in order": _echo(),
        "a few are skipped": _echo(came=57, lost=3),
        "no answer to our close either": _echo(
            Ending(by="us", kind="open", at_ms=2300.0, after="close"), due_ms=1000.0
        ),
        "no echo": media(Arrival(20.0, "text", 300, "", "media", b"\xff" * 160)),
    },
)
