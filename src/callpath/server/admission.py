"""Whether an audio socket may open: decided before 101, and written down either way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from callpath.errors import StoreError
from callpath.server.calls import Calls
from callpath.server.context import Context
from callpath.server.live import LiveCall
from callpath.server.prober import probe_session
from callpath.server.tokens import TOKEN_MS_MAX
from callpath.timeline import SocketReceived, SocketRejected
from callpath.wire.ids import SessionId


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request for an audio socket. `headers` are those that tell which way it took; `may_go_on`: its sender goes on to
    another node at ELSEWHERE, so that what was asked here does not count."""

    session: SessionId
    shown_token: str | None
    path: str
    client: str | None
    headers: Mapping[str, str]
    may_go_on: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """An audio socket may open: this is its call."""

    call: LiveCall


@dataclass(frozen=True, slots=True)
class Rejection:
    """An audio socket may not open: the HTTP status to answer with, and why."""

    status: int
    reason: str
    detail: str


TOO_MANY = Rejection(
    429,
    "too_many_upgrades",
    "too many upgrades without this call's token came lately, and no more are looked at; one with its token always is",
)

ELSEWHERE = Rejection(
    503, "draining", "the server is stopping, and another one acts for this call: it takes the call's audio socket"
)
"""Said only to a balancer that then asks the other one."""


SOCKETS_PER_CALL, SOCKETS_EXTRA = 2, 50
"""Maximum audio sockets of this process: for each call that it may take (CALLPATH_CALLS_MAX), and in addition. New calls
are limited when they are taken; an answered one is not rejected below this, since its caller would be on a silent line.
The kernel or a balancer deals sockets out by chance, so a worker carries more calls than it took: of 180 on 4 workers of
50, one gets more than 50 in every fifth case, and more than 150 never."""


async def admit(calls: Calls, upgrade: Upgrade) -> Admission | Rejection:
    """Decide about a WebSocket upgrade, before it is answered. It is written down, within the limits. Raises StoreError."""
    context, session = calls.context, upgrade.session
    tokened = context.tokens is not None and context.tokens.fits(session, upgrade.shown_token or "")
    live = session in calls.live
    if not context.limits.may_upgrade(session, live=live, tokened=tokened, client=upgrade.client):
        context.limits.turned_away("upgrade", TOO_MANY.reason)
        return TOO_MANY
    timeline = [] if live else await context.log.read(session)
    if not (live or timeline):
        rejection = Rejection(
            404,
            "unknown_session",
            "no call with this call_session_id is known here: did its webhooks go to another server?",
        )
        if not await context.limits.reject("upgrade", rejection.reason, rejection.detail, upgrade.client, upgrade.path):
            raise StoreError("nothing can be written, perhaps not even the webhook that told of this call")
        return rejection
    call = calls.load(session, timeline)
    await call.until_ready()
    if not call.was_read:  # 410 token_expired would blame the token: nothing is known of the call
        raise StoreError("the timeline of this call cannot be read at this moment")
    refused = _reason_to_reject(calls, call, upgrade)
    being_probed = context.prober is not None and session in context.prober.under_way
    if refused is not None and being_probed and refused.reason in ("no_token", "wrong_token"):
        return refused  # the doctor's: it tries all shapes of a request, and none of them is Telnyx's
    if (
        refused is None
        and calls.capacity.draining
        and upgrade.may_go_on
        and not await call.ownership.claim_for_socket(by_force=False)
    ):
        context.metrics.rejected("upgrade", ELSEWHERE.reason)
        return ELSEWHERE
    call.note(SocketReceived(path=upgrade.path, client=upgrade.client, headers=dict(upgrade.headers)))
    if refused is None:
        await call.ownership.claim_for_socket()
        return Admission(call)
    call.note(
        SocketRejected(
            status=refused.status,
            reason=refused.reason,
            detail=refused.detail,
            path=upgrade.path,
            client=upgrade.client,
        )
    )
    return refused


def is_own_probe(context: Context, session: SessionId, shown_token: str | None) -> bool:
    """Whether an upgrade is the doctor's, sent by this server or one with the same secret."""
    return context.tokens is not None and context.tokens.fits(probe_session(session), shown_token or "")


def _reason_to_reject(calls: Calls, call: LiveCall, upgrade: Upgrade) -> Rejection | None:
    context = calls.context
    if _is_foreign_page(upgrade.headers):
        origin = upgrade.headers["origin"]
        return Rejection(403, "browser_origin", f"a browser page of {origin} opened it; a call's audio is Telnyx's")
    if context.tokens is not None:
        if not upgrade.shown_token:
            return Rejection(
                401,
                "no_token",
                "the upgrade carried no token: it came from somebody else, or a proxy dropped the header "
                "x-telnyx-streaming-auth-token (then set CALLPATH_TOKEN_IN=path)",
            )
        if not context.tokens.fits(call.session.session, upgrade.shown_token):
            return Rejection(403, "wrong_token", "the upgrade carried a token that is not this call's")
    if call.session.ended:
        return Rejection(410, "call_ended", "the call is over")
    given_unix_ms = call.session.stream_unix_ms or call.session.first_unix_ms or 0
    if context.tokens is not None and context.clock.now_unix_ms() > given_unix_ms + TOKEN_MS_MAX:
        minutes = TOKEN_MS_MAX // 60_000
        return Rejection(
            410,
            "token_expired",
            f"the call's stream was not asked for, and showed no life, for {minutes} minutes: streaming_start makes "
            "its token good again",
        )
    if call.line.is_living:
        return Rejection(409, "second_socket", "this call has a living audio socket already")
    if context.calls_max:
        sockets_max = SOCKETS_PER_CALL * context.calls_max + SOCKETS_EXTRA
        if sum(other.line.is_living for other in calls.live.values()) >= sockets_max:
            why = f"{sockets_max} audio sockets are open already, more than twice what CALLPATH_CALLS_MAX allows"
            return Rejection(503, "full", why)
    return None


def _is_foreign_page(headers: Mapping[str, str]) -> bool:
    """A browser always sends an Origin with a WebSocket. Whether Telnyx does is not documented, so both signs are asked."""
    origin, host = headers.get("origin"), headers.get("host", "")
    return (
        origin is not None
        and origin.partition("://")[2] != host
        and headers.get("user-agent", "").startswith("Mozilla/")
    )
