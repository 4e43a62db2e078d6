"""Who may look: the table of who asks from where, with what."""

from __future__ import annotations

import base64
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from callpath.clock import ManualClock
from callpath.config import Settings
from callpath.dashboard.access import (
    ADDRESSES_MAX,
    COOKIE,
    LOGGED_OUT,
    SESSION_S,
    TRIES_MAX,
    TRIES_MS,
    Access,
    Refusal,
)
from tests.dashboard.calls import HOST, TOKEN, looking

PUBLIC = "https://calls.example.com"


def access(public_url: str = f"http://{HOST}", token: str = "", clock: ManualClock | None = None) -> Access:
    return Access(Settings(public_url=public_url, dashboard_token=token), clock or ManualClock())


def refused(
    it: Access, *, method: str = "GET", client: str | None = "127.0.0.1", websocket: bool = False, **headers: Any
) -> str | None:
    given = {"host": HOST} | {name.replace("_", "-"): text for name, text in headers.items()}
    refusal = it.refusal(method=method, headers=given, client=client, websocket=websocket)
    return refusal.error if refusal else None


# --- without a token -------------------------------------------------------------------------------------------------


def test_without_a_token_this_machine_may_look() -> None:
    """`callpath serve --setup` on a laptop needs no password."""
    assert refused(access()) is None
    assert refused(access(), client="::1", host="localhost:8000") is None
    assert refused(access(public_url=""), host="127.0.0.1:8000") is None


@pytest.mark.parametrize(
    ("client", "host"),
    [("192.0.2.7", HOST), ("127.0.0.1", "evil.example"), ("127.0.0.1", "192.0.2.1:8000"), (None, HOST)],
)
def test_without_a_token_nobody_else_may(client: str | None, host: str) -> None:
    """HOST is 0.0.0.0 by default: the office network is not this machine. Nor is a page that points its own name at
    127.0.0.1."""
    assert "not_this_machine" == refused(access(), client=client, host=host)


def test_a_public_server_without_a_token_shows_nothing() -> None:
    """To anybody, on whichever way: its proxy connects from this machine."""
    assert "no_token_set" == refused(access(public_url=PUBLIC))


# --- with a token ----------------------------------------------------------------------------------------------------


def test_with_a_token_it_must_be_shown() -> None:
    """From this machine too: a proxy stands on it."""
    it = access(PUBLIC, TOKEN)
    basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()

    assert "login" == refused(it)
    assert "login" == refused(it, authorization=f"Bearer {TOKEN}x")
    assert "login" == refused(it, authorization="Basic !!!")
    assert "login" == refused(it, cookie="callpath_session=999999999999.abc")
    assert refused(it, authorization=f"Bearer {TOKEN}", client="192.0.2.7") is None
    assert refused(it, authorization=f"Basic {basic}") is None


async def test_a_session_ends_and_cannot_be_prolonged() -> None:
    """Its end is in the cookie, and signed."""
    clock = ManualClock()
    it = access(PUBLIC, TOKEN, clock)
    session = it.login(TOKEN)
    assert isinstance(session, str)
    name, _, signature = session.partition(".")
    expires, _, rest = name.partition("-")
    cookie = f"{COOKIE}={session}"

    assert refused(it, cookie=cookie) is None
    assert "login" == refused(it, cookie=f"{COOKIE}={int(expires) + 1}-{rest}.{signature}")
    assert "login" == refused(access(PUBLIC, TOKEN + "2", clock), cookie=cookie)
    await clock.advance(1000 * SESSION_S)
    assert "login" == refused(it, cookie=cookie)


@pytest.mark.parametrize(
    "others",
    [
        'theme={"dark":1}; {}',
        "flag; {}",
        "a[b]=1; {}",
        "user@host=1; {}",
        '{}; x="',
        f"{COOKIE}=old.one; {{}}",
        ";;{}",
    ],
)
def test_a_cookie_of_another_program_does_not_end_the_session(others: str) -> None:
    """Ports of one host share their cookies: whoever runs another server at localhost could not log in, without a word."""
    it = access(PUBLIC, TOKEN)
    session = it.login(TOKEN)

    assert refused(it, cookie=others.replace("{}", f"{COOKIE}={session}")) is None
    assert "login" == refused(it, cookie=others.replace("{}", f"{COOKIE}2={session}"))


async def test_wrong_tokens_are_limited() -> None:
    """In the login form. The limit ends after a minute."""
    clock = ManualClock()
    it = access(PUBLIC, TOKEN, clock)
    wrong = [it.login(f"guess {number}") for number in range(TRIES_MAX)]
    then = it.login("one more")
    await clock.advance(TRIES_MS)
    later = it.login("and one more")

    assert {"login"} == {one.error for one in wrong if isinstance(one, Refusal)}
    assert isinstance(then, Refusal)
    assert (429, "too_many_tries") == (then.status, then.error)
    assert isinstance(later, Refusal)
    assert "login" == later.error


def test_wrong_tokens_in_a_header_are_limited() -> None:
    """For the address that they come from."""
    it = access(PUBLIC, TOKEN)
    wrong = [refused(it, client="8.8.8.8", authorization=f"Bearer guess-{number}") for number in range(TRIES_MAX)]

    assert {"login"} == set(wrong)
    assert "too_many_tries" == refused(it, client="8.8.8.8", authorization="Bearer guess")
    assert "login" == refused(it, client="9.9.9.9", authorization="Bearer guess")


def test_wrong_tokens_of_others_do_not_lock_out_the_right_one() -> None:
    """Behind a proxy all share one address: ten requests a minute would keep everybody out, scripts too."""
    it = access(PUBLIC, TOKEN)
    for number in range(3 * TRIES_MAX):
        refused(it, client="8.8.8.8", authorization=f"Bearer guess-{number}")

    assert isinstance(it.login(TOKEN, "8.8.8.8"), str)
    assert refused(it, client="8.8.8.8", authorization=f"Bearer {TOKEN}") is None


async def test_a_logout_ends_the_session_for_every_copy_of_its_cookie(tmp_path: Path) -> None:
    """Also in the other worker processes, which share the data directory. Another session goes on."""
    clock = ManualClock()
    settings = Settings(public_url=PUBLIC, dashboard_token=TOKEN, data_dir=tmp_path)
    one, other = Access(settings, clock), Access(settings, clock)
    first, second = (f"{COOKIE}={one.login(TOKEN)}" for _ in range(2))
    one.logout({"cookie": first})

    assert ["login", "login"] == [refused(it, cookie=first) for it in (one, other)]
    assert [None, None] == [refused(it, cookie=second) for it in (one, other)]


async def test_a_logout_is_forgotten_when_the_session_would_have_ended(tmp_path: Path) -> None:
    """Else the folder grows for ever. Who has no session leaves nothing behind."""
    clock = ManualClock()
    it = Access(Settings(public_url=PUBLIC, dashboard_token=TOKEN, data_dir=tmp_path), clock)
    it.logout({"cookie": f"{COOKIE}=99999999999-../../x.abc"})
    it.logout({"cookie": f"{COOKIE}={it.login(TOKEN)}"})
    await clock.advance(1000 * SESSION_S)
    it.logout({"cookie": f"{COOKIE}={it.login(TOKEN)}"})

    assert 1 == len(list((tmp_path / LOGGED_OUT).iterdir()))


def test_guesses_from_many_addresses_are_counted_as_one() -> None:
    """The table of addresses has an end, and what it cannot hold is not let off."""
    it = access(PUBLIC, TOKEN)
    said = [
        refused(it, client=f"address {number}", authorization="Bearer guess")
        for number in range(ADDRESSES_MAX + TRIES_MAX)
    ]

    assert {"login"} == set(said)
    assert "too_many_tries" == refused(it, client="one more", authorization="Bearer guess")


def test_a_proxy_on_this_machine_is_not_this_machine() -> None:
    """ngrok, nginx and cloudflared connect from 127.0.0.1, for whoever asks them."""
    assert "not_this_machine" == refused(access(), x_forwarded_for="8.8.8.8")


@pytest.mark.parametrize("odd", ["http://[", "[", "http://[::1", ""])
def test_odd_origins_and_hosts_are_strangers(odd: str) -> None:
    """Not errors of ours: an exception would be a 500 and a traceback for each."""
    assert "other_site" == refused(access(), method="POST", origin=odd or "null")
    assert "not_this_machine" == refused(access(), host=odd)


def test_a_page_without_an_origin_is_not_a_server_without_a_url() -> None:
    """A sandboxed frame says Origin: null, and `callpath serve --setup` may have no public URL: neither has a host, and
    that must not make them the same."""
    assert "other_site" == refused(access(public_url=""), method="POST", origin="null")


# --- other sites -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"origin": f"http://{HOST}"}, None),
        ({"origin": "http://evil.example"}, "other_site"),
        ({"origin": "null"}, "other_site"),
        ({"sec_fetch_site": "cross-site"}, "other_site"),
        ({"sec_fetch_site": "same-origin"}, None),
        ({}, None),
    ],
)
def test_another_site_cannot_change_anything(headers: dict[str, Any], error: str | None) -> None:
    """A page elsewhere may send forms to 127.0.0.1; curl sends no origin, and is nobody's browser."""
    assert error == refused(access(), method="POST", **headers)


def test_a_socket_must_say_where_it_comes_from() -> None:
    """Browsers let any page open a WebSocket to anywhere; none leaves the origin out."""
    assert "other_site" == refused(access(), websocket=True)
    assert "other_site" == refused(access(), websocket=True, origin="http://evil.example")
    assert refused(access(), websocket=True, origin=f"http://{HOST}") is None


# --- over HTTP -------------------------------------------------------------------------------------------------------


async def test_login_over_http(tmp_path: Path) -> None:
    """The whole way: 401, a wrong token, the right one, a cookie that no script reads, and out again."""
    async with looking(tmp_path, dashboard_token=TOKEN) as it:
        before = await it.http.get("/api/v1/calls")
        wrong = await it.http.post("/api/v1/login", json={"token": "wrong"})
        right = await it.http.post("/api/v1/login", json={"token": TOKEN})
        after = await it.http.get("/api/v1/calls")
        cookie = SimpleCookie(right.headers["set-cookie"])[COOKIE]
        await it.http.post("/api/v1/logout")
        out = await it.http.get("/api/v1/calls")

        assert [401, 401, 200, 200, 401] == [one.status_code for one in (before, wrong, right, after, out)]
        assert "login" == before.json()["error"]
        assert (True, "strict", "") == (cookie["httponly"], cookie["samesite"], cookie["secure"])


async def test_the_cookie_of_a_public_server_travels_by_tls_only(tmp_path: Path) -> None:
    """Else the first http:// link would give it away."""
    async with looking(tmp_path, dashboard_token=TOKEN, public_url=PUBLIC) as it:
        answer = await it.http.post("/api/v1/login", json={"token": TOKEN})

        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": 5}', b"x" * 5000, b"[" * 4000, b'{"token": "\xff"}'])
async def test_a_login_that_is_none(tmp_path: Path, body: bytes) -> None:
    """Told so, and not counted as a try."""
    async with looking(tmp_path, dashboard_token=TOKEN) as it:
        answer: Any = await it.http.post("/api/v1/login", content=body)

        assert (400, "bad_request") == (answer.status_code, answer.json()["error"])


async def test_a_login_or_logout_from_another_site_is_refused(tmp_path: Path) -> None:
    """A page elsewhere must not log a visitor in as somebody else, nor out."""
    async with looking(tmp_path, dashboard_token=TOKEN) as it:
        login = await it.http.post("/api/v1/login", json={"token": TOKEN}, headers={"Origin": "http://evil.example"})
        await it.http.post("/api/v1/login", json={"token": TOKEN})
        logout = await it.http.post("/api/v1/logout", headers={"Origin": "http://evil.example"})
        still = await it.http.get("/api/v1/calls")

        assert [403, 403, 200] == [login.status_code, logout.status_code, still.status_code]
