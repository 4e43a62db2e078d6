"""Who may look at the dashboard, and what a browser may be tricked into.

With a token: whoever shows it, by the login form (a cookie) or as `Authorization: Bearer`. Without one: only this very
machine, and only while the public URL is this machine's own; a page elsewhere that points its name at 127.0.0.1 is told
apart by the Host header. A request that changes something, and every WebSocket, must come from our own pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from callpath.clock import Clock
from callpath.config import DIGITS_MAX, Settings, is_loopback, is_this_machine

COOKIE = "callpath_session"
SESSION_S = 12 * 3600
"""How long a login lasts: a working day."""

DIALLER = "callpath.dialler"
"""Where a request's scope says who dials: `token` or `login`."""

_DIAL_ROUTE = re.compile(r"/calls(?P<call>/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?P<what>/hangup|/outcome)?)?")


COOKIES_MAX = 100
"""Cookies of one request that are looked at."""
TRIES_MAX = 10
TRIES_MS = 60_000.0
"""Maximum wrong tokens per address and minute; further ones are answered with 429. The right token is always accepted:
behind a proxy all visitors share one address, and anybody could lock the others out."""

ADDRESSES_MAX = 1000
"""Maximum addresses that are counted one by one; further ones are counted as one."""

LOGGED_OUT = "logged-out"
"""The folder in the data directory with a file for each session that was logged out. Worker processes share it."""

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not go on."""

    status: int
    error: Literal[
        "login", "no_token_set", "not_this_machine", "other_site", "too_many_tries", "dial_token", "dialling_off"
    ]
    detail: str


NO_DIAL_TOKEN = Refusal(401, "dial_token", "send the token that CALLPATH_DIAL_TOKEN holds: Authorization: Bearer TOKEN")


def dial_route(method: str, path: str, *, tokened: bool) -> str | None:
    """The path below the API of a request about dialling; None: it is about something else. With the dial token a call's
    own path is that of its outcome: the timeline is for who is logged in."""
    found = _DIAL_ROUTE.fullmatch(path)
    if found is None:
        return None
    call, what = found["call"], found["what"]
    if call is None:
        return path if method == "POST" else None
    if what is not None or method == "DELETE":
        return path
    return f"{path}/outcome" if tokened and method in SAFE_METHODS else None


class Access:
    """Decides about each request. Nothing is remembered of a login: the cookie is signed with the token. A logout is
    remembered until the session would have ended."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._token = settings.dashboard_token
        self._dial_token = settings.dial_token
        self._logged_out = settings.data_dir / LOGGED_OUT
        self._public = urlsplit(settings.public_url)
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}
        """When wrong tokens were shown, by address."""

    @property
    def needs_login(self) -> bool:
        return bool(self._token)

    @property
    def secure_cookie(self) -> bool:
        return self._public.scheme == "https"

    def refusal(
        self, *, method: str, headers: Mapping[str, str], client: str | None, websocket: bool = False
    ) -> Refusal | None:
        """Why this request may not go on; None: it may."""
        if websocket or method not in SAFE_METHODS:
            strange = self._from_another_site(headers, websocket)
            if strange is not None:
                return strange
        if self._token:
            if self._session(headers) is not None:
                return None
            shown = _token_in(headers)
            if shown is None:
                return Refusal(401, "login", "log in with the token that CALLPATH_DASHBOARD_TOKEN holds")
            return self._wrong_token(shown, client)
        return self._not_from_here(headers, client)

    def shows_dial_token(self, headers: Mapping[str, str]) -> bool:
        """Whether a request shows CALLPATH_DIAL_TOKEN. It opens the routes that dial, and nothing else."""
        shown = _token_in(headers)
        return bool(self._dial_token and shown) and hmac.compare_digest(
            (shown or "").encode(), self._dial_token.encode()
        )

    def refusal_of_dial(self, *, method: str, headers: Mapping[str, str], client: str | None) -> Refusal | None:
        """Why a request without the dial token may not dial; None: it comes from somebody who is logged in."""
        if not self._token:
            if not self._dial_token:
                detail = "dialling over HTTP is off: set CALLPATH_DIAL_TOKEN and CALLPATH_DIAL_ALLOW"
                return Refusal(403, "dialling_off", detail)
            shown = _token_in(headers)
            refused = None if shown is None else self._wrong_token(shown, client)
            return refused if refused is not None and refused.status == 429 else NO_DIAL_TOKEN
        refused = self.refusal(method=method, headers=headers, client=client)
        return NO_DIAL_TOKEN if refused is not None and refused.status == 401 and self._dial_token else refused

    def refusal_of_origin(self, headers: Mapping[str, str]) -> Refusal | None:
        """Whether a form on another site sent this. Part of `refusal` for all that needs a login."""
        return self._from_another_site(headers, websocket=False)

    def login(self, shown: str, client: str | None = None) -> str | Refusal:
        """The value of the session cookie for whoever shows the token."""
        wrong = self._wrong_token(shown, client)
        if wrong is not None:
            return wrong
        name = f"{self._now_s() + SESSION_S}-{secrets.token_hex(8)}"
        return f"{name}.{self._signature(name)}"

    def logout(self, headers: Mapping[str, str]) -> None:
        """End the session whose cookie is shown, for every copy of the cookie. Raises OSError where that cannot be
        written down."""
        session = self._session(headers)
        if session is None:
            return
        self._logged_out.mkdir(parents=True, exist_ok=True)
        (self._logged_out / session).touch()
        for file in self._logged_out.iterdir():
            if _end_of(file.name) <= self._now_s():
                file.unlink(missing_ok=True)

    # -----------------------------------------------------------------------------------------------------------------

    def _now_s(self) -> int:
        return self._clock.now_unix_ms() // 1000

    def _signature(self, name: str) -> str:
        key = hashlib.sha256(b"callpath dashboard session 2\0" + self._token.encode()).digest()
        return base64.urlsafe_b64encode(hmac.digest(key, name.encode(), "sha256")).decode().rstrip("=")

    def _session(self, headers: Mapping[str, str]) -> str | None:
        """The name of the session whose cookie is shown and that still goes on."""
        # Cookies are shared by all ports of a host, and other programs write what no strict parser takes: only ours counts.
        for cookie in headers.get("cookie", "").split(";")[:COOKIES_MAX]:
            label, _, value = cookie.strip().partition("=")
            name, _, signature = value.partition(".")
            right = hmac.compare_digest(signature.encode(), self._signature(name).encode())
            if label == COOKIE and right and _end_of(name) > self._now_s() and not (self._logged_out / name).exists():
                return name
        return None

    def _wrong_token(self, shown: str, client: str | None) -> Refusal | None:
        """Why `shown` opens nothing; None: it does. Where all come from one proxy's address, they share their tries."""
        if self._token and hmac.compare_digest(shown.encode(), self._token.encode()):
            return None
        now_ms = self._clock.now_ms()
        self._wrong = {
            address: late
            for address, times in self._wrong.items()
            if (late := [at_ms for at_ms in times if now_ms - at_ms < TRIES_MS])
        }
        known = client is not None and (client in self._wrong or len(self._wrong) < ADDRESSES_MAX)
        address = client if client is not None and known else ""
        if len(self._wrong.get(address, ())) >= TRIES_MAX:
            return Refusal(429, "too_many_tries", "not the token, and too many wrong ones came: try again in a minute")
        self._wrong.setdefault(address, []).append(now_ms)
        return Refusal(401, "login", "that is not the token that CALLPATH_DASHBOARD_TOKEN holds")

    def _not_from_here(self, headers: Mapping[str, str], client: str | None) -> Refusal | None:
        if not is_loopback(self._public.hostname or "localhost"):
            detail = (
                "the dashboard of a public server needs a login: set CALLPATH_DASHBOARD_TOKEN to a long random text"
            )
            return Refusal(503, "no_token_set", detail)
        if is_this_machine(self._public.geturl(), headers, client):
            return None
        detail = "without CALLPATH_DASHBOARD_TOKEN the dashboard answers only on this machine, at 127.0.0.1"
        return Refusal(403, "not_this_machine", detail)

    def _from_another_site(self, headers: Mapping[str, str], websocket: bool) -> Refusal | None:
        """Browsers always say where a WebSocket or a POST comes from; a script may leave it out for a POST."""
        origin = headers.get("origin")
        if origin is None and not websocket and headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return None
        ours = {headers.get("host", ""), self._public.netloc} - {""}  # "null" has no host, nor has a server in setup
        if origin is not None and origin.partition("://")[2] in ours:
            return None
        return Refusal(403, "other_site", "this came from another site's page, and was not done")


def _end_of(session: str) -> int:
    """When a session ends, in seconds, out of its name; 0 where that is none."""
    end = session.partition("-")[0]
    return int(end) if end.isdecimal() and len(end) <= DIGITS_MAX else 0


def _token_in(headers: Mapping[str, str]) -> str | None:
    """What an Authorization header shows; None where there is none that we read."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return None
    elif scheme.lower() != "bearer":
        return None
    return shown.strip()
