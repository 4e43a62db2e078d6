"""AUTH001: the upgrade needs credentials."""

import re

from callpath.doctor.answers import LOGIN_WORDS, refused, show, words_of, works
from callpath.doctor.calls import first, in_time, refused_sockets, show_entries, url_asked
from callpath.doctor.closings import early, show_ending
from callpath.doctor.edges import failed_upgrades, refused_by_us, show_row
from callpath.doctor.facts import CallFacts, Facts, ServedFacts, UrlFacts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.reasons import closed_by_program, show_line
from callpath.doctor.rule import OWN_WORD, Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, ended, media, upgrade, url
from callpath.doctor.rules.sample_call import CAME, GOOD, a_call, hung_up, turned_away
from callpath.doctor.rules.sample_edge import row, seen_at_edge
from callpath.doctor.rules.sample_log import line, told_call
from callpath.timeline import SocketClosed, SocketReceived

_WORDS = re.compile(
    r"\b(un)?authori[sz](ed|ation)|authenticat|credential|(invalid|missing|bad|wrong|expired|no) (api.?key"
    r"|(auth |access )?token|jwt|signature|password)|api.?key",
    re.IGNORECASE,
)


def auth_required(facts: Facts) -> Finding | None:
    carrier = refused(facts, 401, 407, 403)
    if carrier is None:
        return None
    given = facts[UrlFacts]
    if works(facts, "no-token"):
        return Finding("with the token the upgrade is refused, without it it works", (show(carrier),))
    if carrier.status == 403 and not (_WORDS.search(words_of(carrier)) and len(carrier.text) < 2000):
        return None
    if carrier.status == 401 and carrier.has("location") and LOGIN_WORDS.search(carrier.header("location") or ""):
        return None
    asked = carrier.header("www-authenticate")
    token = "the token given is not accepted" if given.token_given else "no token was given (--token)"
    return Finding(
        f"{carrier.status}: credentials are required; {token}",
        (show(carrier), *((f"www-authenticate: {asked}",) if asked else ())),
    )


def url_userinfo(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if not given.userinfo:
        return None
    carrier = refused(facts)
    if carrier is None or carrier.status != 401:
        return Finding("the URL has a user name; carriers are not known to send it", kind="note")
    return Finding("the URL has a user name and password, which a carrier does not send as a header", (show(carrier),))


def call_no_token(facts: Facts) -> Finding | None:
    found = refused_sockets(facts[CallFacts], "no_token")
    if not found:
        return None
    entry, what = found[0]
    if not in_time(facts[CallFacts], entry):
        return Finding(
            f"an upgrade without a token was answered {what.status}, long after the stream was asked for",
            (*show_entries(facts[CallFacts], entry), f"from {what.client}, path {what.path}"),
            kind="open",
            candidates=("ws-auth-required-401", "ws-token-wrong", "somebody-tried-the-url"),
            question="Was that Telnyx, or somebody who tried the URL by hand? Telnyx connects at once after "
            "streaming_start.",
        )
    asked_in = facts.get(ServedFacts)
    in_header = asked_in is None or asked_in.token_in == "header"
    return Finding(
        f"the upgrade came and carried no token; it was answered {what.status}",
        (
            *show_entries(facts[CallFacts], first(facts[CallFacts], SocketReceived), entry),
            f"from {what.client}, path {what.path}",
        ),
        fix="A proxy drops the header x-telnyx-streaming-auth-token, or another program asked for the stream without "
        "stream_auth_token. Set CALLPATH_TOKEN_IN=path: the token then stands in the URL."
        if in_header
        else "The path lost its last part on the way, or another program asked for the stream.",
    )


def edge_auth(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 401, 407)
    if not rows or refused_by_us(facts):
        return None
    return Finding(f"the upgrade was answered with {rows[0].status}", tuple(show_row(row) for row in rows[:3]))


def callpath_token(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, "no_token", "wrong_token", "no_probe_token", "wrong_probe_token")
    if word is None:
        return None
    if word.reason.startswith("no_") and facts[UrlFacts].token_given:
        return Finding(
            "the token given did not arrive: something on the way drops the header x-telnyx-streaming-auth-token",
            (show(word.exchange),),
            confidence="medium",
            fix="Let the proxy pass the header, or set CALLPATH_TOKEN_IN=path on the server: the token then stands in "
            "the URL.",
        )
    return Finding(
        f"the callpath server itself answered {word.exchange.status} {word.reason}: {word.detail}",
        (show(word.exchange),),
        certain=OWN_WORD,
    )


def said(reason: str, status: int) -> Facts:
    return upgrade(answer(status, f'{{"error":"{reason}","detail":"told"}}', X_Callpath="0.1.0"))


_WORDS_AUTH = re.compile(r"auth|token|credential|forbidden|permission|secret|signature|api.?key", re.IGNORECASE)


def auth_closed_for_token(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame" or ending.code is None:
        return None
    if ending.code not in {3000, 3003, 4001, 4003, 4401, 4403} and not (
        (ending.code == 1008 or ending.code >= 4000) and _WORDS_AUTH.search(ending.reason)
    ):
        return None
    token = "the token given is not accepted" if facts[UrlFacts].token_given else "no token was given (--token)"
    return Finding(f"the server accepted and closed with {show_ending(ending)}; {token}", (show_ending(ending),))


def log_no_token(facts: Facts) -> Finding | None:
    closing = closed_by_program(facts)
    if (
        closing is None
        or closing.line is None
        or closing.line.because not in {"auth", "parameters"}
        or not closing.at_once
    ):
        return None
    if closing.line.gone and "?" in url_asked(facts[CallFacts]):
        return None  # url-query-string-lost: it was put into the URL
    if closing.line.because == "parameters":
        return None  # not a token: app-closes-stream would hide what it is about
    return Finding(
        f"the program refused the socket: {closing.line.text}",
        (show_line(closing.line), *show_entries(facts[CallFacts], closing.entry)),
        confidence="high" if closing.line.closes else "medium",
    )


CAUSE = Cause(
    code="AUTH001",
    slug="ws-auth-required-401",
    merged=("url-userinfo",),
    title="The upgrade is refused without credentials",
    owner="you",
    why="A global guard, basic auth on staging, a JWT middleware or verifyClient stands before the stream. A carrier "
    "can send one token, in the header x-telnyx-streaming-auth-token, and nothing else.",
    fix="Exempt the stream's path from the guard and check the call's own token: stream_auth_token in the command, or "
    "a secret in the path. Try it with --token.",
    signs=(
        Sign(
            "url",
            auth_required,
            named={"basic auth": upgrade(answer(401, WWW_Authenticate="Basic"))},
            quiet={"a bare 403": upgrade(answer(403))},
        ),
        Sign(
            "call",
            log_no_token,
            code="LOG006",
            title="The program refused the socket for want of a valid token",
            named={
                "it says so": told_call(
                    CAME,
                    (1_200, SocketClosed(code=1008, reason="unauthorized")),
                    (20_000, hung_up()),
                    complaints=(line(1_150, "invalid token, closing", because="auth", closes=True),),
                )
            },
            quiet={"closed at the call's end": told_call(GOOD)},
        ),
        Sign(
            "call",
            call_no_token,
            code="CALL040",
            title="The socket came without the call's token, and we refused it",
            why="Each call's socket is guarded by a token that Telnyx shows in the header "
            "x-telnyx-streaming-auth-token. A proxy that passes only known headers drops it.",
            fix="Let the proxy pass the header, or set CALLPATH_TOKEN_IN=path.",
            named={"no token": a_call(turned_away("no_token", 401))},
            quiet={
                "let in later": a_call(turned_away("no_token", 401), GOOD),
                "a wrong one": a_call(turned_away("wrong_token")),
            },
        ),
        Sign(
            "url",
            url_userinfo,
            code="URL011",
            title="The URL relies on a user name and password in it",
            why="Browsers and curl turn user:password@ into an Authorization header; nothing says that a carrier does.",
            fix="Exempt the stream's path from basic auth, and authenticate with stream_auth_token.",
            named={"basic auth in the URL": upgrade(answer(401), given=url(userinfo=True))},
            quiet={"none": upgrade(answer(401))},
        ),
        Sign(
            "edge",
            edge_auth,
            code="EDGE010",
            title="The application wants a login for the stream",
            why="A guard over all routes, basic auth or a token check answered 401. Telnyx logs in nowhere; it can "
            "only show the stream's token.",
            fix="Exempt the stream's path from the guard, and prove the caller by a token in the path or by "
            "stream_auth_token.",
            named={"401": seen_at_edge(row("GET", 401))},
            quiet={"404": seen_at_edge(row("GET", 404))},
        ),
        Sign(
            "url",
            callpath_token,
            code="CALLPATH002",
            title="The callpath server was reached; it asks for a token",
            why="Each call's audio socket is guarded by a token that Telnyx is given with streaming_start; the "
            "doctor's own probe needs one, too, on a public host.",
            fix="Run the doctor where the server's settings are (TELNYX_API_KEY, or CALLPATH_SECRET where it is set): "
            "the probe token for test-connection is then made by itself. Or give it with --token.",
            named={"a probe without its token": said("no_probe_token", 401), "a wrong one": said("wrong_token", 403)},
            quiet={"another guard's 401": upgrade(answer(401, WWW_Authenticate="Basic"))},
        ),
        Sign(
            "url",
            auth_closed_for_token,
            code="AUTH006",
            title="The stream is closed: token missing or invalid",
            why="The handler checks a token after it accepted. The carrier sends stream_auth_token in the header "
            "x-telnyx-streaming-auth-token and in the first frame, nowhere else.",
            fix="Send the same secret as stream_auth_token in the command, and compare it with that header. Try it "
            "with --token.",
            named={"bad token": media(ending=ended(code=1008, reason="invalid token"))},
            quiet={"a crash": media(ending=ended(code=1011))},
        ),
    ),
)
