"""Dialling over HTTP: who may, what is refused, what comes back. A call server and a simulator on loopback."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from callpath import App, Call
from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.cli.dashboard import open_dashboard
from callpath.config import Settings
from callpath.dashboard.access import COOKIE, dial_route
from callpath.dashboard.dialling import BODY_BYTES_MAX
from callpath.simulator.callee import Callee
from callpath.simulator.simulator import Simulator
from callpath.timeline import Noted
from tests.serving import WAIT_S_MAX, Served, serving

FROM, TO = "+15555550100", "+15555550155"
TOKEN, LOGIN = "the-token-of-the-dialler", "the-token-of-the-dashboard"
BEARER = {"authorization": f"Bearer {TOKEN}"}
SETTINGS: dict[str, Any] = {
    "dial_token": TOKEN,
    "dial_allow": "+1,+4930",
    "dial_from": FROM,
    "telnyx_connection_id": "2900000000000000001",
}


@dataclass
class It:
    served: Served
    http: httpx2.AsyncClient
    entered: list[dict[str, Any]]

    async def dial(self, body: Any, **headers: str) -> httpx2.Response:
        given = {"json": body} if isinstance(body, dict) else {"content": body}
        return await self.http.post("/api/v1/calls", headers=BEARER | headers, **given)

    async def outcome(self, dial_id: str) -> dict[str, Any]:
        document: dict[str, Any] = {"outcome": None}
        async with asyncio.timeout(WAIT_S_MAX):
            while document["outcome"] is None:
                answer = await self.http.get(f"/api/v1/calls/{dial_id}?wait_s=20", headers=BEARER)
                document = answer.json()
        return document

    @property
    def made(self) -> int:
        return sum(caller.call.leg.direction == "outgoing" for caller in self.served.telnyx.calls)


@pytest.fixture
async def telnyx() -> AsyncIterator[Simulator]:
    async with Simulator() as telnyx:
        yield telnyx


@pytest.fixture
async def it(tmp_path: Path, telnyx: Simulator) -> AsyncIterator[It]:
    async with dialling(tmp_path, telnyx) as it:
        yield it


@asynccontextmanager
async def dialling(folder: Path, telnyx: Simulator, **settings: Any) -> AsyncIterator[It]:
    app = App()
    entered: list[dict[str, Any]] = []

    @app.call(name="remind")
    async def remind(call: Call) -> None:
        entered.append(call.variables)
        await call.play(bytes(3_200))

    def dashboard(configured: Settings) -> Any:
        return open_dashboard(app, configured, settings_now=lambda: configured, stopping=lambda: False)

    given = {**SETTINGS, "telnyx_connection_id": telnyx.options.connection_id, **settings}
    async with (
        serving(app, folder, telnyx=telnyx, extra=dashboard, **given) as served,
        httpx2.AsyncClient(base_url=served.url, trust_env=False, timeout=WAIT_S_MAX) as http,
    ):
        yield It(served, http, entered)


# --- a call ----------------------------------------------------------------------------------------------------------


async def test_a_call_is_ordered_and_its_outcome_asked_for(it: It) -> None:
    """The curl call of the README."""
    answer = await it.dial({"to": TO, "handler": "remind", "variables": {"name": "Ada"}})
    ordered = answer.json()
    outcome = await it.outcome(ordered["id"])
    async with asyncio.timeout(WAIT_S_MAX):
        while not it.entered:
            await asyncio.sleep(0.01)
    entries = await it.served.timeline(f"dial-{ordered['id']}")

    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/calls/{ordered['id']}")
    assert ordered["outcome"] is None or ordered["outcome"] == "answered"
    assert outcome["outcome"] == "answered"
    assert it.entered == [{"name": "Ada"}]
    assert ["Dialled over HTTP, by 127.0.0.1"] == [e.what.text for e in entries if isinstance(e.what, Noted)]


async def test_a_text_is_spoken_and_the_call_hung_up(it: It) -> None:
    """No handler of the application's is needed."""
    ordered = (await it.dial({"to": TO, "say": "Your table is ready."})).json()
    await it.outcome(ordered["id"])
    (caller,) = it.served.telnyx.calls
    await caller.ended()
    spoken = [seen.document["payload"] for seen in caller.commands if seen.name == "speak"]

    assert spoken == ["Your table is ready."]
    assert it.entered == []


async def test_a_file_is_played(it: It, tmp_path: Path) -> None:
    """As the command sends it: the server keeps it, and a recovered call finds it."""
    file = tmp_path / "hello.wav"
    write_wav(file, tone(440, duration_ms=300), 8000)
    audio = base64.b64encode(file.read_bytes()).decode()
    ordered = (await it.dial({"to": TO, "audio": audio})).json()
    await it.outcome(ordered["id"])
    (caller,) = it.served.telnyx.calls
    await caller.heard_for(200)
    await caller.ended()

    assert 1 == len(list((tmp_path / "sounds").iterdir()))


@pytest.mark.parametrize(("kind", "speaks"), [("voicemail", True), ("fax", False)])
async def test_what_answers_decides_what_is_said(kind: Any, speaks: bool, it: It) -> None:
    """A machine hears it behind its beep, not into its greeting; a fax hears nothing."""
    it.served.telnyx.set_callee_of(TO, Callee(kind=kind))
    ordered = (await it.dial({"to": TO, "say": "Call us back.", "detect": "premium"})).json()
    outcome = await it.outcome(ordered["id"])
    (caller,) = it.served.telnyx.calls
    await caller.ended(1000 * WAIT_S_MAX)
    last = (await it.http.get(f"/api/v1/calls/{ordered['id']}", headers=BEARER)).json()
    beeped = [seen.at_ms for seen in caller.webhooks if seen.event_type == "call.machine.premium.greeting.ended"]
    spoke = [seen.at_ms for seen in caller.commands if seen.name == "speak"]

    assert outcome["outcome"] == ("machine" if speaks else "fax")
    assert bool(spoke) is speaks
    if speaks:
        assert last["beep"] is True
        assert spoke[0] >= beeped[0]


async def test_telnyx_refuses_and_the_answer_says_what_to_do(it: It) -> None:
    """The D-code, and the doctor's word on it, in the answer to the order."""
    it.served.telnyx.set_callee_of(TO, Callee(refused="D17"))
    answer = await it.dial({"to": TO, "say": "Hello"})
    refused = answer.json()
    again = (await it.http.get(f"/api/v1/calls/{refused['id']}", headers=BEARER)).json()

    assert (answer.status_code, refused["error"], refused["code"]) == (422, "refused", "D17")
    assert "money" in refused["explanation"]
    assert (again["outcome"], again["code"], again["explanation"]) == ("refused", "D17", refused["explanation"])


async def test_one_key_is_one_call(it: It) -> None:
    """A client that lost the answer asks again, with the header or the field."""
    first = (await it.dial({"to": TO, "say": "Hello"}, **{"idempotency-key": "order-42"})).json()
    second = (await it.dial({"to": TO, "say": "Hello", "key": "order-42"})).json()
    other = await it.dial({"to": "+15555550156", "say": "Hello"}, **{"idempotency-key": "order-42"})
    long = await it.dial({"to": TO, "say": "Hello"}, **{"idempotency-key": "x" * 201})
    both = await it.dial({"to": TO, "say": "Hello", "key": "a"}, **{"idempotency-key": "b"})

    assert first["id"] == second["id"]
    assert (other.status_code, other.json()["error"]) == (409, "key_used")
    assert both.status_code == long.status_code == 400
    assert it.made == 1


@pytest.mark.parametrize(("method", "path"), [("POST", "/hangup"), ("DELETE", "")])
async def test_a_call_is_hung_up(method: str, path: str, it: It) -> None:
    """While it rings; and again, which changes nothing."""
    it.served.telnyx.set_callee_of(TO, Callee(never_answers=True))
    ordered = (await it.dial({"to": TO, "say": "Hello"})).json()
    first = await it.http.request(method, f"/api/v1/calls/{ordered['id']}{path}", headers=BEARER)
    outcome = await it.outcome(ordered["id"])
    second = await it.http.request(method, f"/api/v1/calls/{ordered['id']}{path}", headers=BEARER)

    assert (first.status_code, second.status_code) == (200, 200)
    assert (outcome["cause"], second.json()["state"]) == ("originator_cancel", "ended")


# --- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Token {TOKEN}"},
        {"cookie": f"{COOKIE}={TOKEN}"},
    ],
)
async def test_without_the_token_nothing_is_dialled(headers: dict[str, str], it: It) -> None:
    """From this very machine neither: a page or a program on it could dial."""
    tried = [
        await it.http.post("/api/v1/calls", json={"to": TO}, headers=headers),
        await it.http.get("/api/v1/calls/11111111-2222-4333-8444-555555555555/outcome", headers=headers),
        await it.http.delete("/api/v1/calls/11111111-2222-4333-8444-555555555555", headers=headers),
        await it.http.post("/api/v1/calls/11111111-2222-4333-8444-555555555555/hangup", headers=headers),
    ]

    assert [401] * 4 == [answer.status_code for answer in tried]
    assert {"dial_token"} == {answer.json()["error"] for answer in tried}
    assert all(TOKEN not in answer.text and answer.headers["www-authenticate"] == "Bearer" for answer in tried)
    assert it.made == 0


async def test_the_token_opens_nothing_else(tmp_path: Path, telnyx: Simulator) -> None:
    """It lies in a program somewhere, which has no business with other people's calls."""
    async with dialling(tmp_path, telnyx, dashboard_token=LOGIN) as it:
        paths = ("/calls", "/totals", "/export", "/calls/good-call", "/calls/good-call/entries", "/setup")
        found = [(await it.http.get(f"/api/v1{path}", headers=BEARER)).status_code for path in paths]

    assert found == [401] * len(paths)


async def test_many_wrong_tokens_are_looked_at_no_more(it: It) -> None:
    """Nobody tries a million of them. The right one goes on."""
    wrong = {"authorization": "Bearer wrong"}
    found = [(await it.http.post("/api/v1/calls", json={"to": TO}, headers=wrong)).status_code for _ in range(12)]
    right = await it.dial({"to": TO, "say": "Hello"})

    assert found == [401] * 10 + [429] * 2
    assert right.status_code == 202


async def test_who_is_logged_in_may_dial(tmp_path: Path, telnyx: Simulator) -> None:
    """From our own page only: another site's form has the cookie, too, where a browser is old."""
    async with dialling(tmp_path, telnyx, dial_token="", dashboard_token=LOGIN) as it:
        await it.http.post("/api/v1/login", json={"token": LOGIN})
        ours = await it.http.post("/api/v1/calls", json={"to": TO, "say": "Hi"}, headers={"origin": it.served.url})
        told = await it.http.get(f"/api/v1/calls/{ours.json()['id']}/outcome")
        theirs = await it.http.post(
            "/api/v1/calls", json={"to": TO, "say": "Hi"}, headers={"origin": "https://evil.example"}
        )
        it.http.cookies.clear()
        nobody = await it.http.post("/api/v1/calls", json={"to": TO, "say": "Hi"})
        made = it.made

    assert (ours.status_code, told.status_code) == (202, 200)
    assert (theirs.status_code, theirs.json()["error"]) == (403, "other_site")
    assert nobody.status_code == 401
    assert made == 1


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"dial_token": "", "dial_allow": ""}, 403),
        ({"dial_token": ""}, 403),
        ({"dial_token": "", "dial_allow": "", "dashboard_token": LOGIN}, 403),
    ],
)
async def test_dialling_is_off_until_it_is_set_up(
    settings: dict[str, str], status: int, tmp_path: Path, telnyx: Simulator
) -> None:
    """An update must not open a door, on this machine neither."""
    async with dialling(tmp_path, telnyx, **settings) as it:
        await it.http.post("/api/v1/login", json={"token": LOGIN})
        answer = await it.http.post("/api/v1/calls", json={"to": TO})
        made = it.made

    assert (answer.status_code, answer.json()["error"]) == (status, "dialling_off")
    assert "CALLPATH_DIAL_ALLOW" in answer.json()["detail"]
    assert made == 0


@pytest.mark.parametrize(
    ("method", "path", "with_token", "without"),
    [
        ("POST", "/calls", "/calls", "/calls"),
        ("GET", "/calls", None, None),
        ("GET", "/calls/11111111-2222-4333-8444-555555555555", "…/outcome", None),
        ("HEAD", "/calls/11111111-2222-4333-8444-555555555555", "…/outcome", None),
        ("DELETE", "/calls/11111111-2222-4333-8444-555555555555", "…", "…"),
        ("POST", "/calls/11111111-2222-4333-8444-555555555555/hangup", "…", "…"),
        ("GET", "/calls/11111111-2222-4333-8444-555555555555/entries", None, None),
        ("POST", "/calls/11111111-2222-4333-8444-555555555555/entries/1/resend", None, None),
        ("POST", "/calls/", None, None),
        ("POST", "/logout", None, None),
    ],
)
def test_which_requests_are_about_dialling(method: str, path: str, with_token: str | None, without: str | None) -> None:
    """All others ask for the dashboard's login."""
    assert dial_route(method, path, tokened=True) == (with_token and with_token.replace("…", path))
    assert dial_route(method, path, tokened=False) == (without and without.replace("…", path))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "status", "error"),
    [
        ("+498912345678", 403, "not_allowed"),
        ("+18765550123", 403, "not_allowed"),
        ("+19005550123", 403, "not_allowed"),
        ("+881612345678", 403, "not_allowed"),
        ("sip:agent@pbx.example.com", 403, "not_allowed"),
        ("sip:+15555550155@evil.example", 403, "not_allowed"),
        (" +15555550155", 400, "not_e164"),
        ("+1 555 555 0155", 400, "not_e164"),
        ("+1-555-555-0155", 400, "not_e164"),
        ("15555550155", 400, "not_e164"),
        ("0015555550155", 400, "not_e164"),
        ("+01555550155", 400, "not_e164"),
        ("+١٥٥٥٥٥٥٠١٥٥", 400, "not_e164"),
        ("＋15555550155", 400, "not_e164"),
        ("+15555550155,,881612345678", 400, "not_e164"),
        ("+15555550155\n+881612345678", 400, "not_e164"),
        ("tel:+15555550155", 400, "not_e164"),
        ("", 400, "not_e164"),
    ],
)
async def test_numbers_that_may_not_be_dialled(to: str, status: int, error: str, it: It) -> None:
    """However they are written."""
    answer = await it.dial({"to": to, "say": "Hello"})

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert it.made == 0


async def test_the_caps_hold_over_http(tmp_path: Path, telnyx: Simulator) -> None:
    """Of many orders at once as many are made as may be."""
    async with dialling(tmp_path, telnyx, dial_per_minute=2) as it:
        found = await asyncio.gather(*(it.dial({"to": TO, "say": "Hello"}) for _ in range(6)))
        made = it.made

    assert sorted(answer.status_code for answer in found) == [202] * 2 + [429] * 4
    assert made == 2
    assert all("CALLPATH_DIAL_PER_MINUTE" in answer.json()["detail"] for answer in found if answer.status_code == 429)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"to=%2B15555550155", "JSON"),
        (b"[]", "JSON"),
        (b"null", "JSON"),
        (b'"to"', "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"{}", "to"),
        ({"to": 15555550155}, "to"),
        ({"to": [TO, TO]}, "to"),
        ({"to": TO, "from": "me"}, "from_"),
        ({"to": TO, "webhook_url": "https://evil.example"}, "webhook_url"),
        ({"to": TO, "connection_id": "1"}, "connection_id"),
        ({"to": TO, "say": "Hi", "handler": "remind"}, "one of"),
        ({"to": TO, "say": ""}, "say"),
        ({"to": TO, "say": "x" * 1001}, "say"),
        ({"to": TO, "handler": "nobody"}, "nobody"),
        ({"to": TO, "handler": "callpath:announce"}, "callpath:announce"),
        ({"to": TO, "play": "file:///etc/passwd"}, "play"),
        ({"to": TO, "play": "hello.wav"}, "play"),
        ({"to": TO, "audio": "no base64"}, "audio"),
        ({"to": TO, "audio": base64.b64encode(b"no WAV file").decode()}, "audio"),
        ({"to": TO, "detect": "perhaps"}, "detect"),
        ({"to": TO, "ring_s": 1}, "ring_s"),
        ({"to": TO, "ring_s": "nan"}, "ring_s"),
        ({"to": TO, "max_s": 99999}, "max_s"),
        ({"to": TO, "max_s": 7200}, "CALLPATH_DIAL_SECONDS_MAX"),
        ({"to": TO, "variables": 5}, "variables"),
    ],
)
async def test_an_order_that_is_wrong_says_what_is(body: Any, said: str, it: It) -> None:
    """Nothing is dialled, and no path or content of the server's is told."""
    answer = await it.dial(body)

    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert "Traceback" not in answer.text
    assert it.made == 0


async def test_a_body_that_is_too_long_is_not_read(it: It) -> None:
    """A file of an hour would fill the memory."""
    answer = await it.dial(b'{"audio": "' + b"A" * BODY_BYTES_MAX + b'"}')

    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


async def test_a_call_that_was_not_dialled_is_not_found(it: It) -> None:
    """An id of another server."""
    path = "/api/v1/calls/11111111-2222-4333-8444-555555555555"
    found = [await it.http.get(f"{path}/outcome", headers=BEARER), await it.http.delete(path, headers=BEARER)]

    assert [(404, "not_found")] * 2 == [(answer.status_code, answer.json()["error"]) for answer in found]
