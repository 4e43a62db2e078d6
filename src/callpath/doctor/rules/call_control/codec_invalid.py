"""CALL018: streaming_start was refused for a codec or sampling rate."""

import re

from callpath.doctor.calls import asked, needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking
from callpath.wire.document import Json

CODECS = {"PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16"}

RATES = {8000, 16000, 22050, 24000, 48000}


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in {"10032", "10033", "10026", "10015"})
    if found is None:
        return None
    entry, what = found
    request = asked(known)
    wrong = _wrong(request.body) if request is not None and request.body else []
    named = re.search(r"stream_(bidirectional_)?(codec|sampling_rate|mode)", what.error_detail or "")
    if not wrong and named is None:
        return None
    return Finding(
        f"Telnyx refused {what.command}: {refused_by(what)}" + (f"; wrong: {', '.join(wrong)}" if wrong else ""),
        show_entries(known, entry),
    )


def _wrong(body: Json) -> list[str]:
    """Parameters whose value Telnyx does not list."""
    found = [
        f"{name} {body[name]!r}"
        for name in ("stream_codec", "stream_bidirectional_codec")
        if name in body and body[name] not in CODECS | ({"default"} if name == "stream_codec" else set())
    ]
    if body.get("stream_bidirectional_sampling_rate", 8000) not in RATES:
        found.append(f"stream_bidirectional_sampling_rate {body['stream_bidirectional_sampling_rate']!r}")
    if body.get("stream_bidirectional_mode", "rtp") not in {"rtp", "mp3"}:
        found.append(f"stream_bidirectional_mode {body['stream_bidirectional_mode']!r}")
    return found


CAUSE = Cause.of(
    "call",
    check,
    code="CALL018",
    slug="bidirectional-codec-invalid",
    title="A codec, mode or rate of the stream has a value that does not exist",
    owner="you",
    why="Names are case-sensitive: PCMU, PCMA, G722, OPUS, AMR-WB, L16; rates are 8000, 16000, 22050, 24000 and 48000.",
    fix='stream_bidirectional_mode: "rtp", stream_bidirectional_codec: "PCMU", stream_bidirectional_sampling_rate: 8000',
    named={
        "small letters": a_call(
            ANSWERED, asking(stream_bidirectional_codec="pcmu"), answered("streaming_start", 422, "10032", "one of")
        )
    },
    quiet={"accepted": a_call(ACCEPTED)},
)
