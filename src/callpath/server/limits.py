"""Rate limits for unauthenticated clients. A good token or signature is never limited here.

Limited per address and in total: upgrades, idle connections, and rejections that are stored. An address of a private
network, hence of a proxy, has no limit of its own, since Telnyx's requests come from there, too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from callpath.clock import Clock
from callpath.errors import ConfigError, StoreError
from callpath.server.metrics import Metrics
from callpath.store.port import CallLog, RejectedRequest

logger = structlog.get_logger("callpath")

KEYS_MAX = 4096
"""Maximum number of addresses remembered. The least recently seen one is forgotten first."""

SUMMARY_MS = 60_000.0
"""How often a log line counts the rejections that were not logged one by one."""


# --- who somebody is -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddressHeader:
    """The header in which proxies before us name the client, and how many of them each add one name to it."""

    name: bytes
    hops: int = 1


def parse_client_address(setting: str, text: str) -> AddressHeader | None:
    """`peer` (None), or HEADER, or HEADER:HOPS. Raises ConfigError."""
    if text == "peer":
        return None
    found = re.fullmatch(r"([a-z][a-z0-9-]*)(?::([1-9]))?", text.lower())
    if found is None:
        hint = f"Right is peer, or a header that your proxy sets, for example {setting}=x-forwarded-for:1"
        raise ConfigError(setting, f"is {text!r}", hint)
    return AddressHeader(found[1].encode(), int(found[2] or 1))


class ClientAddress:
    """ASGI: the client is whom the proxies before us name. What a client wrote into the header itself stands to the left
    of what they added, and is not believed."""

    def __init__(self, app: ASGIApp, header: AddressHeader) -> None:
        self._app = app
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            address = self._named(scope["headers"])
            if address is not None:
                scope = {**scope, "client": (address, 0)}
        await self._app(scope, receive, send)

    def _named(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        lines = [value for name, value in headers if name.lower() == self._header.name]
        names = b",".join(lines).decode("latin-1").split(",")
        if len(names) < self._header.hops:
            return None  # it came past a proxy: the peer's own address is the truth
        try:
            return str(ipaddress.ip_address(names[-self._header.hops].strip()))
        except ValueError:
            return None


def limited_as(address: str | None) -> str | None:
    """What is limited as one: an IPv4 address, an IPv6 network of 64 bits. None: an address that many may share."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if not found.is_global:
        return None
    return str(found) if found.version == 4 else str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


# --- how often -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: its size, and how many tokens are added a second."""

    at_once: float
    per_s: float


class Rates:
    """One rate for each key, and one for all together. Pure: the time is handed in."""

    def __init__(self, each: Rate, together: Rate | None = None) -> None:
        self._each = each
        self._together = together
        self._left: dict[str | None, tuple[float, float]] = {}
        """Tokens left, and when that was counted. The bucket of the total is under None, and never forgotten."""

    def take(self, key: str | None, now_ms: float) -> bool:
        """Whether one more is within the rates. Under None only that of all together counts."""
        asked: list[tuple[str | None, Rate]] = [(key, self._each)] if key is not None else []
        if self._together is not None:
            asked.append((None, self._together))
        left = {one: self._now(one, rate, now_ms) for one, rate in asked}
        within = all(number >= 1 for number in left.values())
        for one, number in left.items():
            self._left.pop(one, None)
            self._left[one] = (number - 1 if within else number, now_ms)
        while len(self._left) > KEYS_MAX:
            self._left.pop(next(one for one in self._left if one is not None))
        return within

    def _now(self, key: str | None, rate: Rate, now_ms: float) -> float:
        number, at_ms = self._left.get(key, (rate.at_once, now_ms))
        return min(rate.at_once, number + rate.per_s * (now_ms - at_ms) / 1000)


UPGRADES = Rate(60, 5), Rate(300, 50)
"""Upgrades without a good token, per address and in total. The doctor sends about fifteen; each costs a query."""

UPGRADES_OF_A_CALL = Rate(20, 1)
"""The same for a call that is in memory: each is two entries of its timeline."""

WRITTEN = Rate(60, 1), Rate(200, 5)
"""Rejections that are stored one by one. More of them say nothing new, and each costs a commit."""


class Limits:
    """One server's limits. Each rejection is counted, and stored within WRITTEN."""

    def __init__(self, *, log: CallLog, clock: Clock, metrics: Metrics) -> None:
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._upgrades = Rates(*UPGRADES)
        self._of_calls = Rates(UPGRADES_OF_A_CALL)
        self._of_tokens = Rates(UPGRADES_OF_A_CALL)
        self._written = Rates(*WRITTEN)
        self._summary = Summary(clock)

    def may_upgrade(self, session: str, *, live: bool, tokened: bool, client: str | None) -> bool:
        """Whether an upgrade is looked at. `live`: the call is here, in memory; `tokened`: it showed that call's token.

        With both it always is. The token of a call that is not here may be an old one: then its own rate holds, which
        nobody else can use up.
        """
        if tokened and live:
            return True
        now_ms = self._clock.now_ms()
        if tokened:
            return self._of_tokens.take(session, now_ms)
        if live:
            return self._of_calls.take(session, now_ms)
        return self._upgrades.take(limited_as(client), now_ms)

    async def reject(self, what: str, reason: str, detail: str, client: str | None, path: str) -> bool:
        """Store a rejected request that belongs to no call. False: the store failed, which is logged."""
        self._metrics.rejected(what, reason)
        if not self._written.take(limited_as(client), self._clock.now_ms()):
            self._summary.add(f"{what}: {reason}")
            return True
        logger.warning(
            f"{what.capitalize()} rejected: {detail}", event_name=f"{what}.rejected", reason=reason, client=client
        )
        try:
            await self._log.note_rejected(
                RejectedRequest(self._clock.now_unix_ms(), what, reason, detail[:500], client, path[:400])
            )
        except StoreError as error:
            logger.error("Rejected request not stored", event_name="rejection.not_stored", error=str(error))
            return False
        return True

    def turned_away(self, what: str, reason: str) -> None:
        """Count a rejection without details: a connection, bytes that are no request."""
        self._metrics.rejected(what, reason)
        self._summary.add(f"{what}: {reason}")


class Summary:
    """One log line a minute instead of one for each rejection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._silent_until_ms = 0.0

    def add(self, what: str) -> None:
        """Count one. The first is logged at once, the others with the next one after a minute."""
        self._counts[what] = self._counts.get(what, 0) + 1
        now_ms = self._clock.now_ms()
        if now_ms < self._silent_until_ms:
            return
        self._silent_until_ms = now_ms + SUMMARY_MS
        logger.warning(
            "Suppressed repeated rejections: " + ", ".join(f"{n} {what}" for what, n in self._counts.items()),
            event_name="rejections.suppressed",
            counts=self._counts,
        )
        self._counts = {}


# --- connections -----------------------------------------------------------------------------------------------------

CONNECTIONS_MAX = 2000
"""Maximum unauthenticated connections. One more evicts the oldest idle one."""

CONNECTIONS_PER_ADDRESS_MAX = 200


class UnauthenticatedConnection(Protocol):
    """A connection that has shown neither a token nor a signature."""

    def is_idle(self) -> bool:
        """Whether it is the client's turn: to send a request, the rest of one, or to read its answer."""
        ...

    def evict(self) -> None:
        """Close it, to make room."""
        ...


class ConnectionLimiter:
    """The unauthenticated connections, the oldest first.

    A new connection is never rejected, since it may be Telnyx's: the oldest idle one is evicted.
    """

    def __init__(self, turned_away: Callable[[str, str], None] | None = None) -> None:
        self.connections_max = CONNECTIONS_MAX
        self.per_address_max = CONNECTIONS_PER_ADDRESS_MAX
        self.turned_away = turned_away or (lambda _what, _reason: None)
        self._all: dict[UnauthenticatedConnection, str | None] = {}
        self._of: dict[str, dict[UnauthenticatedConnection, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, new: UnauthenticatedConnection, address: str | None) -> None:
        """A connection was made."""
        key = limited_as(address)
        self._all[new] = key
        if key is not None:
            mine = self._of.setdefault(key, {})
            mine[new] = None
            if len(mine) > self.per_address_max:
                self._make_room(mine, new)
        if len(self._all) > self.connections_max:
            self._make_room(self._all, new)

    def remove(self, one: UnauthenticatedConnection) -> None:
        """The connection is closed, or has shown a token or a signature."""
        key = self._all.pop(one, None)
        mine = self._of.get(key) if key is not None else None
        if key is not None and mine is not None:
            mine.pop(one, None)
            if not mine:
                del self._of[key]

    def _make_room(self, among: Iterable[UnauthenticatedConnection], new: UnauthenticatedConnection) -> None:
        found = next((one for one in among if one is not new and one.is_idle()), None)
        if found is not None:  # None: all of them are being answered at this moment
            self.remove(found)
            self.turned_away("connection", "crowded")
            found.evict()
