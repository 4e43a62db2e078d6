"""The sentence and the exit code of `callpath simulate`, against programs with one known defect each, and healthy ones.

Every row of `CASES` is a call over real sockets. The calls run together, once; each row is then a test of its own, and the
figures are printed: right, open (a verdict was withheld where one was expected), wrong.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from callpath.cli.simulate_report import EXITS
from callpath.private_api import accept_key
from callpath.simulator.options import CarrierOptions
from callpath.simulator.scenario import CallPlan, CallResult, Step, play_call
from callpath.simulator.simulator import Callee, Simulator
from callpath.simulator.verdict import code_family
from callpath.wire.document import Json
from tests.simulator import programs as p
from tests.simulator.bot import served
from tests.simulator.programs import (
    Hook,
    Program,
    Talk,
    answering,
    closing,
    commanding,
    echo,
    on_answer,
    pieces,
    sending,
)
from tests.simulator.test_sound import file_of

pytestmark = pytest.mark.timeout(300)  # one test waits for all calls

QUICK: Json = {"webhook_ms_max": 20_000, "webhook_retry_ms": (50, 100), "connect_ms_max": 20_000}
"""A Telnyx that tries again sooner, so that the table is quick, and waits so long that no busy machine is taken for a
defect. The cases about waiting wait less."""

IMPATIENT: Json = {"webhook_ms_max": 300}

AT_ONCE = 12
"""Calls that run together."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program, and what must be said of it. `says` stands in the sentence, `notes` in one of the notes."""

    name: str
    code: str
    exit_code: int
    says: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hook: Hook = field(default_factory=answering)
    talk: Talk = field(default_factory=echo)
    key: str | None = None
    options: Json = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    expect_audio: bool = True
    listen_ms: float = 900.0
    texml: str | None = None
    webhook: str | None = None
    dial: Json | None = None
    callee: Callee = field(default_factory=Callee)


def healthy(name: str, code: str = "ok", **more: Any) -> Case:
    return Case(name=name, code=code, exit_code=0, **more)


def defect(name: str, code: str, *says: str, exit_code: int = 1, **more: Any) -> Case:
    return Case(name=name, code=code, says=says, exit_code=exit_code, **more)


NUMBER = "+15555550199"
SPOKEN = {"payload": "Hello there, this is a menu", "voice": "female"}
VOICE = pieces(p.voice())
TEXML = "<Response>{}</Response>"
CONNECT = TEXML.format(
    '<Connect><Stream url="{ws}" bidirectionalMode="rtp" bidirectionalCodec="PCMU"></Stream></Connect>'
)


async def blocking_hook(program: Program, event: Json) -> None:
    """Work within the webhook, for longer than Telnyx waits; then do as usual."""
    await asyncio.sleep(0.8)
    await answering()(program, event)


async def slow_and_idle(_program: Program, _event: Json) -> None:
    """Never answer a webhook in time, and send nothing."""
    await asyncio.sleep(0.9)


async def dialling(program: Program, event: Json) -> None:
    """Take the call, and dial somebody in place of a stream."""
    if event["event_type"] == "call.initiated" and event["payload"]["direction"] == "incoming":
        await program.act(event, "answer")
    if event["event_type"] == "call.answered" and event["payload"]["to"] == NUMBER:
        body = {"connection_id": program.telnyx.options.connection_id, "from": "+15555550199", "to": "+15555550777"}
        await program.post("/v2/calls", body)


async def joining(program: Program, event: Json) -> None:
    """Answer, dial an agent, and let Telnyx join the two: no command on this leg."""
    payload = event["payload"]
    if event["event_type"] == "call.initiated" and payload["direction"] == "incoming":
        program.words["caller"] = payload["call_control_id"]
        await program.act(event, "answer")
    if event["event_type"] == "call.answered" and payload["to"] == NUMBER:
        body = {"connection_id": program.telnyx.options.connection_id, "from": NUMBER, "to": "+15555550777"}
        linked = {"link_to": program.words["caller"], "bridge_on_answer": True}
        await program.post("/v2/calls", body | linked)


async def twice(program: Program, event: Json) -> None:
    """streaming_start two times, as of two workers that do not know of each other."""
    await answering()(program, event)
    if event["event_type"] == "call.answered":
        await answering()(program, event)


async def again(program: Program, event: Json) -> None:
    """Answer the call when call.answered comes, too."""
    if event["event_type"] == "call.answered":
        await program.act(event, "answer")
    await answering()(program, event)


async def within_answer(program: Program, event: Json) -> None:
    if event["event_type"] == "call.initiated":
        await program.act(event, "answer", p.STREAM | {"stream_url": program.ws})


async def retrying(program: Program, event: Json) -> None:
    """Try a bad codec first, see the refusal, and use the right one."""
    if event["event_type"] == "call.answered":
        body = p.STREAM | {"stream_url": program.ws}
        await program.act(event, "streaming_start", body | {"stream_bidirectional_codec": "ulaw"})
    await answering()(program, event)


async def falling_back(program: Program, event: Json) -> None:
    """Speak before the answer, which is refused; then again, properly."""
    if event["event_type"] == "call.initiated":
        await program.act(event, "answer")
        await program.act(event, "speak", SPOKEN)
    elif event["event_type"] == "call.answered":
        await program.act(event, "speak", SPOKEN)


async def replacing(program: Program, event: Json) -> None:
    await answering()(program, event)
    if event["event_type"] == "call.answered":
        await program.act(event, "fork_start", {"rx": "udp:127.0.0.1:9000", "tx": "udp:127.0.0.1:9001"})


async def early(program: Program, event: Json) -> None:
    """streaming_start without waiting for the answer, and never again."""
    if event["event_type"] == "call.initiated":
        await program.act(event, "answer")
        await program.act(event, "streaming_start", p.STREAM | {"stream_url": program.ws})


async def drop_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """101, and then nothing but the end of the TCP connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(line.partition(": ")[2] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    writer.write("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept_key(key)}", "", ""]).encode())
    await writer.drain()
    writer.close()


async def mute_raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Something that is no HTTP."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"SSH-2.0-OpenSSH_9.7\r\n")
    writer.close()


def silent_stream(_payload: bytes, _count: int) -> bytes:
    return p.SILENCE


REFUSED_URL = answering(stream={"stream_url": "http://127.0.0.1:1/media"})
RAW = answering(url="ws://127.0.0.1:{raw}/x")

CASES = (
    # --- healthy, some of them odd ---
    healthy("echo", says=("Every stage was reached",)),
    healthy("a greeting in one burst", talk=sending(*(p.media(one) for one in VOICE))),
    healthy("a greeting of 3 s in one message", talk=sending(p.media(p.voice()))),
    healthy("frames with Twilio's extra keys", talk=echo(lambda payload, _: p.twilio(payload))),
    healthy("text keepalives that Telnyx refuses", talk=echo(p.with_keepalive), notes=("100003",)),
    healthy("a menu that Telnyx speaks", "served-without-stream", hook=on_answer(("speak", SPOKEN))),
    healthy(
        "a menu after an early command was refused",
        "served-without-stream",
        hook=falling_back,
        notes=("speak was refused with 422 90034",),
    ),
    healthy(
        "a menu whose transfer was refused",
        "served-without-stream",
        hook=on_answer(("speak", SPOKEN), ("transfer", {"to": "+15555550199"})),
        notes=("transfer was refused with 403 10010", "D53: the caller ID is the number that is dialled"),
    ),
    healthy(
        "a voicemail box",
        "served-without-stream",
        hook=on_answer(("speak", SPOKEN), ("record_start", {"format": "wav", "channels": "single"})),
    ),
    healthy(
        "a transfer",
        "served-without-stream",
        hook=on_answer(("transfer", {"to": "+15555550777"})),
        expect_audio=False,
    ),
    healthy(
        "an RTP fork and no WebSocket",
        "served-without-stream",
        hook=on_answer(("fork_start", {"rx": "udp:127.0.0.1:9000", "tx": "udp:127.0.0.1:9001"})),
        expect_audio=False,
    ),
    healthy("says good-bye and hangs up", talk=echo(after=commanding("hangup", at=30)), says=("the program hung up",)),
    healthy(
        "closes its socket, then hangs up",
        talk=echo(after=commanding("hangup", at=30, closes=True)),
        says=("the program hung up",),
    ),
    healthy(
        "hands over from the stream to a menu",
        talk=echo(after=commanding("speak", SPOKEN, at=30, closes=True)),
    ),
    healthy("two workers that both start the stream", hook=twice, notes=("90045",)),
    healthy("a second answer", hook=again, notes=("sent answer 2 times",)),
    healthy("a refused codec, then the right one", hook=retrying, notes=("10032",)),
    healthy(
        "a webhook handler that blocks, and works all the same",
        hook=blocking_hook,
        options=IMPATIENT,
        listen_ms=1_500,
        notes=("no answer within 300 ms",),
    ),
    healthy("the stream within answer", hook=within_answer),
    healthy("a late streaming_start", hook=on_answer(("streaming_start", p.STREAM), delay_s=0.3)),
    healthy(
        "L16 at 16 kHz",
        hook=answering(stream={"stream_bidirectional_codec": "L16", "stream_bidirectional_sampling_rate": 16000}),
        talk=p.paced(pieces(p.voice(encoding="L16", sample_rate_hz=16000), 640)),
    ),
    healthy(
        "G722",
        hook=answering(stream={"stream_bidirectional_codec": "G722"}),
        talk=p.paced(pieces(p.voice(encoding="G722"))),
    ),
    healthy(
        "A-law",
        hook=answering(stream={"stream_bidirectional_codec": "PCMA"}),
        talk=p.paced(pieces(p.voice(encoding="PCMA"))),
    ),
    healthy("music", talk=p.paced(p.tones())),
    healthy("both tracks", hook=answering(stream={"stream_track": "both_tracks"})),
    healthy(
        "legs unset, where that is heard",
        hook=answering(stream={"stream_bidirectional_target_legs": None}),
        options={"opposite_plays": True},
    ),
    healthy(
        "MP3 in mp3 mode",
        hook=answering(stream={"stream_bidirectional_mode": None}),
        talk=sending(p.media(file_of(p.speech(), "mp3"))),
    ),
    healthy("a listener that says nothing", talk=echo(lambda *_: None), expect_audio=False, says=("sent no audio",)),
    healthy("TeXML that connects a stream", texml=CONNECT),
    healthy(
        "a TeXML menu",
        "served-without-stream",
        texml=TEXML.format("<Say>Hello, this is a menu</Say><Pause length='2'/>"),
    ),
    healthy(
        "an outbound call with a stream",
        dial=p.STREAM | {"stream_url": "{ws}"},
        hook=p.nothing,
        callee=Callee(say=p.speech()),
    ),
    healthy(
        "an outbound call that is busy",
        "turned-away-as-asked",
        dial={},
        hook=p.nothing,
        callee=Callee(rejects="user_busy"),
    ),
    healthy("an agent is dialled and joined", "served-without-stream", hook=joining, expect_audio=False),
    healthy(
        "a long greeting and an early end",
        talk=echo(p.greeting_then_nothing, after=commanding("hangup", at=25)),
        notes=("still waiting",),
    ),
    healthy("comfort noise around a sentence", talk=p.paced(p.with_comfort_noise()), listen_ms=2_500),
    # --- the webhook ---
    defect(
        "nobody at the webhook",
        "webhook-unreachable",
        "could not be reached",
        exit_code=4,
        webhook="http://127.0.0.1:1/x",
    ),
    defect(
        "422 to every webhook",
        "webhook-http-422",
        "call.initiated with HTTP 422",
        "could not read",
        hook=p.replying(422),
    ),
    defect("401 to every webhook", "webhook-http-401", "HTTP 401", "TELNYX_PUBLIC_KEY", hook=p.replying(401)),
    defect("500 to call.initiated", "webhook-http-500", "HTTP 500 (3 attempts)", hook=p.replying(500)),
    defect("a redirect", "webhook-http-307", "HTTP 307", hook=p.replying(307, headers={"location": "/elsewhere"})),
    defect(
        "a webhook that blocks for ever",
        "webhook-too-slow",
        "no answer within 300 ms",
        "attempts",
        hook=slow_and_idle,
        options=IMPATIENT,
    ),
    defect(
        "500 to call.answered",
        "webhook-http-500",
        "no stream was started",
        "call.answered with HTTP 500 (3 attempts)",
        hook=p.replying(500, "call.answered"),
    ),
    defect(
        "webhooks are taken and nothing is done",
        "no-answer-command",
        "took the webhook call.initiated (HTTP 200)",
        "TELNYX_API_BASE",
        hook=p.nothing,
    ),
    # --- the API ---
    defect(
        "GET in place of POST", "wrong-path", "is a POST", hook=p.requesting("GET", "/v2/calls/{id}/actions/answer")
    ),
    defect(
        "a slash at the end",
        "wrong-path",
        "ends with a slash",
        hook=p.requesting("POST", "/v2/calls/{id}/actions/answer/"),
    ),
    defect("a wrong key", "wrong-key", "answer was refused with 401 10009", "another one", key="Bearer KEYwrong"),
    defect("no key", "wrong-key", "no Authorization header", key=""),
    defect("a key without Bearer", "wrong-key", 'without "Bearer "', key="{key}"),
    defect("Basic in place of Bearer", "wrong-key", "instead of Bearer", key="Basic a2V5Og=="),
    defect("an empty key", "wrong-key", "TELNYX_API_KEY is not set", key="Bearer undefined"),
    defect(
        "the leg's id",
        "wrong-call-id",
        "90015",
        "call_leg_id stands where",
        hook=p.requesting("POST", "/v2/calls/{leg}/actions/answer"),
    ),
    defect(
        "the session's id",
        "wrong-call-id",
        "call_session_id stands where",
        hook=p.requesting("POST", "/v2/calls/{session}/actions/answer"),
    ),
    defect(
        "the event's id",
        "wrong-call-id",
        "the event's id stands where",
        hook=p.requesting("POST", "/v2/calls/{event}/actions/answer"),
    ),
    defect(
        "an id that was not read",
        "wrong-call-id",
        "not read from data.payload",
        hook=p.requesting("POST", "/v2/calls/undefined/actions/answer"),
    ),
    defect(
        "an id that is encoded twice",
        "wrong-call-id",
        "percent-encoded twice",
        hook=p.requesting("POST", "/v2/calls/{twice}/actions/answer"),
    ),
    defect(
        "/v2 twice", "wrong-path", "404", "/v2 twice", hook=p.requesting("POST", "/v2/v2/calls/{id}/actions/answer")
    ),
    defect("no /v2", "wrong-path", "does not begin with /v2", hook=p.requesting("POST", "/calls/{id}/actions/answer")),
    defect(
        "a mistyped action",
        "wrong-path",
        "no action anwser",
        "did you mean answer",
        hook=p.requesting("POST", "/v2/calls/{id}/actions/anwser"),
    ),
    defect(
        "a client_state that is not base64",
        "command-refused",
        "answer was refused with 422 90017",
        "(/client_state)",
        hook=answering({"client_state": "né"}),
    ),
    defect(
        "an https stream URL",
        "command-refused",
        "streaming_start was refused with 422 10003",
        "(/stream_url)",
        hook=REFUSED_URL,
    ),
    defect(
        "an unknown codec",
        "command-refused",
        "10032",
        "(/stream_bidirectional_codec)",
        hook=answering(stream={"stream_bidirectional_codec": "mulaw"}),
    ),
    defect(
        "streaming_start before the answer", "command-refused", "streaming_start was refused with 422 90034", hook=early
    ),
    defect(
        "an AI assistant",
        "not-simulated",
        "ai_assistant_start",
        "501 Not simulated",
        exit_code=7,
        hook=on_answer(("ai_assistant_start", {"assistant": {"id": "x"}})),
    ),
    defect(
        "a room",
        "not-simulated",
        "/v2/rooms",
        "501",
        exit_code=7,
        hook=p.requesting("POST", "/v2/rooms", {"unique_name": "x"}),
    ),
    defect(
        "an API that fails once, and no retry",
        "injected-api-fault",
        "answer got HTTP 500",
        "injected",
        faults=("api_500",),
    ),
    defect("nobody asks for a stream", "no-stream-asked-for", "sent no command after it", hook=answering(stream={})),
    defect("it dials in place of a stream", "no-stream-asked-for", "dialled +15555550777", hook=dialling),
    defect("it hangs up at once", "hung-up-without-stream", "hung up", hook=on_answer(("hangup", {}))),
    defect("it turns the call down", "turned-down", "reject (USER_BUSY)", hook=p.rejecting),
    # --- the socket ---
    defect("no HTTP at the socket's port", "not-opened", "no HTTP", hook=answering(url="ws://127.0.0.1:{mute}/x")),
    defect(
        "only the outbound track",
        "silent",
        "stream_track is outbound_track",
        exit_code=5,
        hook=answering(stream={"stream_track": "outbound_track"}),
    ),
    defect(
        "no such path for the socket",
        "not-opened",
        "answered HTTP 403 instead of 101",
        hook=answering(url="ws://127.0.0.1:{port}/nowhere"),
    ),
    defect("a socket that is refused", "not-opened", "answered HTTP 403 instead of 101", talk=p.refusing),
    defect(
        "an upgrade that is never answered",
        "not-opened",
        "did not open within 700 ms",
        talk=p.never,
        options={"connect_ms_max": 700},
        listen_ms=1_500,
    ),
    defect(
        "nobody listens for the socket",
        "not-opened",
        "could not be reached",
        hook=answering(url="ws://127.0.0.1:1/media"),
    ),
    defect(
        "wss where plain HTTP is spoken", "not-opened", "--reach-at", hook=answering(url="wss://127.0.0.1:{port}/media")
    ),
    defect("it drops the socket at once", "dropped", "broke off", "1006", hook=RAW),
    defect(
        "it expects start first",
        "closed-1002",
        "close code 1002 (protocol error)",
        "'Expected start event'",
        talk=closing(1002, "Expected start event", on="connected"),
    ),
    defect(
        "a missing runnable",
        "closed-1008",
        "1008 (policy violation)",
        "'Voice requires an Agent runnable'",
        talk=closing(1008, "Voice requires an Agent runnable"),
    ),
    defect("a handler that raises", "closed-1011", "1011 (internal error)", talk=closing(1011, packets=30)),
    defect(
        "its own close code",
        "closed-4001",
        "4001 (the program's own code)",
        "'no session'",
        talk=closing(4001, "no session"),
    ),
    defect("it closes and forgets the call", "closed-1000", "1000 (normal closure)", talk=closing(1000, packets=20)),
    defect("a message of 9 MB", "closed-by-simulator-1009", "1009 (message too big)", talk=sending("x" * (9 << 20))),
    defect(
        "fork_start replaces the stream",
        "replaced-by-fork",
        "fork_start stopped the media stream",
        hook=replacing,
        talk=echo(lambda *_: None),
    ),
    defect(
        "streaming_stop before a word",
        "stopped-by-program",
        "streaming_stop",
        exit_code=5,
        talk=echo(lambda *_: None, after=commanding("streaming_stop", at=5)),
    ),
    defect("the line drops", "cut-by-fault", "injected fault drop", faults=("drops=300",)),
    # --- the frames ---
    defect("binary messages", "binary-frames", "binary messages", talk=p.binary),
    defect("RTP headers", "rtp-headers", "12-byte RTP header", talk=echo(p.rtp)),
    defect("40 s in one message", "frames-refused-100002", "more than 30 s", talk=sending(p.media(b"\x55" * 320_000))),
    defect(
        "URL-safe base64",
        "frames-refused-100004",
        "base64",
        talk=echo(p.wrapped(lambda text: text.replace("+", "-").replace("/", "_").rstrip("=") + "-_")),
    ),
    defect(
        "a data URL",
        "frames-refused-100004",
        "base64",
        talk=echo(p.wrapped(lambda text: f"data:audio/x-mulaw;base64,{text}")),
    ),
    defect("an event that is not Telnyx's", "frames-refused-100003", "100003", talk=echo(p.play_audio)),
    defect("a payload at the top level", "frames-refused-100003", "100003", talk=echo(p.flat)),
    defect(
        "raw audio in mp3 mode",
        "raw-audio-in-mp3-mode",
        "mode is mp3 (the default)",
        hook=answering(stream={"stream_bidirectional_mode": None}),
    ),
    defect(
        "legs unset",
        "opposite-legs",
        "Reports differ",
        "--opposite-plays",
        exit_code=7,
        hook=answering(stream={"stream_bidirectional_target_legs": None}),
    ),
    defect(
        "MP3 and legs unset",
        "opposite-legs",
        "Reports differ",
        exit_code=7,
        hook=answering(stream={"stream_bidirectional_mode": None, "stream_bidirectional_target_legs": None}),
        talk=sending(p.media(file_of(p.speech(), "mp3"))),
    ),
    # --- what is heard ---
    defect("it never sends", "silent", "sent no audio", exit_code=5, talk=echo(lambda *_: None)),
    defect("it sends digital silence", "silent", "digital silence", exit_code=5, talk=echo(silent_stream)),
    defect(
        "it hangs up before a word",
        "silent",
        "sent no audio",
        "the program hung up",
        exit_code=5,
        talk=echo(lambda *_: None, after=commanding("hangup", at=10)),
    ),
    defect(
        "PCM at 8 kHz in a PCMU stream",
        "wrong-encoding-pcm16-little",
        "noise",
        "16-bit PCM (little-endian)",
        talk=echo(p.as_pcm),
    ),
    defect("PCM at 24 kHz in a PCMU stream", "wrong-encoding-pcm16-little", "noise", talk=echo(p.as_pcm_24k)),
    defect(
        "PCMU in an L16 stream",
        "wrong-encoding-pcmu",
        "L16 (little-endian, 16000 Hz)",
        hook=answering(stream={"stream_bidirectional_codec": "L16", "stream_bidirectional_sampling_rate": 16000}),
    ),
    defect(
        "L16 in the wrong byte order",
        "wrong-encoding-pcm16-big",
        "big-endian",
        hook=answering(stream={"stream_bidirectional_codec": "L16", "stream_bidirectional_sampling_rate": 16000}),
        talk=p.paced([p.swapped(one, 0) for one in pieces(p.voice(encoding="L16", sample_rate_hz=16000), 640)]),
    ),
    defect("A-law in a PCMU stream", "wrong-encoding-pcma", "PCMA", talk=p.paced(pieces(p.voice(encoding="PCMA")))),
    defect(
        "base64 inside base64",
        "wrong-encoding-base64-text",
        "base64 text",
        talk=p.paced([base64.b64encode(one) for one in VOICE]),
    ),
    defect(
        "hexadecimal text",
        "wrong-encoding-hex-text",
        "hexadecimal",
        talk=p.paced([one.hex().encode() for one in VOICE]),
    ),
    defect("a WAV file", "wrong-encoding-wav-header", "WAV file", talk=sending(p.media(p.wav_file()))),
    defect("an MP3 in rtp mode", "wrong-encoding-mp3", "MP3", talk=sending(p.media(file_of(p.speech(), "mp3")))),
    defect("random bytes", "noise", "noise, not speech", exit_code=5, talk=echo(p.noise)),
    defect(
        "PCMU at 16 kHz", "wrong-sample-rate", "half of its speed", exit_code=5, talk=echo(p.at_16k), listen_ms=2_600
    ),
    defect(
        "10 ms of each 20",
        "short-chunks",
        "less than 20 ms",
        exit_code=7,
        talk=echo(lambda payload, _: payload[:80]),
        listen_ms=1_500,
    ),
    # --- TeXML ---
    defect("TeXML with a bare &", "texml-unusable", "not XML", "&amp;", texml=TEXML.format("<Say>you & me</Say>")),
    defect("TeXML that is not there", "texml-status", "HTTP 404", texml="404"),
    defect("TeXML that hangs up", "texml-no-stream", "without a stream", texml=TEXML.format("<Pause length='0.2'/>")),
    defect("TeXML that dials", "not-simulated", "Dial", exit_code=7, texml=TEXML.format("<Dial>+15555550777</Dial>")),
    # --- outbound ---
    defect(
        "a dial with another application's id",
        "command-refused",
        "dial was refused with 422 10015",
        dial={"connection_id": "7"},
        hook=p.nothing,
    ),
    defect(
        "a dial by TeXML",
        "not-simulated",
        "501",
        exit_code=7,
        dial={"path": "/v2/texml/Accounts/a/Calls"},
        hook=p.nothing,
    ),
    defect(
        "an outbound call without a stream", "no-stream-asked-for", "no stream_url in dial", dial={}, hook=p.nothing
    ),
)


Where = tuple[str, dict[str, int], httpx2.AsyncClient]
"""The server of all programs, raw ports, and a client for the programs' requests."""


@contextlib.asynccontextmanager
async def everything(running: dict[str, Program], documents: dict[str, str]) -> AsyncIterator[Where]:
    """One server for all programs, and a raw one that drops its sockets."""

    async def hook(request: Request) -> Response:
        return await running[request.path_params["name"]].receive(request)

    async def talk(websocket: WebSocket) -> None:
        await running[websocket.path_params["name"]].serve(websocket)

    async def texml(request: Request) -> Response:
        text = documents[request.path_params["name"]]
        return Response(text, 404 if text == "404" else 200, media_type="application/xml")

    raw = await asyncio.start_server(drop_raw, "127.0.0.1", 0)
    mute = await asyncio.start_server(mute_raw, "127.0.0.1", 0)
    async with (
        raw,
        mute,
        httpx2.AsyncClient(trust_env=False, timeout=10) as http,
        served(
            Route("/{name}/hook", hook, methods=["GET", "POST"]),
            Route("/{name}/texml", texml, methods=["POST"]),
            WebSocketRoute("/{name}/ws", talk),
        ) as base,
    ):
        ports = {"raw": raw.sockets[0].getsockname()[1], "mute": mute.sockets[0].getsockname()[1]}
        yield base, ports, http


async def play(
    case: Case,
    number: int,
    where: Where,
    running: dict[str, Program],
    documents: dict[str, str],
) -> CallResult:
    """One call of the table."""
    base, ports, http = where
    name = f"c{number}"
    program = running[name] = Program(case.hook, case.talk)
    program.base = f"{base}/{name}"
    words = {"ws": program.ws, **{kind: str(port) for kind, port in ports.items()}, "port": base.rpartition(":")[2]}
    documents[name] = (case.texml or "").replace("{ws}", program.ws)
    program.words, program.http = words, http
    telnyx = Simulator(
        case.webhook or f"{program.base}/hook",
        options=CarrierOptions(**(QUICK | case.options)),
        texml_url=f"{program.base}/texml" if case.texml else None,
        clock=p.SteadyClock(),
    )
    program.telnyx = telnyx
    program.key = None if case.key is None else case.key.replace("{key}", telnyx.api_key)
    plan = CallPlan(
        name=case.name,
        say=p.speech(),
        steps=(Step("listen", case.listen_ms),),
        expect_audio=case.expect_audio,
        faults=tuple(p.fault(one) for one in case.faults),
        # Long where a stream must come, however busy this machine is; where none comes, all of it is waited for.
        stream_within_ms=8_000 if case.code == "ok" else 1_800,
        outbound=case.dial is not None,
        dialled_within_ms=700,
        callee=case.callee,
    )
    async with telnyx, asyncio.TaskGroup() as tasks:
        if case.dial is not None:
            tasks.create_task(program.place(case.dial))
        return await play_call(plan, telnyx)


async def all_calls() -> dict[str, CallResult]:
    results: dict[str, CallResult] = {}
    running: dict[str, Program] = {}
    documents: dict[str, str] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case, number: int) -> None:
        async with turn:
            results[case.name] = await play(case, number, where, running, documents)

    async with everything(running, documents) as where, asyncio.TaskGroup() as tasks:
        for number, case in enumerate(CASES):
            tasks.create_task(one(case, number))
    return results


@pytest.fixture(scope="module")
def results() -> dict[str, CallResult]:
    """Every call of the table, played once."""
    return asyncio.run(all_calls())


def judged(case: Case, result: CallResult) -> str:
    """`right`, `open` where a verdict was withheld, or `wrong`."""
    if (result.code, int(EXITS[result.outcome])) == (case.code, case.exit_code):
        return "right"
    return "open" if result.outcome == "inconclusive" else "wrong"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_sentence_is_true(case: Case, results: dict[str, CallResult]) -> None:
    """An engineer looks where the sentence points; a wrong one costs an afternoon, and the next one is not believed."""
    result = results[case.name]
    sentence = " ".join(result.sentences) or result.report["verdict"]["sentence"]
    notes = " ".join(result.report["verdict"]["notes"]) if result.report else ""

    assert (case.code, case.exit_code) == (result.code, int(EXITS[result.outcome])), f"{sentence} | {notes}"
    assert [] == [words for words in case.says if words not in sentence], sentence
    assert [] == [words for words in case.notes if words not in notes], notes


def test_the_figures(results: dict[str, CallResult], capsys: pytest.CaptureFixture[str]) -> None:
    """The table must stay large, and no healthy program may be accused."""
    counts = Counter(judged(case, results[case.name]) for case in CASES)
    accused = [case.name for case in CASES if case.exit_code == 0 and results[case.name].outcome != "ok"]
    with capsys.disabled():
        print(  # noqa: T201  (the figures are read by people)
            f"\nsimulate verdicts: right {counts['right']} open {counts['open']} wrong {counts['wrong']} of {len(CASES)}"
        )

    assert 0 == counts["wrong"]
    assert [] == accused
    assert sum(case.exit_code != 0 for case in CASES) >= 40
    assert sum(case.exit_code == 0 for case in CASES) >= 10


def test_every_code_is_documented() -> None:
    """Programs compare with the code, so each one must be found in the reference."""
    assert [] == [case.name for case in CASES if not code_family(case.code)]
    assert ("closed-N", "closed-by-simulator-N") == (
        code_family("closed-1011"),
        code_family("closed-by-simulator-1009"),
    )
    assert "" == code_family("unheard-of")


def test_every_report_is_json(results: dict[str, CallResult]) -> None:
    """`--json` is what programs read: the close code and the requests that were turned away are in it."""
    closed = results["a missing runnable"].report["sockets"][-1]
    turned = results["a wrong key"].report["requests"][0]

    assert all(json.dumps(one.report) for one in results.values())
    assert ("program", 1008, "Voice requires an Agent runnable") == (
        closed["closed_by"],
        closed["close_code"],
        closed["close_reason"],
    )
    assert ("answer", 401, ["10009"]) == (turned["name"], turned["status"], turned["codes"])
