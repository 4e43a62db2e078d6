"""HTTP006: the upgrade is answered with a redirect."""

from callpath.doctor.answers import LOGIN_WORDS, refused, same_url, show, works
from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def http_redirect(facts: Facts) -> Finding | None:
    carrier = refused(facts, 300, 301, 302, 303, 307, 308)
    if carrier is None:
        return None
    location = carrier.header("location") or "nowhere"
    if LOGIN_WORDS.search(location):
        return None
    if same_url(facts, location) or works(facts, "forwarded-https"):
        return Finding(
            f"the URL is redirected to itself ({location})",
            (show(carrier),),
            fix="The application believes that it was called over http. Let the proxy send X-Forwarded-Proto: https, "
            "and let the application trust it; do not redirect where TLS already ended in front.",
        )
    return Finding(
        f"the upgrade is redirected to {location}",
        (show(carrier),),
        fix=f"Use the final URL: {location.replace('https://', 'wss://').replace('http://', 'wss://')}"
        if "://" in location
        else "",
    )


def edge_redirect(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 301, 302, 303, 307, 308)
    return (
        Finding(f"the upgrade was answered with {rows[0].status}", tuple(show_row(row) for row in rows[:3]))
        if rows
        else None
    )


CAUSE = Cause(
    code="HTTP006",
    slug="redirect-on-upgrade",
    title="The upgrade is answered with a redirect",
    owner="you",
    why="WebSocket clients and carriers do not follow redirects, whatever they lead to: https, www, another host.",
    fix="Put the final URL into stream_url, or exempt the path from the redirect.",
    signs=(
        Sign(
            "url",
            http_redirect,
            named={"to www": upgrade(answer(301, Location="https://www.example.com/"))},
            quiet={"to a login": upgrade(answer(302, Location="https://login.example.com/"))},
        ),
        Sign(
            "edge",
            edge_redirect,
            code="EDGE007",
            title="The upgrade was redirected",
            why="A WebSocket client does not follow redirects: http for https, ws for wss, a missing slash, another "
            "host, a login page.",
            fix="Give Telnyx the URL that the redirect leads to: wss, the final host and the exact path. curl -sI URL "
            "shows it.",
            named={"301": seen_at_edge(row("GET", 301))},
            quiet={"404": seen_at_edge(row("GET", 404))},
        ),
    ),
)
