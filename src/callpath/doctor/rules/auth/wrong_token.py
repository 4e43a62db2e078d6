"""CALL041: the socket came with a token that is not this call's."""

from callpath.doctor.calls import in_time, refused_sockets, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import a_call, turned_away


def check(facts: Facts) -> Finding | None:
    found = refused_sockets(facts[CallFacts], "wrong_token")
    if not found:
        return None
    entry, what = found[0]
    if not in_time(facts[CallFacts], entry):
        return Finding(
            f"an upgrade with a token that does not fit was answered {what.status}, long after the stream was asked for",
            (*show_entries(facts[CallFacts], entry), f"from {what.client}, path {what.path}"),
            kind="open",
            candidates=("ws-auth-required-401", "ws-token-wrong", "somebody-tried-the-url"),
            question="Was that Telnyx, or somebody who tried the URL by hand? Telnyx connects at once after "
            "streaming_start.",
        )
    return Finding(
        f"the upgrade came with another token than this call's; it was answered {what.status}",
        (*show_entries(facts[CallFacts], entry), f"from {what.client}, path {what.path}"),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL041",
    slug="ws-token-wrong",
    title="The socket came with a wrong token, and we refused it",
    owner="you",
    why="The token is made from CALLPATH_SECRET (or TELNYX_API_KEY) and the call's id. It does not fit where the "
    "process that "
    "asked for the stream has another secret than the one that the socket reached, or where somebody else tries.",
    fix="Give all processes the same CALLPATH_SECRET. After a change of it, calls that were being set up fail once.",
    named={"wrong": a_call(turned_away("wrong_token"))},
    quiet={"none": a_call(turned_away("no_token", 401))},
)
