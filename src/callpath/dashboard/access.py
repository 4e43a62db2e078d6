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
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import urlsplit

from callpath.clock import Clock
from callpath.config import Settings, is_loopback

COOKIE = "callpath_session"
SESSION_S = 12 * 3600
"""How long a login lasts: a working day."""

TRIES_MAX = 10
TRIES_MS = 60_000.0
"""So many wrong tokens in a minute, from anybody, and the login form is closed for the rest of it."""

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not go on."""

    status: int
    error: Literal["login", "no_token_set", "not_this_machine", "other_site", "too_many_tries"]
    detail: str


class Access:
    """Decides about each request. Nothing is remembered of a login: the cookie is signed with the token."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._token = settings.dashboard_token
        self._public = urlsplit(settings.public_url)
        self._clock = clock
        self._wrong: list[float] = []

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
            if self._knows_token(headers) or self._has_session(headers):
                return None
            return Refusal(401, "login", "log in with the token that CALLPATH_DASHBOARD_TOKEN holds")
        return self._not_from_here(headers, client)

    def refusal_of_origin(self, headers: Mapping[str, str]) -> Refusal | None:
        """Whether a form on another site sent this. Part of `refusal` for all that needs a login."""
        return self._from_another_site(headers, websocket=False)

    def login(self, shown: str) -> str | Refusal:
        """The value of the session cookie for whoever shows the token."""
        now_ms = self._clock.now_ms()
        self._wrong = [at for at in self._wrong if now_ms - at < TRIES_MS]
        if len(self._wrong) >= TRIES_MAX:
            return Refusal(429, "too_many_tries", "too many wrong tokens: try again in a minute")
        if not self._token or not hmac.compare_digest(shown.encode(), self._token.encode()):
            self._wrong.append(now_ms)
            return Refusal(401, "login", "that is not the token that CALLPATH_DASHBOARD_TOKEN holds")
        expires = str(self._clock.now_unix_ms() // 1000 + SESSION_S)
        return f"{expires}.{self._signature(expires)}"

    # -----------------------------------------------------------------------------------------------------------------

    def _signature(self, expires: str) -> str:
        key = hashlib.sha256(b"callpath dashboard session 1\0" + self._token.encode()).digest()
        return base64.urlsafe_b64encode(hmac.digest(key, expires.encode(), "sha256")).decode().rstrip("=")

    def _has_session(self, headers: Mapping[str, str]) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        if cookie is None:
            return False
        expires, _, signature = cookie.value.partition(".")
        right = hmac.compare_digest(signature.encode(), self._signature(expires).encode())
        return right and expires.isdecimal() and int(expires) > self._clock.now_unix_ms() // 1000

    def _knows_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(shown.strip().encode(), self._token.encode())

    def _not_from_here(self, headers: Mapping[str, str], client: str | None) -> Refusal | None:
        if not is_loopback(self._public.hostname or "localhost"):
            detail = (
                "the dashboard of a public server needs a login: set CALLPATH_DASHBOARD_TOKEN to a long random text"
            )
            return Refusal(503, "no_token_set", detail)
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if is_loopback(client or "") and is_loopback(host):
            return None
        detail = "without CALLPATH_DASHBOARD_TOKEN the dashboard answers only on this machine, at 127.0.0.1"
        return Refusal(403, "not_this_machine", detail)

    def _from_another_site(self, headers: Mapping[str, str], websocket: bool) -> Refusal | None:
        """Browsers always say where a WebSocket or a POST comes from; a script may leave it out for a POST."""
        origin = headers.get("origin")
        if origin is None and not websocket and headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return None
        ours = {headers.get("host", ""), self._public.netloc}
        if origin is not None and urlsplit(origin).netloc in ours:
            return None
        return Refusal(403, "other_site", "this came from another site's page, and was not done")
