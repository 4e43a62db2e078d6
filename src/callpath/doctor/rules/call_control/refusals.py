"""Commands that Telnyx refused: one cause an error code, or a field that the refusal names."""

import re

from callpath.doctor.calls import NEEDED, asked, every, needed_refusal, refusals, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Check, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, RANG, a_call, answered, asking, sent
from callpath.timeline import StreamStarted, StreamStarting
from callpath.wire.document import Json


def track_invalid(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.status in {0, 400, 422} and "track" in (what.error_detail or ""))
    if found is None:
        return None
    entry, what = found
    request = asked(known)
    given = (request.body or {}).get("stream_track") if request is not None else None
    return Finding(f"Telnyx refused {what.command} for stream_track" + (f" {given!r}" if given else "") + ": "
    f"{refused_by(what)}",
                   show_entries(known, entry))  # fmt: skip


CODECS = {"PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16"}

RATES = {8000, 16000, 22050, 24000, 48000}


def codec_invalid(facts: Facts) -> Finding | None:
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


def second_stream(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = [(e, w) for e, w in refusals(known, *NEEDED) if w.error_code == "90045"]
    if not found:
        return None
    entry, what = found[-1]
    streaming = bool(every(known, StreamStarted))
    return Finding(
        f"Telnyx refused {what.command}: media streaming is used already ({refused_by(what)})",
        show_entries(known, *every(known, StreamStarting), entry),
        kind="note" if streaming else "fault",
    )


_OWN_RULES = {"90018", "90034", "90045", "90046"}

_WORDS = {
    "90015": "the call_control_id is not one that Telnyx knows: of another account, or mangled in the URL (encode it)",
    "90017": "client_state is not base64",
    "90102": "an outgoing call was told to answer; only incoming calls are answered",
    "10004": "a parameter is missing",
    "10005": "there is no such call: another account's, or its id was mangled in the URL (encode it)",
    "10015": "the request was not well formed; of dial: or connection_id is no Call Control application with a webhook URL",
    "10016": "a number is not in +E164 form",
    "10033": "a number is out of its range",
}


def _otherwise(commands: set[str], own_rules: set[str]) -> Check:
    """One of these commands was refused, for a reason that has no rule of its own."""

    def check(facts: Facts) -> Finding | None:
        known = facts[CallFacts]
        found = needed_refusal(known, lambda what: what.command in commands and what.error_code not in own_rules)
        if found is None:
            return None
        entry, what = found
        words = _WORDS.get(what.error_code or "", "")
        return Finding(
            f"Telnyx refused {what.command}: {refused_by(what)}" + (f". In other words: {words}" if words else ""),
            show_entries(known, entry),
        )

    return check


CAUSES = (
    Cause.of(
        "call",
        track_invalid,
        code="CALL017",
        slug="stream-track-invalid",
        title="stream_track has a value that does not exist",
        owner="you",
        why="The values are inbound_track, outbound_track and both_tracks. People send both, or inbound.",
        fix='stream_track: "inbound_track"',
        named={
            "both": a_call(
                ANSWERED,
                asking(stream_track="both"),
                answered("streaming_start", 422, "10032", "stream_track must be one of: inbound_track, both_tracks"),
            )
        },
        quiet={"accepted": a_call(ACCEPTED)},
    ),
    Cause.of(
        "call",
        codec_invalid,
        code="CALL018",
        slug="bidirectional-codec-invalid",
        title="A codec, mode or rate of the stream has a value that does not exist",
        owner="you",
        why="Names are case-sensitive: PCMU, PCMA, G722, OPUS, AMR-WB, L16; rates are 8000, 16000, 22050, 24000 and "
        "48000.",
        fix='stream_bidirectional_mode: "rtp", stream_bidirectional_codec: "PCMU", '
        "stream_bidirectional_sampling_rate: 8000",
        named={
            "small letters": a_call(
                ANSWERED, asking(stream_bidirectional_codec="pcmu"), answered("streaming_start", 422, "10032", "one of")
            )
        },
        quiet={"accepted": a_call(ACCEPTED)},
    ),
    Cause.of(
        "call",
        second_stream,
        code="CALL020",
        slug="second-stream-refused",
        title="A stream was asked for while another one, or a fork, was on",
        owner="you",
        why="One streaming or fork operation at a time is allowed on a call. Mostly the stream is asked for twice: in "
        "answer and again by streaming_start, or by two programs. The first one may lead to another URL.",
        fix="Ask once. If another program starts a stream or fork_start on this call, stop that first "
        "(streaming_stop).",
        named={"90045": a_call(ANSWERED, asking(), answered("streaming_start", 422, "90045"))},
        quiet={"accepted": a_call(ACCEPTED)},
    ),
    Cause.of(
        "call",
        _otherwise({"answer", "dial"}, _OWN_RULES),
        code="CALL011",
        slug="answer-refused",
        title="Telnyx refused to answer the call",
        owner="you",
        why="Without an answered call there is no stream. What Telnyx objects to stands in its own words above.",
        fix="Send the command as Telnyx's words ask; callpath's own commands are checked before they go out, so look "
        "at what the handler or another program sends.",
        named={"answered an outgoing call": a_call(RANG, sent("answer"), answered("answer", 422, "90102"))},
        quiet={"accepted": a_call(ANSWERED)},
    ),
    Cause.of(
        "call",
        _otherwise({"streaming_start"}, _OWN_RULES | {"10003"}),
        code="CALL022",
        slug="streaming-start-refused",
        title="Telnyx refused the request for the stream",
        owner="you",
        why="Nothing was connected, because nothing was accepted. What Telnyx objects to stands in its own words "
        "above.",
        fix="Send streaming_start as Telnyx's words ask, with parameters of its list.",
        named={"an unknown id": a_call(ANSWERED, asking(), answered("streaming_start", 422, "90015"))},
        quiet={"accepted": a_call(ACCEPTED)},
    ),
)
