"""`callpath doctor call` on real calls: the simulator injects a fault, the server lives through it, the doctor names it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from callpath import App, Call
from callpath.audio.tone import tone
from callpath.clock import SystemClock
from callpath.doctor.rules import sample_call
from callpath.server.tokens import CallTokens
from callpath.simulator.caller import Caller
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import hello_wav
from callpath.timeline import (
    CommandAnswered,
    FirstInbound,
    FirstOutbound,
    HandlerEnded,
    HandlerFailed,
    MediaSymptom,
    StreamAccepted,
    WebhookReceived,
)
from callpath.wire.ids import SessionId
from callpath.wire.media import AUTH_TOKEN_HEADER
from callpath.wire.signature import PrivateKey, public_key_text, sign
from tests.cli.conftest import Run
from tests.serving import Served, serving
from tests.store.entries import entry
from tests.telnyx import sample_text, start_text

Doctor = Callable[..., Awaitable[Any]]

CRASHES, WORDLESS, BLOCKS, TELLS = "+15555550101", "+15555550102", "+15555550103", "+15555550104"
ZEROS = "+15555550105"


def a_bot() -> App:
    """Speaks and listens, unless the caller's number asks for a fault."""
    app = App()

    @app.call
    async def bot(call: Call) -> None:
        match call.facts.from_:
            case number if number == CRASHES:
                raise KeyError("weather")
            case number if number == WORDLESS:
                return
            case number if number == TELLS:
                call.note("the caller said: my card is 4111 1111 1111 1111, I am Ada Lovelace")
        await call.play(tone(440, duration_ms=300) * (call.facts.from_ != ZEROS))
        async for _ in call.audio:
            if call.facts.from_ == BLOCKS:
                time.sleep(0.9)
                break
        async for _ in call.audio:
            pass

    return app


@pytest.fixture(autouse=True)
def quiet_server() -> Iterator[None]:
    """The server under test is in this process, and its log would stand in what the command prints."""
    with capture_logs():
        yield


@pytest.fixture
def doctor(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Served], Doctor]:
    """`callpath doctor call …` with the settings of a server that is under test, or others."""

    def with_settings(served: Served) -> Doctor:
        async def run(*arguments: str, **settings: str) -> Any:
            given = {
                "PUBLIC_URL": served.url,
                "TELNYX_API_KEY": served.telnyx.api_key,
                "TELNYX_PUBLIC_KEY": served.telnyx.public_key,
                "TELNYX_API_BASE": served.telnyx.api_base,
                "CALLPATH_DATA_DIR": str(alone),
            } | settings
            for name, value in given.items():
                monkeypatch.setenv(name, value)

            def invoke() -> Result:
                from callpath.cli.app import app

                return CliRunner().invoke(app, ["doctor", "call", *arguments, "--json"])

            result = await asyncio.to_thread(invoke)
            assert result.stdout, result.stderr
            return json.loads(result.stdout)

        return run

    return with_settings


def named(found: Any) -> str:
    """The verdict's slug, with "?" where it is not decided; "healthy"."""
    if found["verdict"] is not None and found["decided"]:
        return str(found["verdict"]["slug"])
    if found["undecided"] is not None:
        return f"{found['undecided']['slug']}?"
    return "healthy" if found["healthy"] else "nothing"


def session_of(caller: Caller) -> str:
    return str(caller.call.leg.call_session_id)


async def accepted(served: Served, caller: Caller) -> None:
    await served.until_kind(session_of(caller), StreamAccepted)


async def over(served: Served, *callers: Caller) -> None:
    """Hang up, and wait until the server knows."""
    for caller in callers:
        await caller.hangup()
    for caller in callers:
        await served.until(
            session_of(caller), lambda what: isinstance(what, WebhookReceived) and what.event_type == "call.hangup"
        )


async def a_while(seconds: float = 1.3) -> None:
    """Longer than a call may last without proving anything (doctor/calls.py, EARLY_END_MS)."""
    await SystemClock().sleep_ms(1000 * seconds)


async def test_what_happens_on_the_way(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """One call each, at once. Where the way is open now, that is said, and never "healthy"."""
    faults = {
        "none": [],
        "never_connects": ["never_connects"],
        "connects_elsewhere": ["connects_elsewhere=/other"],
        "no_start": ["no_start"],
        "no_media": ["no_media"],
        "media_stops": ["media_stops=200"],
        "drops": ["drops=400"],
        "swapped": ["chunks_swapped"],
        "doubled": ["webhook_duplicated"],
    }
    async with serving(a_bot(), alone) as served:
        calls = {name: await served.telnyx.call(say=hello_wav(), faults=fault) for name, fault in faults.items()}
        for caller in calls.values():
            await accepted(served, caller)
        await a_while(1.6)
        await over(served, *calls.values())
        ask = doctor(served)
        found = {name: await ask(session_of(caller), "--offline") for name, caller in calls.items()}
        found["never_connects"] = await ask(session_of(calls["never_connects"]))

    assert {name: named(one) for name, one in found.items()} == {
        "none": "healthy",
        "never_connects": "socket-never-came?",
        "connects_elsewhere": "stream-connection-failed?",
        "no_start": "stream-never-started?",
        "no_media": "no-inbound-media?",
        "media_stops": "inbound-media-stalled",
        "drops": "socket-lost?",
        "swapped": "healthy",
        "doubled": "healthy",
    }
    assert "The way is open now" in found["never_connects"]["undecided"]["summary"]
    assert found["never_connects"]["call"]["missing_stage"] == "socket"
    assert not [item for one in found.values() for item in one["not_checked"] if item["crashed"]]


async def test_how_it_sounds(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """Frames flowed both ways, and nobody understood a word: that is not healthy."""
    async with serving(a_bot(), alone) as served:
        faults = {"law": ["wrong_codec=PCMA"], "bursts": ["chunks_bursty=400"]}
        calls = {name: await served.telnyx.call(say=hello_wav(), faults=fault) for name, fault in faults.items()}
        calls["zeros"] = await served.telnyx.call(ZEROS, say=hello_wav())
        for caller in calls.values():
            await served.until_kind(session_of(caller), FirstOutbound)
        await a_while(4.2)
        await over(served, *calls.values())
        await asyncio.gather(*(served.until_kind(session_of(caller), MediaSymptom) for caller in calls.values()))
        ask = doctor(served)
        found = {name: named(await ask(session_of(caller), "--offline")) for name, caller in calls.items()}

    assert found == {"law": "codec-alaw-as-ulaw", "bursts": "media-lost-or-late?", "zeros": "sends-silence"}


async def test_what_the_handler_does(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """The stream worked, and the application did not: nobody should look for it in the network."""
    async with serving(a_bot(), alone) as served:
        calls = {name: await served.telnyx.call(name, say=hello_wav()) for name in (CRASHES, WORDLESS)}
        for caller in calls.values():
            await served.until(session_of(caller), lambda what: isinstance(what, HandlerFailed | HandlerEnded))
        await over(served, *calls.values())
        ask = doctor(served)
        found = {name: named(await ask(session_of(caller), "--offline")) for name, caller in calls.items()}

    assert found == {CRASHES: "handler-crashed", WORDLESS: "handler-played-nothing"}


async def test_a_blocked_loop(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """All calls of the process stutter for it, and no log line says why."""
    async with serving(a_bot(), alone) as served:
        caller = await served.telnyx.call(BLOCKS, say=hello_wav())
        await served.until_kind(session_of(caller), MediaSymptom)
        await over(served, caller)
        found = await doctor(served)("--last", "--offline")

    assert named(found) == "event-loop-blocked"


async def test_sockets_that_we_refuse(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """They came all the way: the network is out of it, and the reason is our own word."""
    async with serving(a_bot(), alone, telnyx_api_key="KEY1") as served:
        served.telnyx.api_key = "KEY1"
        found = {}
        for token in ("", "wrong"):
            caller = await served.telnyx.call(faults=["never_connects"])
            await accepted(served, caller)
            await knock(served, session_of(caller), token)
            await over(served, caller)
            found[token] = named(await doctor(served)("--last", "--offline"))
        await knock(served, session_of(caller), CallTokens("KEY1").of(SessionId(session_of(caller))))
        found["late"] = named(await doctor(served)("--last", "--offline"))

        caller = await served.telnyx.call(faults=["never_connects"])
        await accepted(served, caller)
        await knock(served, str(caller.call.leg.call_leg_id), "")
        await over(served, caller)
        found["leg"] = named(await doctor(served)("--last", "--offline"))

    assert found == {
        "": "ws-auth-required-401",
        "wrong": "ws-token-wrong",
        "late": "ws-token-wrong",  # what came first explains more
        "leg": "session-lookup-fails",
    }


async def test_a_start_with_an_encoding_that_we_cannot_decode(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """The start frame came: to look for it on the way would be in vain, and the codec is what must be changed."""
    found = {}
    for codec in ("default", "PCMU"):
        patience: dict[str, Any] = {"socket_within_ms": 1000, "no_socket_then": "retry,nothing"}
        async with serving(a_bot(), alone, telnyx_api_key="KEY1", stream_codec=codec, **patience) as served:
            served.telnyx.api_key = "KEY1"
            caller = await served.telnyx.call(faults=["never_connects"])
            await accepted(served, caller)
            session = session_of(caller)
            headers = {AUTH_TOKEN_HEADER: CallTokens("KEY1").of(SessionId(session))}
            async with connect(f"{served.socket_url}/api/calls/{session}/audio", additional_headers=headers) as peer:
                await peer.send(start_text(session).replace("PCMU", "G729"))
                for _ in range(100):
                    await peer.send(sample_text("ws/t-media-inbound.json"))
                await peer.wait_closed()
            # Our second try, while the simulator still has the first for open: no cause, but what comes of it.
            await served.until(session, lambda what: isinstance(what, CommandAnswered) and not what.accepted)
            await over(served, caller)
            found[codec] = await doctor(served)("--last", "--offline")

    assert {codec: named(one) for codec, one in found.items()} == dict.fromkeys(found, "start-encoding-unreadable")
    assert {codec: one["verdict"]["owner"] for codec, one in found.items()} == {"default": "you", "PCMU": "unclear"}
    assert all("G729" in one["verdict"]["summary"] for one in found.values())


async def knock(served: Served, identifier: str, token: str) -> None:
    """Try to open the audio socket of a call, and be refused."""
    headers = {AUTH_TOKEN_HEADER: token} if token else {}
    with pytest.raises(InvalidStatus):
        async with connect(f"{served.socket_url}/api/calls/{identifier}/audio", additional_headers=headers):
            pass


@pytest.mark.parametrize(
    ("reason", "slug"),
    [
        ("bad_signature", "webhook-signature-refused"),
        ("stale", "webhook-clock-skew"),
        ("version 1", "api-version-1-webhooks"),
        ("form", "webhook-body-unparsed"),
    ],
)
async def test_webhooks_that_we_refuse(reason: str, slug: str, alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """No call comes to be, so `--last` must speak of what was turned away."""
    key = PrivateKey.generate()
    async with serving(a_bot(), alone, telnyx_public_key=public_key_text(key)) as served:
        now_s = SystemClock().now_unix_ms() // 1000
        body = b"a=1" if reason == "form" else b'{"event_type":"call_initiated","payload":{}}'
        signed_with = PrivateKey.generate() if reason == "bad_signature" else key
        headers = sign(body, signed_with, now_s - (400 if reason == "stale" else 0))
        async with httpx2.AsyncClient() as http:
            await http.post(f"{served.url}/api/calls/webhook", content=body, headers=headers)
        found = await doctor(served)("--last")

    assert named(found) == slug


@pytest.mark.parametrize(
    ("settings", "options", "slug"),
    [
        ({"telnyx_api_key": "KEYwrong"}, {}, "api-key-invalid"),
        ({}, {"refuse_unopened": True}, "stream-failed-to-start?"),
    ],
)
async def test_commands_that_fail(
    settings: dict[str, Any],
    options: dict[str, Any],
    slug: str,
    alone: Path,
    doctor: Callable[[Served], Doctor],
) -> None:
    """The caller hears it ring, or silence, and the URL has nothing to do with it."""
    async with serving(a_bot(), alone, options=CarrierOptions(**options), **settings) as served:
        caller = await served.telnyx.call(faults=["connects_elsewhere=/other"])
        await served.until(session_of(caller), lambda what: isinstance(what, CommandAnswered) and not what.accepted)
        await over(served, caller)
        found = await doctor(served)("--last", "--offline")

    assert named(found) == slug


async def test_a_stream_that_was_sent_elsewhere(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """The server's PUBLIC_URL is not where the world reaches it: an old name, a prefix that nobody cuts."""
    listener = socket.create_server(("127.0.0.1", 0))  # which `serving` closes
    here = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with serving(a_bot(), alone, listener=listener, public_url=f"{here}/voice") as served:
        caller = await served.telnyx.call()
        await accepted(served, caller)
        await a_while()
        await over(served, caller)
        ask = doctor(served)

        assert named(await ask("--last", "--offline", PUBLIC_URL=here)) == "url-path-mismatch"
        # Told the same as the server nothing differs, but the server kept what came under a path that it does not serve.
        found = await ask("--last", "--offline", PUBLIC_URL=f"{here}/voice")

    assert named(found) == "url-path-mismatch"
    assert found["verdict"]["code"] == "ROUTE001"


async def test_a_host_that_is_not_the_webhooks(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """The tunnel was restarted under another name: webhooks come, the socket goes to the old one."""
    async with serving(a_bot(), alone, public_url="https://old-tunnel.example.net") as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        await accepted(served, caller)
        await a_while()
        await over(served, caller)
        found = await doctor(served)("--last", "--offline")

    assert named(found) == "url-stale-host"


async def test_a_server_that_is_replaced(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """The classic of a deployment in mid-call."""
    async with serving(a_bot(), alone) as served:
        caller = await served.telnyx.call(say=hello_wav())
        await served.until_kind(session_of(caller), FirstOutbound)
    found = await doctor(served)("--last", "--offline")

    assert named(found) == "deploy-kills-streams"


async def test_a_caller_who_gives_up(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """Nobody's fault, and nothing to mend: it must not send anyone looking."""
    async with serving(a_bot(), alone) as served:
        caller = await served.telnyx.call(faults=["connects_late=5000"])
        await accepted(served, caller)
        await over(served, caller)
        found = await doctor(served)("--last", "--offline")

    assert named(found) == "caller-gave-up"
    assert found["verdict"]["owner"] == "far end"


async def test_a_call_that_is_on(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """A live call is not judged before its time, neither sick nor healthy."""
    async with serving(a_bot(), alone) as served:
        caller = await served.telnyx.call(say=hello_wav())
        await served.until_kind(session_of(caller), FirstOutbound)
        found = await doctor(served)("--last")
        await over(served, caller)

    assert named(found) == "call-in-progress?"
    assert (found["healthy"], found["exit_code"]) == (None, 4)


async def test_webhooks_that_were_missed_are_named_and_filled_in(
    alone: Path, doctor: Callable[[Served], Doctor]
) -> None:
    """Telnyx keeps what it sent: with --backfill the timeline is whole again, and without it nothing is written."""
    async with serving(a_bot(), alone) as served:
        caller = await served.telnyx.call(say=hello_wav())
        for kind in (FirstInbound, FirstOutbound):
            await served.until_kind(session_of(caller), kind)
        served.telnyx.webhook_url = f"{served.url}/nowhere"
        await caller.hangup()
        await caller.ended()
        await a_while(0.1)
        ask = doctor(served)
        found = await ask("--last")
        filled = await ask("--last", "--backfill")
        again = await ask("--last", "--offline")

    assert named(found) == "webhooks-partly-missing"
    assert any("call.hangup" in line for line in found["verdict"]["evidence"])
    assert "back-filled" in next(source["detail"] for source in filled["sources"] if source["name"] == "Telnyx")
    assert (named(filled), named(again)) == ("healthy", "healthy")


async def test_a_report_can_be_shared(alone: Path, doctor: Callable[[Served], Doctor]) -> None:
    """Whoever acts on it needs the ids and the times, and none of what was said, dialled, or is secret."""
    async with serving(a_bot(), alone, secret="planted-secret-of-the-server") as served:
        caller = await served.telnyx.call(TELLS, say=hello_wav())
        await served.until_kind(session_of(caller), FirstOutbound)
        await caller.press("7391")
        await over(served, caller)
        ask = doctor(served)
        for name in ("report.html", "report.md"):
            await ask("--last", "--report", str(alone / name), CALLPATH_SECRET="planted-secret-of-the-server")
    token = CallTokens("planted-secret-of-the-server").of(SessionId(session_of(caller)))
    secrets = (TELLS, TELLS[1:], "15555550199", "4111", "Lovelace", "7391", "planted", token, served.telnyx.api_key)

    for name in ("report.html", "report.md"):
        text = (alone / name).read_text()
        assert [secret for secret in secrets if secret in text] == []
        for needed in (
            session_of(caller),
            str(caller.call.leg.call_leg_id),
            "WebSocket connection received",
            "Python 3",
        ):
            assert needed in text
        assert str(caller.call.leg.call_control_id) not in text
    page = (alone / "report.html").read_text()
    assert "<svg" in page
    assert "<script" not in page


def test_what_people_see(run: Run, write: Callable[..., None]) -> None:
    """Stages with their times, the missing one marked, in eighty columns."""
    known = sample_call.call(sample_call.ACCEPTED, (20_000, sample_call.hung_up()))
    write(known.entries)
    short, long, line = (run("doctor", "call", known.session[:8], "--offline", *flag) for flag in ([], ["-v"], ["-q"]))

    assert "✗ socket" in short.stdout
    assert max(len(text) for text in short.stdout.splitlines() if "wss://" not in text) <= 80
    assert line.stdout.startswith("not decided: Telnyx accepted")
    assert "Did not match:" in long.stdout
    assert {short.exit_code, long.exit_code, line.exit_code} == {4}


def test_wrong_usage(run: Run, write: Callable[..., None]) -> None:
    """An id that is mistyped gets its neighbours; no log at all is no "nobody ever called"."""
    assert run("doctor", "call", "--last").exit_code == 3
    write([entry(WebhookReceived(event_type="call.initiated", event_id="e", body={}), "11111111-aaaa")])

    for wrong in (["doctor", "call"], ["doctor", "call", "x", "--last"], ["doctor", "call", "--last", "--report", "x.pdf"],
                  ["doctor", "call", "--last", "--backfill", "--offline"]):  # fmt: skip
        assert run(*wrong).exit_code == 2
    missed = run("doctor", "call", "11111111-aaab")

    assert missed.exit_code == 2
    assert "11111111-aaaa" in missed.stderr
