"""MEDIA009: frames come, and hold nothing."""

from callpath.call.symptoms import SILENT_S
from callpath.doctor.calls import every, measure, symptom_seen, symptom_words
from callpath.doctor.closings import settled
from callpath.doctor.facts import Arrival, CallFacts, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import media
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed
from callpath.timeline import StreamStarted

_SILENCE = {"PCMU": {0xFF, 0x7F}, "PCMA": {0xD5, 0x55}}
"""What silence is in each encoding; any other byte, again and again, is a loud direct current."""


def media_silence(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream) or len(stream.media) < 25:
        return None
    values = {value for arrival in stream.media for value in (arrival.payload or b"")}
    if len(values) > 1:
        return None
    if not values:
        return Finding(f"{len(stream.media)} media frames came, all with an empty payload")
    value = next(iter(values))
    silence = _SILENCE.get(stream.codec, {0x00})
    evidence = ("0xFF and 0x7F are mu-law's silence, 0xD5 and 0x55 A-law's, 0x00 what zeroed PCM leaves",)
    if value in silence:
        return Finding(
            f"{len(stream.media)} frames came, and all are silence",
            evidence,
            kind="limited",
            confidence="low",
            candidates=("sends-silence",),
            question="Does the program wait until the caller says something it understands? Then this is right: call "
            "it and speak. Else its speech service gives nothing: read its log.",
        )
    return Finding(f"{len(stream.media)} frames came, all of one byte: 0x{value:02X}", evidence)


def call_we_are_silent(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    found = symptom_seen(call, "SYM006")
    if found is None:
        return None
    words = symptom_words(call, found)
    told_at_end = 0 < measure(found, "seconds") < SILENT_S
    if told_at_end and len(every(call, StreamStarted)) < 2:
        return Finding(*words)
    return Finding(
        *words,
        kind="limited",
        question="Was the handler meant to be silent for so long, and did it speak later? Then nothing is wrong. This "
        "was told before the call was over: the recording tells.",
    )


CAUSE = Cause(
    code="MEDIA009",
    slug="sends-silence",
    title="The application sends nothing but silence",
    owner="you",
    why="The stream works, its source does not: a muted or failing speech service, zeroed buffers, a wrong conversion.",
    fix="Log the level of what the source gives before it is encoded.",
    signs=(
        Sign(
            "url",
            media_silence,
            named={"0xFF": media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60)))},
            quiet={"sound": media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xfe\x7e" * 80) for n in range(60)))},
        ),
        Sign(
            "call",
            call_we_are_silent,
            code="CALL065",
            title="Nothing but digital silence was sent to the caller",
            why="The handler plays, but what it plays is silence: a muted or failed text-to-speech, or zeros that "
            "were encoded.",
            fix="Look at the source of the audio: save what goes into play() to a file and listen.",
            named={
                "SYM006 at the end of the stream": a_call(BOTH_WAYS, noticed("SYM006", seconds="8")),
                "after 30 s, when words may still come": a_call(BOTH_WAYS, noticed("SYM006", seconds="30")),
            },
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
    ),
)
