"""CALL023: the stream was asked for at another host than the one this server is reached by."""

from __future__ import annotations

from callpath.doctor.calls import delivered_to, no_socket, place, url_asked
from callpath.doctor.facts import CallFacts, FactMissing, Facts, ServedFacts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, GOOD, a_call, answered, asking, hung_up


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    if no_socket(known) is None:
        return None
    stream = place(url_asked(known))
    if stream is None:
        raise FactMissing(UrlFacts)
    served = facts.get(ServedFacts)
    ours = place(served.public_url) if served is not None else None
    doors = {d.host: text for text in delivered_to(known) if (d := place(text)) is not None}
    if ours is None and not doors:
        raise FactMissing(ServedFacts)
    if stream.host in doors or (not doors and ours is not None and ours.host == stream.host):
        return None
    where = ", ".join(doors) or (ours.host if ours is not None else "")
    evidence = [f"stream URL: host {stream.host}"]
    evidence += [f"webhook delivered to: host {host} ({text})" for host, text in doors.items()]
    if ours is not None:
        evidence.append(f"PUBLIC_URL of this server now: host {ours.host}")
    if doors and ours is not None and ours.host == stream.host:
        # Two names may well lead to one server; the settings say that this one does.
        return Finding(
            f"the stream was asked for at {stream.host}, the webhooks of the same call came to {where}",
            tuple(evidence),
            kind="open",
            candidates=("url-stale-host", "dns-stale-record"),
            question=f"Does {stream.host} (from PUBLIC_URL) still lead to this server? callpath doctor url "
            f"wss://{stream.host}/api/calls/test-connection/audio",
        )
    return Finding(
        f"the stream was asked for at {stream.host}, but this server is reached as {where}",
        tuple(evidence),
        fix=f"PUBLIC_URL=https://{where.split(', ')[0]}",
    )


RULE = Rule(
    code="CALL023",
    slug="url-stale-host",
    title="The stream URL names another host than the webhooks came to",
    layer="url",
    owner="you",
    why="Telnyx opens the socket where it is told to. After a rename, a redeployment or with a new tunnel the old host is "
    "still in PUBLIC_URL: webhooks come (their URL is set at Telnyx), the socket goes elsewhere.",
    fix="Set PUBLIC_URL to the host that the webhooks come to, and restart the server.",
    masked_by=("URL002", "URL003", "URL004", "URL005"),
    check=check,
    examples=(
        Example(
            "an old tunnel",
            a_call(
                ANSWERED,
                asking("wss://old.example.net/api/calls/x/audio"),
                answered("streaming_start"),
                (20_000, hung_up()),
            ),
            fires=True,
        ),
        Example("the same host", a_call(ACCEPTED, (20_000, hung_up())), fires=False),
        Example("the socket came", a_call(GOOD), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
