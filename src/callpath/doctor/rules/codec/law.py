"""MEDIA007: A-law where mu-law belongs, or the reverse."""

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.closings import heard, settled
from callpath.doctor.facts import Arrival, CallFacts, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import media
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def media_law(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream) or {stream.codec, stream.heard_as} != {"PCMU", "PCMA"}:
        return None
    return Finding(
        f"the stream carries {stream.codec}, the bytes that come are {stream.heard_as}",
        (heard(stream, f"by the statistics of the bytes of {len(stream.media)} frames"),),
    )


def call_wrong_law(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM001")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found))


CAUSE = Cause(
    code="MEDIA007",
    slug="codec-alaw-as-ulaw",
    title="A-law/µ-law mismatch (PCMA sent as PCMU, or the reverse)",
    owner="you",
    why="Outside North America calls carry PCMA. Bytes of one law read as the other are loud static.",
    fix="Obey start.media_format and stream_bidirectional_codec for each direction, or ask for PCMU in both.",
    signs=(
        Sign(
            "url",
            media_law,
            named={
                "A-law": media(
                    *(Arrival(20.0 * n, "text", 300, "", "media", b"\xd5" * 160) for n in range(60)), heard_as="PCMA"
                )
            },
            quiet={
                "mu-law": media(
                    *(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60)), heard_as="PCMU"
                )
            },
        ),
        Sign(
            "call",
            call_wrong_law,
            code="CALL060",
            why="mu-law read as A-law, or the reverse, is loud static. callpath decodes what the start frame names, "
            "so the frame and the bytes contradict each other.",
            fix="Ask for stream_codec PCMU (CALLPATH_STREAM_CODEC), so that Telnyx transcodes; and send Telnyx this "
            "report with the stream_id.",
            owner="Telnyx",
            named={"SYM001 was seen": a_call(BOTH_WAYS, noticed("SYM001", **{"is": "PCMA"}))},
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
    ),
)
