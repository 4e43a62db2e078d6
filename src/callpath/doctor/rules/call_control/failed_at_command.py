"""CALL021: Telnyx could not start the stream, and said so in its answer (90046)."""

from callpath.doctor.calls import needed_refusal, refused_by, show_entries, url_asked, way_evidence, way_now
from callpath.doctor.facts import CallFacts, Facts, WayFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code == "90046")
    if found is None:
        return None
    entry, what = found
    way = facts.get(WayFacts)
    now = way_now(way)
    return Finding(
        f"Telnyx answered {what.command} with {refused_by(what)}: it could not open the socket to "
        f"{url_asked(known) or 'the stream URL'}, or does not take these parameters together{now}",
        (*show_entries(known, entry), *way_evidence(way)),
        kind="open",
        candidates=("firewall-ip-allowlist", "ws-handshake-slow", "stream-parameters-together"),
        question="Does the URL upgrade from outside? callpath doctor url URL. If it does, ask for the stream with "
        "stream_bidirectional_mode and _codec only, and add the others one by one.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL021",
    slug="stream-failed-to-start",
    title="Telnyx could not start the stream",
    owner="unclear",
    why="90046 is the command's twin of streaming.failed: the socket could not be opened while the command was "
    "carried out. One program also saw it for a mix of parameters at dial.",
    fix="Make the stream's URL reachable, then ask again with a new command_id.",
    named={"90046": a_call(ANSWERED, asking(), answered("streaming_start", 422, "90046"))},
    quiet={"accepted": a_call(ACCEPTED)},
)
