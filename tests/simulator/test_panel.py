"""The simulator's own page and control API, over real sockets, with a small bot as the program."""

from __future__ import annotations

import base64
import io
import re
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

import callpath.simulator
from callpath.audio.pcm import Pcm
from callpath.audio.tone import tone
from callpath.errors import ConfigError
from callpath.simulator.simulator import Simulator
from tests.simulator.bot import Bot, running

PAGE = Path(callpath.simulator.__file__).parent / "page"


def wav_base64(pcm: Pcm) -> str:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(pcm.astype("<i2").tobytes())
    return base64.b64encode(content.getvalue()).decode()


@asynccontextmanager
async def alone() -> AsyncIterator[tuple[Simulator, httpx2.AsyncClient]]:
    """The panel, and no program."""
    async with Simulator() as telnyx:
        base = telnyx.api_base.removesuffix("/v2") + "/simulator"
        async with httpx2.AsyncClient(base_url=base, trust_env=False) as http:
            yield telnyx, http


@asynccontextmanager
async def panel() -> AsyncIterator[tuple[Simulator, Bot, httpx2.AsyncClient]]:
    async with Simulator() as telnyx, running(telnyx) as bot:
        base = telnyx.api_base.removesuffix("/v2") + "/simulator"
        async with httpx2.AsyncClient(base_url=base, trust_env=False) as http:
            yield telnyx, bot, http


async def test_a_call_is_placed_watched_and_heard() -> None:
    """The whole of what the page does, by hand."""
    async with panel() as (telnyx, bot, http):
        placed = await http.post(
            "/calls", json={"say_wav": wav_base64(tone(440, duration_ms=300)), "faults": ["chunks_doubled=0"]}
        )
        number = placed.json()["number"]
        caller = telnyx.calls[0]
        await caller.wait_for_speech()
        await http.post(f"/calls/{number}/press", json={"digits": "5"})
        await bot.until(lambda: "call.dtmf.received" in bot.names())
        (row,) = (await http.get("/calls")).json()["calls"]
        await http.post(f"/calls/{number}/hang-up", json={})
        await caller.ended()
        shown = (await http.get(f"/calls/{number}")).json()
        sound = await http.get(f"/calls/{number}/recording.wav")

    assert (201, 1) == (placed.status_code, number)
    assert ("answered", "open", ["chunks_doubled"]) == (row["state"], row["stream"], row["faults"])
    assert "ended" == shown["state"]
    assert shown["report"]["ear"]["heard_ms"] > 200
    with wave.open(io.BytesIO(sound.content)) as file:
        assert 2 == file.getnchannels()


async def test_the_dialled_party_can_be_told_what_to_do() -> None:
    """An outbound program is tested by a callee who is busy, too."""
    async with panel() as (telnyx, _, http):
        answer = await http.put("/callee", json={"rejects": "user_busy", "rings": "50ms"})

        assert 200 == answer.status_code
        assert ("user_busy", 50.0) == (telnyx.callee.rejects, telnyx.callee.rings_ms)
        assert 200 == (await http.put("/callee", json={"script": "voicemail", "number": "+15555550123"})).status_code
        assert "voicemail" == telnyx.callees["+15555550123"].kind


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "problem"),
    [
        ("POST", "/calls", {"faults": ["typo"]}, 422, "'typo' is not known"),
        ("POST", "/calls", {"says": "x"}, 422, "says is not known here"),
        ("POST", "/calls", {"say_wav": "bm8="}, 422, "is not a WAV file"),
        ("POST", "/calls", {"webhook": "localhost"}, 422, "webhook is no URL"),
        ("POST", "/calls/9/press", {"digits": "1"}, 404, "no call 9"),
        ("GET", "/calls/9", None, 404, "no call 9"),
        ("GET", "/passwd", None, 404, "no such file"),
        ("PUT", "/callee", {"rings": "soon"}, 422, "no duration"),
        ("PUT", "/callee", {"script": "lazy"}, 422, "lazy"),
        ("PUT", "/callee", {"script": "busy", "rings": "1s"}, 422, "rings"),
    ],
)
async def test_what_makes_no_sense_is_said_so(
    method: str, path: str, body: dict[str, object] | None, status: int, problem: str
) -> None:
    """A slip in a curl command gets a sentence, not a trace."""
    async with alone() as (_, http):
        answer = await http.request(method, path, json=body)

    assert status == answer.status_code
    assert problem in answer.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"origin": "https://evil.example", "content-type": "application/json"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_another_web_page_cannot_place_calls(headers: dict[str, str], status: int) -> None:
    """The panel has no key: a page that is open in the developer's browser must not reach it."""
    async with alone() as (telnyx, http):
        answer = await http.post("/calls", content=b"{}", headers=headers)

        assert status == answer.status_code
        assert [] == telnyx.calls


async def test_the_page_brings_all_it_needs() -> None:
    """No CDN, no inline script: it works offline and under its own policy."""
    async with alone() as (telnyx, http):
        page = await http.get("")
        files = re.findall(r'(?:src|href)="/simulator/(page\.\w+)"', page.text)
        answers = [await http.get(f"/{name}") for name in files]
        settings = (await http.get("/settings")).json()

        assert telnyx.public_key == settings["public_key"]
    assert ["page.css", "page.js"] == files
    assert [200, 200] == [answer.status_code for answer in answers]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in re.sub(r'placeholder="[^"]*"', "", page.text)
    assert not re.search(r"<script>|<style|\son\w+=|style=", page.text)
    ids = set(re.findall(r'id="(\w+)"', page.text))
    assert set(re.findall(r'find\("(\w+)"\)', answers[1].text)) <= ids


async def test_telnyxs_paths_are_untouched() -> None:
    """A program that asks the API for something unknown gets Telnyx's error, not the panel's."""
    async with alone() as (telnyx, http):
        answer = await http.get(telnyx.api_base + "/nothing", headers={"authorization": f"Bearer {telnyx.api_key}"})

    assert "10005" == answer.json()["errors"][0]["code"]


async def test_a_panel_that_others_can_reach_wants_a_token() -> None:
    """It hands out the API key and places calls: an open port on a shared network must not do that."""
    with pytest.raises(ConfigError, match="panel_token"):
        Simulator(host="0.0.0.0")

    async with Simulator(panel_token="a-long-token") as telnyx:
        base = telnyx.api_base.removesuffix("/v2") + "/simulator"
        async with httpx2.AsyncClient(base_url=base, trust_env=False) as http:
            without = await http.get("/settings")
            wrong = await http.get("/settings", headers={"authorization": "Bearer other"})
            right = await http.get("/settings", headers={"authorization": "Bearer a-long-token", "host": "pc.lan"})

    assert [401, 401, 200] == [without.status_code, wrong.status_code, right.status_code]
