"""CALL022: the request for the stream was refused for a reason that has no rule of its own."""

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking

_OWN_RULES = {"90018", "90034", "90045", "90046", "10003"}

_WORDS = {
    "90015": "the call_control_id is not one that Telnyx knows: of another account, or mangled in the URL (encode it)",
    "90017": "client_state is not base64",
    "10004": "a parameter is missing",
    "10005": "there is no such call: another account's, or its id was mangled in the URL (encode it)",
    "10015": "the request was not well formed",
    "10033": "a number is out of its range",
}


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.command == "streaming_start" and what.error_code not in _OWN_RULES)
    if found is None:
        return None
    entry, what = found
    words = _WORDS.get(what.error_code or "", "")
    return Finding(
        f"Telnyx refused streaming_start: {refused_by(what)}" + (f". In other words: {words}" if words else ""),
        show_entries(known, entry),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL022",
    slug="streaming-start-refused",
    title="Telnyx refused the request for the stream",
    owner="you",
    why="Nothing was connected, because nothing was accepted. What Telnyx objects to stands in its own words above.",
    fix="Send streaming_start as Telnyx's words ask, with parameters of its list.",
    named={"an unknown id": a_call(ANSWERED, asking(), answered("streaming_start", 422, "90015"))},
    quiet={"accepted": a_call(ACCEPTED)},
)
