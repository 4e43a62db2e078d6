"""ROUTE001: the server takes WebSockets, on another path."""

from urllib.parse import unquote

from callpath.doctor.answers import (
    any_variant_works,
    between,
    other_path_that_works,
    path_told,
    pattern_that_works,
    refused,
    show,
    upgrade_ignored,
    upgrade_missed,
    works,
)
from callpath.doctor.calls import compared, no_socket, refused_upgrade
from callpath.doctor.edges import failed_upgrades, refused_by_us, show_row, unreached
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts, ServedFacts, UpgradeFacts, UrlFacts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.platform import author
from callpath.doctor.rule import OWN_WORD, Cause, Finding, Sign
from callpath.doctor.rules.sample import PATH, answer, upgrade
from callpath.doctor.rules.sample_call import (
    ACCEPTED,
    ANSWERED,
    SESSION,
    TAKEN,
    a_call,
    asking,
    call,
    hung_up,
    refusals,
)
from callpath.doctor.rules.sample_edge import row, seen_at_edge

_ANYBODYS = {"/", "/ws", "/ws/", "/websocket", "/socket"}
"""Paths under which all kinds of WebSockets are served."""


def route_path_mismatch(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or pattern_that_works(facts) is not None:
        return None
    variant = works(facts, "path:lower-case", "path:no-prefix", "path:api-prefix")
    other = variant or other_path_that_works(facts)
    if other is None:
        return None
    given = facts[UrlFacts]
    if variant is None and other.target.split("?")[0] in _ANYBODYS:
        return Finding(
            f"{given.path} is refused, {other.target} is upgraded",
            (show(carrier), show(other)),
            kind="limited",
            confidence="medium",
            fix=f"If that is the stream's path: wss://{given.authority}{other.target}; else correct its route.",
            question=f"Is {other.target} your endpoint for media? A dashboard, a push channel or a development server "
            "upgrades there, too.",
        )
    return Finding(
        f"{given.path} is refused, {other.target} is upgraded",
        (show(carrier), show(other)),
        confidence="high" if variant is not None else "medium",
        fix=f"If that is the stream's path: wss://{given.authority}{other.target}. Else correct the route of the "
        "server.",
    )


def path_rewritten(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400, 403, 404, 405)
    if carrier is None or any_variant_works(facts):
        return None
    told, asked = path_told(carrier), facts[UrlFacts].path
    if not told or unquote(told) == unquote(asked) or unquote(told).rstrip("/") == unquote(asked).rstrip("/"):
        return None
    # The same answer names what it was asked for on a made-up path: a constant in a message is no path.
    made_up = facts[UpgradeFacts].shape("made-up-path")
    if made_up is None or path_told(made_up) in {"", told}:
        return None
    return Finding(
        f"asked for {asked}, the application was asked for {told}: a proxy changes the path on the way",
        (show(carrier), show(made_up)),
        title="A proxy changes the path on the way",
        fix="Pass the path on as it is: nginx `proxy_pass http://app;` without a slash or path behind the name; "
        "Apache ProxyPass / http://app/; Traefik and Ingress without StripPrefix or rewrite-target. Or serve the "
        "shortened path.",
    )


def call_path_not_served(facts: Facts) -> Finding | None:
    known, refusals = facts[CallFacts], facts[RefusalFacts]
    row = refused_upgrade(known, refusals, "no_such_path")
    if row is None or no_socket(known) is None:
        return None
    served = facts.get(ServedFacts)
    wanted = (f"served is: {served.audio_url}",) if served is not None else ()
    return Finding(
        f"the upgrade for this call came as {row.path}, which this server does not serve", (row.detail, *wanted)
    )


def call_other_path(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or urls.only_slashes:
        return None
    session = facts[CallFacts].session
    if urls.named is None:
        return Finding(
            f"the stream was asked for under {urls.sent.path}, this server serves {urls.served.path}", urls.lines
        )
    if urls.named != session:
        return Finding(
            f"the path names {urls.named[:40]!r}, and this call's call_session_id is {session}",
            urls.lines,
            title="The stream URL names another id than this call's",
            fix="Put the call_session_id into the path, and nothing else (call_control_id and call_leg_id are others).",
        )
    return None


def edge_path(facts: Facts) -> Finding | None:
    rows = [row for row in failed_upgrades(facts, 404) if not unreached(row)]
    if not rows or refused_by_us(facts):
        return None
    if rows[0].upstream_ms is None and not rows[0].upstream_address:
        return Finding(
            "the upgrade was answered with 404",
            (show_row(rows[0]),),
            kind="open",
            candidates=(
                "url-path-mismatch",
                "edge-app-not-found",
                "proxy-location-missing",
                "proxy-upgrade-headers-stripped",
                "node-ws-attached-to-other-server",
            ),
            question="Whose 404 was it, the application's or the edge's? callpath doctor url on that URL shows it.",
        )
    return Finding("the application answered the upgrade with 404", tuple(show_row(row) for row in rows[:3]))


def callpath_path(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, "no_such_path")
    if word is None:
        return None
    return Finding(word.detail, (show(word.exchange),), certain=OWN_WORD)


_HTTP_ONLY = {"WSGI server", "gunicorn", "Flask", "PHP", "Python http.server", "Express", "uvicorn", "Hypercorn"}


def route_no_such_path(facts: Facts) -> Finding | None:
    carrier = refused(facts, 404)
    if carrier is None or any_variant_works(facts) or upgrade_missed(carrier):
        return None
    who = author(carrier)
    if who.kind in {"proxy", "edge"} or who.name in _HTTP_ONLY:
        return None
    plain = facts[UpgradeFacts].shape("plain")
    answers_upgrades = plain is not None and plain.outcome == "answer" and not upgrade_ignored(facts)
    path = facts[UrlFacts].path
    if answers_upgrades:
        return Finding(
            f"the WebSocket server itself (a plain GET is answered otherwise) knows no {path}",
            (show(carrier), show(plain) if plain else ""),
        )
    if between(facts):
        return None
    if carrier.text.strip() == "404 page not found":
        return Finding(
            "`404 page not found` is what a Go program says, and what Traefik says where no router matches",
            (show(carrier),),
            kind="open",
            confidence="low",
            candidates=("proxy-location-missing", "url-path-mismatch"),
            question="Does the request show in the application's log? If not, Traefik has no router for this host and "
            "path.",
        )
    return Finding(f"{who.name or 'the application'} knows no {path}", (show(carrier),), confidence="medium")


CAUSE = Cause(
    code="ROUTE001",
    slug="url-path-mismatch",
    title="The URL's path is not the one the server serves",
    owner="you",
    why="The server upgrades another path of the same host: the URL and the route were written apart, with another "
    "prefix, spelling or case.",
    fix="Use one constant for both the route and the URL in the command.",
    signs=(
        Sign(
            "url",
            route_path_mismatch,
            named={
                "another name": upgrade(answer(404), answer(101, shape="other:/media-stream", target="/media-stream"))
            },
            quiet={"no path upgrades": upgrade(answer(404), answer(404, shape="other:/media-stream"))},
        ),
        Sign(
            "url",
            path_rewritten,
            code="ROUTE007",
            named={
                "a prefix is cut off": upgrade(
                    answer(404, "<pre>Cannot GET /calls/0d0c70c1-d0c7-4d0c-80d0-c70ca11ba7e1/audio</pre>"),
                    answer(404, "<pre>Cannot GET /made-up</pre>", shape="made-up-path", target="/api/made-up"),
                )
            },
            quiet={"the path itself": upgrade(answer(404, f"<pre>Cannot GET {PATH}</pre>"))},
        ),
        Sign(
            "call",
            call_path_not_served,
            code="CALL046",
            title="The socket came under another path than it was sent for",
            why="The URL in streaming_start was right for the world, and something on the way adds a prefix to the "
            "path, or takes "
            "one away: a proxy's location, a mount in a larger application, a PUBLIC_URL with a path of its own.",
            fix="Let the proxy pass the path on as it is (nginx: no path behind proxy_pass), or take the prefix out "
            "of PUBLIC_URL.",
            named={
                "a prefix that nobody takes away": Facts(
                    call(ACCEPTED), refusals("no_such_path", what="upgrade", path=f"/calls/api/calls/{SESSION}/audio")
                )
            },
            quiet={
                "a stranger's upgrade": Facts(
                    call(ACCEPTED), refusals("no_such_path", what="upgrade", path="/socket.io/")
                )
            },
        ),
        Sign(
            "call",
            call_other_path,
            code="CALL024",
            title="The stream was asked for under a path that this server does not serve",
            why="Telnyx takes the URL as it is given. A path that the server does not have leads to a 404.",
            fix="Build the stream URL from PUBLIC_URL alone: callpath does so by itself; another program should use "
            "one constant for the URL that it sends and the route that it serves.",
            named={
                "another path": a_call(
                    ANSWERED, asking("wss://calls.example.com/media-stream"), TAKEN, (20_000, hung_up())
                )
            },
            quiet={"the served path": a_call(ACCEPTED, (20_000, hung_up()))},
            unchecked={"no settings are known": Facts(call(ACCEPTED, (20_000, hung_up())))},
        ),
        Sign(
            "edge",
            edge_path,
            code="EDGE006",
            title="The path in the stream's URL is not one that the application serves",
            why="Telnyx came through, and the application knows no such path: another prefix, another case, a doubled "
            "or trailing slash.",
            fix="One constant for the path, used by the route and by the URL that Telnyx is sent.",
            named={"404 by the application": seen_at_edge(row("GET", 404))},
            quiet={"101": seen_at_edge(row("GET", 101, duration=20_000))},
        ),
        Sign(
            "url",
            callpath_path,
            code="CALLPATH003",
            title="The callpath server was reached; it has no such path",
            why="The request came through to the callpath server, which serves audio at "
            "/api/calls/{call_session_id}/audio only. A proxy may also have added or cut a prefix.",
            fix="Use the audio URL that `callpath serve` prints at start. If a proxy adds a prefix, put it into "
            "PUBLIC_URL and let the proxy cut it again.",
            named={
                "another path": upgrade(
                    answer(404, '{"error":"no_such_path","detail":"audio goes elsewhere"}', X_Callpath="0.1.0")
                )
            },
            quiet={"another server's 404": upgrade(answer(404, "Not Found"))},
        ),
        Sign(
            "url",
            route_no_such_path,
            code="ROUTE006",
            title="The application has no such path",
            why="The request came through to the application, which has no route of this spelling: another prefix, "
            "name or case.",
            fix="Compare the path with the application's route table (callpath serve prints its own, Django: "
            "manage.py show_urls); use one constant for both.",
            named={
                "the WebSocket server says 404": upgrade(
                    answer(404, "Not Found"), answer(426, "Upgrade Required", shape="plain")
                )
            },
            quiet={"nginx's own page": upgrade(answer(404, "<center>nginx</center>"))},
        ),
    ),
)
