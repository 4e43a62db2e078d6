"""What strangers may cost: who they are, behind which proxies, and how much is too much. Calls never notice."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from callpath.clock import ManualClock
from callpath.config import Settings, read_settings
from callpath.errors import ConfigError
from callpath.server import limits
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.limits import (
    KEYS_MAX,
    SUMMARY_MS,
    UPGRADES,
    UPGRADES_OF_A_CALL,
    WRITTEN,
    AddressHeader,
    ClientAddress,
    ConnectionLimiter,
    Limits,
    Rate,
    Rates,
    limited_as,
    parse_client_address,
)
from callpath.server.metrics import Metrics
from callpath.store.memory import MemoryCallLog
from callpath.timeline import SocketRejected, StreamAccepted
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.serving import serving, upgraded

TELNYX = "8.8.4.4"
"""What matters is that it is no private network's."""

# --- who somebody is -------------------------------------------------------------------------------------------------


async def client_of(header: str | None, peer: str, **headers: str) -> str:
    """Whom the server takes a request to come from."""
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"])

    found = parse_client_address("S", header or "peer")
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    wrapped: Any = app if found is None else ClientAddress(app, found)
    await wrapped({"type": "http", "headers": given, "client": (peer, 1)}, None, None)
    return str(seen[0][0])


@pytest.mark.parametrize(
    ("header", "sent", "client"),
    [
        (None, {"x_forwarded_for": "203.0.113.7"}, "10.0.0.1"),
        ("x-forwarded-for", {"x_forwarded_for": "203.0.113.7"}, "203.0.113.7"),
        ("x-forwarded-for:1", {"x_forwarded_for": "6.6.6.6, 203.0.113.7"}, "203.0.113.7"),
        ("x-forwarded-for:2", {"x_forwarded_for": "6.6.6.6, 203.0.113.7, 192.0.2.1"}, "203.0.113.7"),
        ("x-forwarded-for:2", {"x_forwarded_for": "203.0.113.7"}, "10.0.0.1"),
        ("X-Real-IP", {"x_real_ip": "2001:db8::7"}, "2001:db8::7"),
        ("x-real-ip", {"x_forwarded_for": "6.6.6.6"}, "10.0.0.1"),
        ("x-real-ip", {"x_real_ip": "<script>"}, "10.0.0.1"),
    ],
)
async def test_a_client_is_whom_the_trusted_proxies_name(header: str | None, sent: dict[str, str], client: str) -> None:
    """What stands to the left of their words the client wrote himself, and could be Telnyx's address."""
    assert client == await client_of(header, "10.0.0.1", **sent)


@pytest.mark.parametrize("text", ["", "0", "x-forwarded-for:0", "x-forwarded-for:ten", "a b", "PEER:1:1"])
def test_a_wrong_header_is_told_at_start(text: str) -> None:
    """Not in the first attack."""
    with pytest.raises(ConfigError, match="x-forwarded-for:1"):
        parse_client_address("CALLPATH_CLIENT_ADDRESS", text)


def test_hosts_are_known_by_what_their_edges_send() -> None:
    """On Railway every connection comes from the edge; the header is as good as the peer there. One's own word goes
    first, and elsewhere nobody is believed."""
    railway = read_settings({"RAILWAY_ENVIRONMENT_ID": "e"})
    chosen = read_settings({"RAILWAY_ENVIRONMENT_ID": "e", "CALLPATH_CLIENT_ADDRESS": "peer"})

    assert ("x-real-ip", "RAILWAY_ENVIRONMENT_ID") == (railway[0].client_address, railway[1]["client_address"])
    assert "peer" == chosen[0].client_address == Settings().client_address
    assert AddressHeader(b"fly-client-ip") == parse_client_address(
        "S", read_settings({"FLY_APP_NAME": "a"})[0].client_address
    )


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2600:1f18::1", "2600:1f18::/64"),
        ("2600:1f18::dead:beef", "2600:1f18::/64"),
        ("10.1.2.3", None),
        ("100.64.0.2", None),
        ("172.16.0.2", None),
        ("fdaa::3", None),
        ("127.0.0.1", None),
        (None, None),
        ("testclient", None),
    ],
)
def test_an_address_that_many_share_is_not_limited_by_itself(address: str | None, key: str | None) -> None:
    """A proxy's: Telnyx comes from there, too. And whoever has one IPv6 address has 2^64 of them."""
    assert key == limited_as(address)


# --- how often -------------------------------------------------------------------------------------------------------


def test_rates_are_kept_apart_and_fill_up_again() -> None:
    """One noisy address must not use up another's, and shall be heard again when it is quiet."""
    rates = Rates(Rate(2, 1), Rate(100, 10))

    assert [True, True, False] == [rates.take("a", 0) for _ in range(3)]
    assert rates.take("b", 0)
    assert [True, False] == [rates.take("a", 1000) for _ in range(2)]


def test_many_addresses_together_are_bounded() -> None:
    """A botnet has more addresses than there are places in a table; and what one is refused costs the others nothing."""
    rates = Rates(Rate(1, 0), Rate(KEYS_MAX + 10, 0))
    taken = sum(rates.take(f"address {number}", 0) for number in range(2 * KEYS_MAX))

    assert KEYS_MAX + 10 == taken
    assert len(rates._left) <= KEYS_MAX


def _limits(clock: ManualClock) -> Limits:
    return Limits(log=MemoryCallLog(), clock=clock, metrics=Metrics())


def test_a_call_with_its_token_is_never_held_up() -> None:
    """Somebody else's junk, from wherever and of whatever kind, must not cost a caller his audio."""
    limits = _limits(ManualClock())
    junk = [
        {"session": "call", "live": True, "tokened": False, "client": TELNYX},
        {"session": "none", "live": False, "tokened": False, "client": TELNYX},
        {"session": "none", "live": False, "tokened": False, "client": "10.0.0.1"},
    ]
    for one in junk:
        assert not all(limits.may_upgrade(**one) for _ in range(400))  # type: ignore[arg-type]

    assert all(limits.may_upgrade("call", live=True, tokened=True, client=TELNYX) for _ in range(1000))
    assert limits.may_upgrade("on another node", live=False, tokened=True, client=TELNYX)


def test_an_old_token_is_not_a_free_pass() -> None:
    """Each upgrade for a call that is not in memory costs a query; its own tokens' rate is enough for any real one."""
    limits = _limits(ManualClock())
    tried = [limits.may_upgrade("old", live=False, tokened=True, client=TELNYX) for _ in range(100)]

    assert UPGRADES_OF_A_CALL.at_once == sum(tried)


def test_one_address_has_less_than_all() -> None:
    """Else one of them could keep the doctor of everybody else out."""
    limits = _limits(ManualClock())
    one = sum(limits.may_upgrade("x", live=False, tokened=False, client="8.8.8.8") for _ in range(1000))
    all_ = one + sum(limits.may_upgrade("x", live=False, tokened=False, client=None) for _ in range(1000))

    assert (UPGRADES[0].at_once, UPGRADES[1].at_once) == (one, all_)


async def test_a_flood_of_refusals_is_counted_and_summed_up() -> None:
    """A log line and a commit for each would be what the flood is for."""
    clock, log, metrics = ManualClock(), MemoryCallLog(), Metrics()
    limits = Limits(log=log, clock=clock, metrics=metrics)
    with capture_logs() as lines:
        for _ in range(1000):
            await limits.reject("webhook", "unsigned", "it lacks a signature", "8.8.8.8", "/api/calls/webhook")
        await clock.advance(SUMMARY_MS)
        for _ in range(100):
            await limits.reject("webhook", "unsigned", "it lacks a signature", "8.8.8.8", "/api/calls/webhook")
    stored, _ = await log.rejected(1)
    written = int(WRITTEN[0].at_once)
    sums = [line["counts"] for line in lines if line["event_name"] == "rejections.suppressed"]

    assert 'callpath_refused_total{reason="unsigned",what="webhook"} 1100.0' in metrics.text().decode()
    assert written <= stored <= 2 * written + 1
    assert len(lines) == stored + len(sums)
    assert [{"webhook: unsigned": 1}, {"webhook: unsigned": 1000 - written}] == sums[:2]


# --- connections -----------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, *, waits: bool = True) -> None:
        self.open = True
        self._waits = waits

    def is_idle(self) -> bool:
        return self._waits

    def evict(self) -> None:
        self.open = False


def test_who_was_silent_the_longest_makes_room() -> None:
    """A newcomer may be Telnyx. Whoever is being answered, or has shown something, stays."""
    turned_away: list[tuple[str, str]] = []
    limiter = ConnectionLimiter(lambda *what: turned_away.append(what))
    limiter.connections_max = 3
    busy, known, first, second = Connection(waits=False), Connection(), Connection(), Connection()
    for one in (busy, known, first):
        limiter.add(one, "10.0.0.1")
    limiter.remove(known)
    limiter.add(second, "10.0.0.1")
    limiter.add(Connection(), "8.8.8.8")

    assert [True, True, False, True] == [one.open for one in (busy, known, first, second)]
    assert [("connection", "crowded")] == turned_away
    assert 3 == len(limiter)


def test_one_address_makes_room_for_itself_first() -> None:
    """It cannot push others out before it has used up its own share; a proxy's address has none."""
    limiter = ConnectionLimiter()
    limiter.per_address_max = 2
    quiet, mine, proxied = Connection(), [Connection() for _ in range(3)], [Connection() for _ in range(5)]
    limiter.add(quiet, "1.1.1.1")
    for one in mine:
        limiter.add(one, "8.8.8.8")
    for one in proxied:
        limiter.add(one, "10.0.0.1")
    for one in (quiet, *mine, *proxied):
        limiter.remove(one)

    assert [True, False, True, True] == [one.open for one in (quiet, *mine)]
    assert all(one.open for one in proxied)
    assert 0 == len(limiter)
    assert {} == limiter._of


# --- a server at work ------------------------------------------------------------------------------------------------


@pytest.mark.e2e
async def test_junk_upgrades_cost_no_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood without tokens, at calls that are not there and at one that is: it is refused by name and counted, the
    call's timeline stays short, and the call's own socket opens. No token is added to the buckets meanwhile, so that the
    speed of the machine decides nothing."""
    monkeypatch.setattr(limits, "UPGRADES", (Rate(60, 0), Rate(300, 0)))
    monkeypatch.setattr(limits, "UPGRADES_OF_A_CALL", Rate(20, 0))
    async with serving(BUILTIN["tone"](), tmp_path, no_socket_then="nothing", client_address="x-real-ip") as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        strangers = [await upgraded(served, "nobody", x_real_ip="8.8.8.8") for _ in range(70)]
        others = await upgraded(served, "nobody", x_real_ip="9.9.9.9")
        guesses = [await upgraded(served, session, x_real_ip="8.8.8.8") for _ in range(30)]
        assert served.context.tokens is not None
        token = {AUTH_TOKEN_HEADER.replace("-", "_"): served.context.tokens.of(session)}
        telnyx = await upgraded(served, session, x_real_ip="8.8.8.8", **token)
        entries = await served.until_kind(session, SocketRejected, times=20)
        page = served.context.metrics.text().decode()

    refused = sum(isinstance(entry.what, SocketRejected) for entry in entries)
    counted = re.search(r'reason="too_many_upgrades",what="upgrade"} (\d+)', page)
    assert [404] * 60 + [429] * 10 == strangers
    assert (404, 101) == (others, telnyx)
    assert [401] * 20 + [429] * 10 == guesses
    assert 20 == refused
    assert counted is not None
    assert strangers.count(429) + guesses.count(429) == int(counted[1])


@pytest.mark.e2e
async def test_a_crowd_of_silent_connections_keeps_nobody_out(tmp_path: Path) -> None:
    """Whatever holds connections open and says nothing is cut before somebody new is; a call's socket, and a connection
    that brought authentic webhooks, are not among them."""
    async with serving(BUILTIN["tone"](), tmp_path) as served, AsyncExitStack() as stack:
        caller = await served.telnyx.call()
        await caller.stream_started()
        limiter: ConnectionLimiter = served.asgi.state.connection_limiter
        limiter.connections_max = 5
        before = len(limiter)
        readers = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            stack.callback(writer.close)
            readers.append(reader)
        async with httpx2.AsyncClient(trust_env=False) as http:
            health = await http.get(f"{served.url}/healthz")
        async with asyncio.timeout(10):
            cut = [await reader.read() for reader in readers[:14]]
        await caller.heard_for(300)
        page = served.context.metrics.text().decode()

        assert 0 == before, "the call's webhooks and its socket are vouched for"
        assert 200 == health.status_code
        assert [b""] * 14 == cut
        assert len(limiter) <= 5
        assert caller.failure is None
    assert 'callpath_refused_total{reason="crowded",what="connection"}' in page


@pytest.mark.parametrize("name", ["secret", "dashboard_token", "metrics_token"])
def test_what_can_be_guessed_is_refused_at_start(tmp_path: Path, name: str) -> None:
    """On a public host they are all that stands between anybody and a company's calls."""
    given: dict[str, Any] = {
        "telnyx_api_key": "KEY1",
        "telnyx_public_key": "I8xEyIxM4p1nMqm2LNVmqgEQ1hBoVqS1dUs2W2Ic3SE=",
        "data_dir": tmp_path,
    }
    with pytest.raises(ConfigError, match=r"can be guessed.*token_urlsafe"):
        create_asgi(BUILTIN["tone"](), Settings(public_url="https://c.example.com", **given | {name: "changeme"}))

    create_asgi(BUILTIN["tone"](), Settings(public_url="http://127.0.0.1:8000", **given | {name: "changeme"}))
