"""CALL011: Telnyx refused to answer or dial the call, for a reason that has no rule of its own."""

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, RANG, a_call, answered, sent

_OWN_RULES = {"90018", "90034", "90045", "90046"}

_WORDS = {
    "90015": "the call_control_id is not one that Telnyx knows: of another account, or mangled in the URL (encode it)",
    "90102": "an outgoing call was told to answer; only incoming calls are answered",
    "90017": "client_state is not base64",
    "10015": "the request was not well formed, or connection_id is not a Call Control application with a webhook URL",
    "10016": "a number is not in +E164 form",
}


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.command in {"answer", "dial"} and what.error_code not in _OWN_RULES)
    if found is None:
        return None
    entry, what = found
    words = _WORDS.get(what.error_code or "", "")
    return Finding(
        f"Telnyx refused {what.command}: {refused_by(what)}" + (f". In other words: {words}" if words else ""),
        show_entries(known, entry),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL011",
    slug="answer-refused",
    title="Telnyx refused to answer the call",
    owner="you",
    why="Without an answered call there is no stream. What Telnyx objects to stands in its own words above.",
    fix="Send the command as Telnyx's words ask; callpath's own commands are checked before they go out, so look at "
    "what the handler or another program sends.",
    named={"answered an outgoing call": a_call(RANG, sent("answer"), answered("answer", 422, "90102"))},
    quiet={"accepted": a_call(ANSWERED)},
)
