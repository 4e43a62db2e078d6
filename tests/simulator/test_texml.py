"""TeXML: documents read, and followed on real sockets by a program that answers with XML."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from callpath.errors import RemoteProtocolError
from callpath.simulator.simulator import Simulator
from callpath.simulator.texml import Act, Pause, Redirect, Stream, Unknown, parse_texml
from callpath.wire.document import Json
from callpath.wire.signature import load_public_key, verify
from tests.simulator.bot import served

BOTS = b"""<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <Connect>
    <Stream url="wss://voice.example.com/ws?a=1&amp;b=2" bidirectionalMode="rtp"><Parameter name="who" value="me"/></Stream>
  </Connect>
  <Pause length="40"/>
</Response>"""


def test_the_document_of_a_usual_bot() -> None:
    """What voice-agent frameworks answer: a blocking stream, and a pause behind it."""
    assert [
        Stream(
            command={
                "stream_url": "wss://voice.example.com/ws?a=1&b=2",
                "stream_bidirectional_mode": "rtp",
                "stream_bidirectional_target_legs": "self",
                "custom_parameters": [{"name": "who", "value": "me"}],
            },
            blocks=True,
        ),
        Pause(40_000),
    ] == parse_texml(BOTS)


def test_the_other_verbs() -> None:
    """Each as the command that does the same."""
    document = b"""<Response><Say voice="male"> hello </Say><Play loop="2">https://example.com/a.wav</Play>
    <Start><Stream url="wss://example.com" name="s" statusCallback="/events" enableReconnect="false"
    bidirectionalSamplingRate="16000"/></Start><Stop><Stream/></Stop><Redirect>/next</Redirect>
    <Reject reason="busy"/><Hangup/><Pause/><Gather/></Response>"""
    say, play, stream, *rest = parse_texml(document)

    assert Act("speak", {"payload": "hello", "voice": "male"}, waits=True) == say
    assert Act("playback_start", {"audio_url": "https://example.com/a.wav", "loop": "2"}, waits=True) == play
    assert isinstance(stream, Stream)
    assert (False, "s", "/events", False) == (stream.blocks, stream.name, stream.status_callback, stream.reconnects)
    assert 16000 == stream.command["stream_bidirectional_sampling_rate"]
    assert [
        Act("streaming_stop"),
        Redirect("/next"),
        Act("reject", {"cause": "USER_BUSY"}),
        Act("hangup"),
        Pause(1000),
        Unknown("Gather"),
    ] == rest


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b'<Response><Connect><Stream url="wss://e.com/?a=1&b=2"/></Connect></Response>', "&amp;"),
        (b"<html/>", "<html>, not with <Response>"),
        (b"", "not XML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><Response/>', "document type"),
    ],
)
def test_documents_that_cannot_be_followed(document: bytes, says: str) -> None:
    """The unescaped & is the usual one: the call then ends with no attempt to connect."""
    with pytest.raises(RemoteProtocolError, match=says):
        parse_texml(document)


class XmlBot:
    """A program that answers the fetch with XML, and sends back what it hears."""

    def __init__(self, telnyx: Simulator, document: str) -> None:
        self.telnyx = telnyx
        self.document = document
        self.base = ""
        self.forms: list[dict[str, str]] = []
        self.frames: list[Json] = []
        self.form_came = asyncio.Event()
        self.closes_after: int | None = None

    async def xml(self, request: Request) -> Response:
        body = await request.body()
        verify(body, request.headers, load_public_key(self.telnyx.public_key), int(request.headers["telnyx-timestamp"]))
        self.forms.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
        self.form_came.set()
        url = self.base.replace("http", "ws") + "/ws"
        return Response(self.document.replace("URL", url), media_type="application/xml")

    async def ws(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            frame = json.loads(text)
            self.frames.append(frame)
            if len(self.frames) == self.closes_after:
                await websocket.close()
                return
            if frame["event"] == "media":
                await websocket.send_text(
                    json.dumps({"event": "media", "media": {"payload": frame["media"]["payload"]}})
                )


@contextlib.asynccontextmanager
async def xml_bot(document: str) -> AsyncIterator[tuple[Simulator, XmlBot]]:
    async with Simulator() as telnyx:
        bot = XmlBot(telnyx, document)
        async with served(Route("/{path:path}", bot.xml, methods=["POST"]), WebSocketRoute("/ws", bot.ws)) as base:
            bot.base = base
            telnyx.texml_url = f"{base}/texml"
            yield telnyx, bot


async def test_a_bot_that_answers_with_xml_is_heard() -> None:
    """The call of a TeXML application: no webhook, no command, and audio both ways."""
    document = (
        '<Response><Connect><Stream url="URL" bidirectionalMode="rtp" statusCallback="/events"/></Connect></Response>'
    )
    async with xml_bot(document) as (telnyx, bot):
        call = await telnyx.call()
        await call.stream_started()
        await call.heard_for(100)
        await call.hangup()
        await call.ended()
        while len(bot.forms) < 3:
            await bot.form_came.wait()
            bot.form_came.clear()
        leg = call.call.leg
        fetch, *events = bot.forms

        assert ["connected", "start", "media"] == [frame["event"] for frame in bot.frames[:3]]
        assert leg.call_control_id == bot.frames[1]["start"]["call_control_id"]
        assert (leg.from_, leg.to, leg.call_control_id) == (fetch["From"], fetch["To"], fetch["CallSid"])
        assert ["stream-started", "stream-stopped"] == sorted(event["StreamEvent"] for event in events)
        assert ([], []) == (call.webhooks, call.problems)


async def test_the_call_goes_on_after_the_stream_and_ends_with_the_document() -> None:
    """Connect waits for the stream; when nothing more is said, Telnyx hangs up."""
    document = (
        '<Response><Connect><Stream url="URL" bidirectionalMode="rtp" enableReconnect="false"/></Connect>'
        "<Redirect>/again</Redirect></Response>"
    )
    async with xml_bot(document) as (telnyx, bot):
        bot.closes_after = 4
        call = await telnyx.call()
        await call.stream_started()
        bot.document = "<Response><Say>bye</Say><Nonsense/></Response>"
        await call.ended()

        assert 2 == len(bot.forms)
        assert 1 == len(call.call.streams)
        assert call.heard.size > 0
        assert ["the TeXML verb Nonsense is not simulated, and was skipped"] == call.problems


async def test_texml_that_cannot_be_had_is_a_problem_with_a_reason() -> None:
    """The caller hears the call end, and the report says why."""
    async with xml_bot("<Response><Stream") as (telnyx, _):
        call = await telnyx.call()
        await call.ended()

        (problem,) = call.problems
        assert problem.startswith("the TeXML could not be had: the TeXML is not XML")
        assert (call.failure or "").startswith("The call was not answered: the TeXML at http://")
        assert (call.failure or "").endswith("Is an & in a URL not written &amp;?")
        assert call.call.answered_at_ms is None
