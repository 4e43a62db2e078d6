"""What an answer to the upgrade proves. Shared by the rules of the HTTP layers; pure."""

from __future__ import annotations

import html
import re

from callpath.doctor.facts import Exchange, Facts, RepeatFacts, UpgradeFacts, UrlFacts
from callpath.doctor.ourselves import own_word
from callpath.doctor.platform import author, proxies, recognise
from callpath.doctor.refusals import Meaning, Refusal, names_of, refusal_by
from callpath.doctor.rule import Seen
from callpath.wire.document import decode_foreign

LOGIN_WORDS = re.compile(
    r"login|log-in|signin|sign-in|sign_in|oauth|/sso|saml|authorize|/auth(\b|/)|/\.auth/|cdn-cgi/access|"
    r"cloudflareaccess|accounts\.google|vercel\.com/sso|okta|auth0",
    re.IGNORECASE,
)


def refused(facts: Facts, *statuses: int) -> Exchange | None:
    """The carrier's answer where it is steadily no upgrade (and has one of `statuses`, if given).

    None where the upgrade worked, or where other tries of the very same request did: a backend that changes its mind
    says nothing about what one answer means. None, too, where a callpath server answered and said why: nobody has to
    guess then (rules callpath001 and callpath002 repeat its word); that it saw no upgrade is about the way to it.
    """
    upgrade = facts[UpgradeFacts]
    if upgrade.carrier.upgraded or mixed(facts):
        return None
    exchange = upgrade.carrier
    word = own_word(exchange)
    if word is not None and word.reason not in ("no_such_path", "no_upgrade"):
        return None
    if statuses and not (exchange.outcome == "answer" and exchange.status in statuses):
        return None
    return exchange


def mixed(facts: Facts) -> bool:
    """The same request, sent several times, both worked and failed."""
    upgrade = facts[UpgradeFacts]
    repeats = facts.get(RepeatFacts)
    tries = [] if repeats is None else [attempt.exchange for attempt in repeats.tries]
    again = upgrade.shape("again")
    outcomes = {exchange.upgraded for exchange in (upgrade.carrier, again, *tries) if exchange is not None}
    return len(outcomes) == 2


_ASKED_AS = {
    "carrier": "as Telnyx",
    "again": "the same again",
    "plain": "plain GET",
    "browser": "as a browser",
    "origin": "with an Origin",
    "browser-agent": "with a browser's User-Agent",
    "made-up-path": "made-up path",
    "made-up-path-plain": "made-up path, plain GET",
    "made-up-sibling": "made-up path beside it",
    "root-plain": "/, plain GET",
    "forwarded-carrier": "with a Telnyx address in X-Forwarded-For",
    "forwarded-https": "with X-Forwarded-Proto: https",
    "no-token": "without the token",
    "no-query": "without the query",
}
"""How a request differed, in words."""


def show(exchange: Exchange) -> Seen:
    """One line of evidence: what was asked, what was answered. Requests of different shape are different observations."""
    return Seen(_shown(exchange), f"the request {_ASKED_AS.get(exchange.shape, exchange.shape)}")


def _shown(exchange: Exchange) -> str:
    asked = f"{exchange.method} {exchange.target}"
    how = _ASKED_AS.get(exchange.shape, exchange.shape)
    match exchange.outcome:
        case "answer":
            parts = [f"{asked} -> {exchange.status} {exchange.reason}".rstrip()]
            parts += [
                f"{name}: {exchange.header(name)}" for name in ("server", "location", "via") if exchange.has(name)
            ]
            text = " ".join(exchange.text.split())
            if text:
                parts.append(f"body: {text[:120]!r}")
            return f"[{how}] " + "; ".join(parts)
        case "timeout":
            return f"[{how}] {asked} -> no answer within {exchange.ms / 1000:.1f} s"
        case "eof" | "reset":
            return f"[{how}] {asked} -> connection {'closed' if exchange.outcome == 'eof' else 'reset'}"
        case _:
            return f"[{how}] {asked} -> {exchange.outcome} {exchange.raw[:60]!r} {exchange.error}".rstrip()


def works(facts: Facts, *shapes: str) -> Exchange | None:
    """The first of these shapes that was upgraded although the carrier's was not."""
    upgrade = facts[UpgradeFacts]
    for name in shapes:
        exchange = upgrade.shape(name)
        if exchange is not None and exchange.upgraded:
            return exchange
    return None


def other_path_that_works(facts: Facts) -> Exchange | None:
    """Another path of the same server that upgrades, where a made-up one does not."""
    upgrade = facts[UpgradeFacts]
    made_up = upgrade.shape("made-up-path")
    if made_up is not None and made_up.upgraded:
        return None
    return next((exchange for exchange in upgrade.shaped("other:") if exchange.upgraded), None)


def pattern_that_works(facts: Facts) -> Exchange | None:
    """A path written as a router's pattern (`/calls/:id/audio`) that upgrades literally."""
    upgrade = facts[UpgradeFacts]
    made_up = upgrade.shape("made-up-path")
    if made_up is not None and made_up.upgraded:
        return None
    return next((exchange for exchange in upgrade.shaped("pattern:") if exchange.upgraded), None)


def slash_variant_that_works(facts: Facts) -> Exchange | None:
    """The same path with other slashes that upgrades."""
    return works(facts, "path:single-slashes", "path:single-slashes-no-trailing", "path:slash")


def any_variant_works(facts: Facts) -> bool:
    """Some other request of ours was upgraded: the cause lies in what differed."""
    upgrade = facts[UpgradeFacts]
    return any(exchange.upgraded for exchange in upgrade.shapes)


def alike(one: Exchange | None, other: Exchange | None) -> bool:
    """The same status and, paths and numbers apart, the same body: the same code path made both."""
    if one is None or other is None or one.outcome != "answer" or other.outcome != "answer":
        return False
    return one.status == other.status and _skeleton(one) == _skeleton(other)


def _skeleton(exchange: Exchange) -> str:
    text = exchange.text[:2000]
    if len(exchange.target) > 1:
        text = text.replace(exchange.target, "PATH").replace(exchange.target.split("?")[0], "PATH")
    text = re.sub(r"[0-9a-fA-F]{8,}(-[0-9a-fA-F]{4,})*|\d+", "N", text)
    return re.sub(r"\s+", " ", text)


def upgrade_ignored(facts: Facts) -> bool:
    """The upgrade got the very answer that a plain GET of the same path gets."""
    upgrade = facts[UpgradeFacts]
    return alike(upgrade.carrier, upgrade.shape("plain"))


def words_of(exchange: Exchange) -> str:
    """What the answer says, without what it merely repeats of our request: a path may hold any word."""
    text = exchange.text[:4000]
    path = exchange.target.split("?")[0]
    for echo in (exchange.target, path, path.lstrip("/")):
        if len(echo) > 3:
            text = text.replace(echo, " ")
    return text


_PATH_IN_BODY = re.compile(
    r"""(?:Cannot GET|Route GET:|No route (?:found )?for|Not found:|not found:|"path"\s*:\s*"|"url"\s*:\s*")\s*"""
    r"""(/[^\s"'<>]*)"""
)


def path_told(exchange: Exchange) -> str:
    """The path that the application says it was asked for, "" where it names none."""
    found = _PATH_IN_BODY.search(html.unescape(exchange.text[:4000]))
    return found.group(1).split("?")[0] if found else ""


def sentence(exchange: Exchange) -> str:
    """What the application says in its own words: one field of a JSON error, or a short plain text; else ""."""
    if exchange.outcome != "answer" or author(exchange).kind in {"edge", "proxy"}:
        return ""
    text = exchange.text.strip()
    try:
        found = decode_foreign(text)
    except ValueError:
        plain = exchange.has("content-type", "text/plain") or not exchange.has("content-type")
        return text if plain and 0 < len(text) <= 200 and "<" not in text else ""
    while isinstance(found, dict):
        keys = [key for key in ("detail", "message", "error_description", "reason", "error", "msg") if found.get(key)]
        if not keys:
            return ""
        found = found[keys[0]]
    return found[:200] if isinstance(found, str) else ""


def upgrade_missed(exchange: Exchange) -> bool:
    """The application's own words say that it saw no upgrade, though we sent one."""
    if exchange.status == 505:
        return "HTTP/1.0" in exchange.text  # we spoke 1.1: a proxy speaks 1.0 to the application
    if exchange.status == 426:
        return not re.search(r"unsupported (web)?socket version", words_of(exchange), re.IGNORECASE)
    return exchange.status in {400, 404, 405, 500} and bool(
        re.search(
            r"\b(missing|invalid|no|without)\b[^.\n]{0,20}\b(upgrade|connection)\b[^.\n]{0,3}(header|token|hdr)"
            r"|upgrade'? (token|header) not found|Can \"?Upgrade\"? only to|upgrade required|expected (a )?websocket"
            r"|not a websocket (request|handshake|connection|upgrade)|not using the websocket protocol"
            r"|missing or invalid Sec-WebSocket-(Key|Version)|(missing|no) Sec-WebSocket-(Key|Version)"
            r"|requires? (a )?websocket|websocket (requests?|connections?|upgrade) (only|required|expected)",
            words_of(exchange),
            re.IGNORECASE,
        )
    )


def edges(facts: Facts) -> frozenset[str]:
    """Edges that stand in the way, by the host's name or by a trace in any answer."""
    upgrade = facts[UpgradeFacts]
    traces = recognise(upgrade.carrier, *upgrade.shapes, names=names_of(facts))
    return frozenset(trace.name for trace in traces if trace.kind == "edge")


def edge_refusal(facts: Facts, *meanings: Meaning) -> Refusal | None:
    """The edge's own page that the carrier got, where it steadily did and it means one of these."""
    carrier = refused(facts)
    if carrier is None or any_variant_works(facts):
        return None
    row = refusal_by(edges(facts), carrier)
    return row if row is not None and row.meaning in meanings else None


def own_proxy_answer(exchange: Exchange) -> str:
    """The proxy that made up this answer itself, or ""."""
    trace = author(exchange)
    return trace.name if trace.kind == "proxy" else ""


def between(facts: Facts) -> tuple[str, ...]:
    """What stands between us and the application, as far as it shows in any answer."""
    upgrade = facts[UpgradeFacts]
    names = proxies(upgrade.carrier, *upgrade.shapes)
    if not names and lower_cased(upgrade.carrier):
        return ("a proxy that writes header names in lower case (HAProxy does)",)
    return names


def lower_cased(exchange: Exchange) -> bool:
    """Node and Express write `Date` and `X-Powered-By`; in lower case they have passed an HTX proxy or HTTP/2."""
    if not exchange.headers or exchange.has("server"):
        return False
    names = [name for name, _ in exchange.headers]
    node = exchange.has("x-powered-by", "express") or exchange.has("keep-alive")
    return node and all(name == name.lower() for name in names)


def same_url(facts: Facts, location: str) -> bool:
    """A redirect to the URL itself."""
    url = facts[UrlFacts]
    scheme = "https" if url.secure else "http"
    return location.rstrip("/") in {f"{scheme}://{url.authority}{url.target}".rstrip("/"), url.target.rstrip("/")}
