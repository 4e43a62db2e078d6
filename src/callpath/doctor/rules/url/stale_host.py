"""CALL023: the stream was asked for at another host than the one this server is reached by."""

from callpath.doctor.calls import delivered_to, no_socket, place, url_asked, webhook
from callpath.doctor.calls import show_entries as show_entries
from callpath.doctor.edges import asked_for, came, covers, posts, show_row, upgrades
from callpath.doctor.facts import CallFacts, EdgeFacts, FactMissing, Facts, PlatformFacts, ServedFacts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import domain, platform
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, GOOD, a_call, answered, asking, hung_up
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def call_other_host(facts: Facts) -> Finding | None:
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


def platform_host_unknown(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None or not seen.public_host:
        raise FactMissing(PlatformFacts)
    names = [row.domain for row in seen.domains]
    if seen.public_host in names:
        return None
    known = (f"this service's names at {seen.platform}: {', '.join(names) or 'none'}",)
    if seen.public_host.endswith(".railway.app"):
        return Finding(f"the host {seen.public_host} is no name of this service any more", known)
    return Finding(
        f"the host {seen.public_host} is no name of this service at {seen.platform}: right only if a proxy of yours "
        "stands in front",
        known,
        kind="note",
    )


def edge_other_host(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    edge = facts[EdgeFacts]
    if not asked_for(facts) or came(facts) or upgrades(facts) or not covers(facts):
        return None
    url = place(url_asked(call))
    hosts = sorted({row.host.partition(":")[0].lower() for row in edge.rows if row.host})
    if url is None or not hosts or url.host in hosts:
        return None
    failed = webhook(call, "streaming.failed")
    return Finding(
        f"Telnyx was sent to {url.host}, the webhooks come to {', '.join(hosts[:3])}, and no upgrade came here",
        (f"stream URL: {url_asked(call)}", *show_entries(call, failed), *(show_row(row) for row in posts(facts)[:2])),
        confidence="medium",
    )


CAUSE = Cause(
    code="CALL023",
    slug="url-stale-host",
    title="The stream URL names another host than the webhooks came to",
    owner="you",
    why="Telnyx opens the socket where it is told to. After a rename, a redeployment or with a new tunnel the old "
    "host is still in PUBLIC_URL: webhooks come (their URL is set at Telnyx), the socket goes elsewhere.",
    fix="Set PUBLIC_URL to the host that the webhooks come to, and restart the server.",
    signs=(
        Sign(
            "call",
            call_other_host,
            named={
                "an old tunnel": a_call(
                    ANSWERED,
                    asking("wss://old.example.net/api/calls/x/audio"),
                    answered("streaming_start"),
                    (20_000, hung_up()),
                )
            },
            quiet={"the same host": a_call(ACCEPTED, (20_000, hung_up())), "the socket came": a_call(GOOD)},
        ),
        Sign(
            "account",
            platform_host_unknown,
            code="PLATFORM005",
            title="The host in PUBLIC_URL is not a name of this service",
            why="After a rename, a new domain or a new service the old name stays in settings. Webhooks and audio "
            "then go to nobody, or to the service of before.",
            fix="Set PUBLIC_URL to a name of this service (on Railway it may stay unset: RAILWAY_PUBLIC_DOMAIN is "
            "used), and the application's webhook URL with it.",
            named={
                "a name of before": platform(domain("b.up.railway.app"), public_host="a.up.railway.app"),
                "something in front": platform(domain("b.up.railway.app")),
            },
            quiet={"one of its names": platform()},
            unchecked={"our public URL is not known": platform(public_host="")},
        ),
        Sign(
            "edge",
            edge_other_host,
            code="EDGE001",
            title="The stream was sent to another host than the one that gets the webhooks",
            why="The host in the stream's URL is not one that this edge serves: an old domain, an old tunnel, or the "
            "address of another service. Telnyx went there, and no row tells of it here.",
            fix="Build the stream's URL from the host that the webhook came to (Host or X-Forwarded-Host), or set "
            "PUBLIC_URL=https://HOST anew after each rename.",
            named={"another host": seen_at_edge(row("POST"), host="old.example.com")},
            quiet={"the same host": seen_at_edge(row("POST"))},
        ),
    ),
)
