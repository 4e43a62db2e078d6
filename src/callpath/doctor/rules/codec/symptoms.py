"""What the server itself heard in a call's audio (callpath.call.symptoms): one row a cause."""

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Check, Finding, Kind, Owner, Sign
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def _heard(symptom: str, kind: Kind) -> Check:
    def check(facts: Facts) -> Finding | None:
        found = symptom_seen(facts[CallFacts], symptom)
        return None if found is None else Finding(*symptom_words(facts[CallFacts], found), kind=kind)

    return check


def _cause(
    symptom: str,
    code: str,
    slug: str,
    title: str,
    owner: Owner,
    why: str,
    fix: str,
    *,
    kind: Kind = "fault",
    layer: str = "codec",
) -> Cause:
    seen = Sign(
        "call",
        _heard(symptom, kind),
        named={f"{symptom} was seen": a_call(BOTH_WAYS, noticed(symptom, **{"is": "other"}))},
        quiet={"a call that worked": a_call(GOOD)},
        unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
    )
    return Cause(code=code, slug=slug, title=title, layer=layer, owner=owner, why=why, fix=fix, signs=(seen,))


CAUSES = (
    _cause(
        "SYM002", "CALL061", "l16-byte-order", "L16 byte order is swapped (little- against big-endian)", "you",
        "RTP's L16 is big-endian by standard; on real phones little-endian was found. Read the wrong way it is "
        "full-scale noise.",
        "CALLPATH_L16_BYTE_ORDER=detect (the default) follows the sound; or ask for PCMU, which has no byte order.",
    ),
    _cause(
        "SYM004", "CALL063", "wrong-encoding", "The caller's audio is not in the encoding that the start frame names",
        "unclear",
        "The bytes look like another codec than the start frame names, so what is decoded is noise.",
        "Ask for stream_codec PCMU. If a program stands between Telnyx and this server, look at what it makes of the "
        "audio.",
    ),
    _cause(
        "SYM008", "CALL067", "inbound-clipping", "The caller's audio is clipped", "far end",
        "The phone or a gateway amplifies too much. It sounds harsh, and recognition suffers; the stream is in order.",
        "Nothing on this side. Another phone or headset will sound better.", kind="note",
    ),
    _cause(
        "SYM009", "CALL068", "both-tracks-mixed", "Our own audio comes back on the outbound track", "you",
        "both_tracks was asked for. callpath keeps the tracks apart and gives the handler the caller's only; programs "
        "that do not look at media.track hear themselves.",
        "CALLPATH_STREAM_TRACK=inbound_track, unless something needs the other track.", kind="note", layer="protocol",
    ),
    _cause(
        "SYM015", "CALL074", "rtp-header-received", "Each of the caller's payloads begins with an RTP header", "unclear",
        "A payload is the codec's bytes alone. The 12 bytes of a header are decoded with them: a crackle in every "
        "frame.",
        "If a program stands between Telnyx and this server, let it cut off the first 12 bytes of each packet. If "
        "none does, send Telnyx this report with the stream_id.",
    ),
)  # fmt: skip
