"""CALL044: the socket came, and the server refused it for a reason that has no rule of its own."""

from callpath.doctor.calls import every, show_entries
from callpath.doctor.facts import CallFacts, Facts, ToldFacts
from callpath.doctor.reasons import BEFORE_MS, last_words
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import a_call, turned_away
from callpath.timeline import SocketRejected, StreamStarted

_OWN_RULES = {"no_token", "wrong_token", "call_ended", "second_socket"}


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = [
        (entry, what)
        for entry in every(known, SocketRejected)
        if isinstance(what := entry.what, SocketRejected) and what.reason not in _OWN_RULES
    ]
    if not found or every(known, StreamStarted):
        return None
    entry, what = found[-1]
    words = last_words(facts, entry.at_unix_ms - BEFORE_MS, entry.at_unix_ms)
    told = facts.get(ToldFacts)
    beside = [
        one
        for one in (told.others if told is not None else ())
        if one.opened_unix_ms is not None and one.opened_unix_ms <= entry.at_unix_ms <= one.until_unix_ms
    ]
    if beside and told is not None and any(line.because == "busy" for line in told.complaints):
        words = (*words, f"call {beside[0].name[:16]} was on at that time: the program takes one call at a time")
    answer = f"answered {what.status}" if what.status else "refused"
    return Finding(
        f"the upgrade reached the application and was {answer} {what.reason}: {what.detail}".replace(" :", ":").rstrip(
            ": "
        ),
        (*words, *show_entries(known, entry), f"from {what.client or 'unknown'}, path {what.path or 'unknown'}"),
        confidence="high" if what.detail or what.reason else "medium",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL044",
    slug="socket-refused",
    title="The socket came, and the application refused it",
    owner="you",
    why="Telnyx got through to the application; nothing on the way is at fault. The application itself said no.",
    fix="Look in the application for what answers an upgrade with this status (grep -rn STATUS): a route, a guard, a "
    "lookup of the call.",
    named={"an odd reason": a_call(turned_away("draining", 503))},
    quiet={"no token": a_call(turned_away("no_token", 401))},
)
