"""TeXML: an application that says what to do in XML, fetched when a call comes, in place of sending commands.

`parse_texml` is pure. `TexmlCall` follows one document on one call; it needs of the simulator a way to post a form. What
is understood: Connect and Start with Stream, Stop, Say, Play, Pause, Redirect, Reject, Hangup. A verb that is not is
skipped, and named in the caller's `problems`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from callpath.clock import Clock
from callpath.errors import RemoteProtocolError
from callpath.simulator.caller import Caller
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import Refused, accept_command
from callpath.simulator.seen import CommandSeen, DocumentSeen
from callpath.wire.document import Json
from callpath.wire.webhook import StreamingFailed, StreamingStarted, Webhook

REDIRECTS_MAX = 10
"""Documents that one call may go through. Telnyx's limit is unknown; a loop must end."""

PAUSE_S = 1.0
"""Length of a Pause that names none, as with Twilio, whose language this is."""

PostForm = Callable[[str, dict[str, str]], Awaitable[tuple[int, bytes] | str]]
"""Post these fields to a URL: status and body, or why there was no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Open a media WebSocket; `blocks`: stood in Connect, so what follows waits for its end."""

    command: Json
    """The body of the streaming_start that does the same."""
    blocks: bool
    name: str | None = None
    status_callback: str | None = None
    reconnects: bool = True


@dataclass(frozen=True, slots=True)
class Act:
    """A verb that is one command of Call Control, and whether the next verb waits for the sound to end."""

    name: str
    body: Json = field(default_factory=dict)
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long."""

    duration_ms: float


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with another document."""

    url: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A verb that this simulator has not."""

    name: str


Verb = Stream | Act | Pause | Redirect | Unknown


def parse_texml(content: bytes) -> list[Verb]:
    """The verbs of a document, in order.

    Raises RemoteProtocolError (`not_xml`, `wrong_shape`): the text says what is wrong, as for an unescaped "&".
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise RemoteProtocolError("wrong_shape", "the TeXML has a document type, which TeXML has no use for")
    try:
        root = ET.fromstring(content)  # noqa: S314  (no document type, hence no entities to blow up)
    except ET.ParseError as error:
        raise RemoteProtocolError(
            "not_xml", f"the TeXML is not XML: {error}. Is an & in a URL not written &amp;?"
        ) from None
    if root.tag != "Response":
        raise RemoteProtocolError("wrong_shape", f"the TeXML begins with <{root.tag}>, not with <Response>")
    return [verb for element in root for verb in _verbs(element)]


def _verbs(element: ET.Element) -> list[Verb]:
    text = (element.text or "").strip()
    match element.tag:
        case "Connect" | "Start":
            return [
                _stream(inside, blocks=element.tag == "Connect") if inside.tag == "Stream" else Unknown(inside.tag)
                for inside in element
            ]
        case "Stop":
            return [Act("streaming_stop")]
        case "Say":
            return [Act("speak", {"payload": text, "voice": element.get("voice") or "female"}, waits=True)]
        case "Play":
            return [Act("playback_start", {"audio_url": text, "loop": element.get("loop")}, waits=True)]
        case "Pause":
            return [Pause(1000 * _number(element.get("length"), PAUSE_S))]
        case "Redirect":
            return [Redirect(text)]
        case "Reject":
            busy = element.get("reason") == "busy"
            return [Act("reject", {"cause": "USER_BUSY" if busy else "CALL_REJECTED"})]
        case "Hangup":
            return [Act("hangup")]
        case _:
            return [Unknown(element.tag)]


def _stream(element: ET.Element, *, blocks: bool) -> Stream:
    rate = element.get("bidirectionalSamplingRate")
    listed = [{"name": one.get("name") or "", "value": one.get("value") or ""} for one in element.iter("Parameter")]
    command: Json = {
        "stream_url": (element.get("url") or "").strip(),
        "stream_track": element.get("track"),
        "stream_codec": element.get("codec"),
        "stream_bidirectional_mode": element.get("bidirectionalMode"),
        "stream_bidirectional_codec": element.get("bidirectionalCodec"),
        "stream_bidirectional_sampling_rate": int(rate) if rate is not None and rate.isdecimal() else rate,
        # TeXML has no attribute for it, and streams that set only the mode are heard.
        "stream_bidirectional_target_legs": "self",
        "custom_parameters": listed or None,
    }
    return Stream(
        command={key: value for key, value in command.items() if value is not None},
        blocks=blocks,
        name=element.get("name"),
        status_callback=element.get("statusCallback"),
        reconnects=element.get("enableReconnect", "true").lower() != "false",
    )


def _number(text: str | None, default: float) -> float:
    try:
        return max(0.0, float(text)) if text is not None else default
    except ValueError:
        return default


class TexmlCall:
    """One call whose number belongs to a TeXML application. `run` follows its document to the end."""

    def __init__(self, caller: Caller, *, url: str, post_form: PostForm, options: CarrierOptions, clock: Clock) -> None:
        self._caller = caller
        self._url = url
        self._post_form = post_form
        self._options = options
        self._clock = clock
        self._stream: Stream | None = None

    async def run(self) -> None:
        """Fetch the document, do what it says, and hang up when nothing more is said."""
        call = self._caller.call
        url: str | None = self._url
        for _ in range(REDIRECTS_MAX):
            if url is None or call.state == "ended":
                break
            verbs = await self._fetch(url)
            if verbs is None:
                break
            url = await self._follow(verbs, url)
        else:
            self._caller.add_problem(f"the TeXML redirected more than {REDIRECTS_MAX} times")
        if call.state != "ended":
            self._do("hangup" if call.state == "answered" else "reject", {"cause": "CALL_REJECTED"})

    async def tell(self, webhook: Webhook) -> None:
        """An event of the call: what a stream did goes to its own status callback, the rest to nobody."""
        stream, payload = self._stream, webhook.payload
        if stream is None or stream.status_callback is None or not webhook.event_type.startswith("streaming."):
            return
        fields = self._fields() | {
            "StreamEvent": webhook.event_type.replace("streaming.", "stream-"),
            "StreamName": stream.name or "",
            "StreamSid": (payload.stream_id if isinstance(payload, StreamingStarted | StreamingFailed) else None) or "",
            "Timestamp": webhook.occurred_at or "",
        }
        if isinstance(payload, StreamingFailed):
            fields["StreamError"] = payload.failure_reason or ""
        await self._post_form(urljoin(self._url, stream.status_callback), fields)

    async def _fetch(self, url: str) -> list[Verb] | None:
        leg = self._caller.call.leg
        got = await self._post_form(
            url,
            self._fields() | {"From": leg.from_, "To": leg.to, "CallStatus": "ringing", "Direction": "inbound"},
        )
        status = None if isinstance(got, str) else got[0]
        problem = got if isinstance(got, str) else f"HTTP {got[0]}" if not 200 <= got[0] < 300 else ""
        verbs: list[Verb] | None = None
        if not problem:
            assert not isinstance(got, str), "a text is a problem"
            try:
                verbs = parse_texml(got[1])
            except RemoteProtocolError as error:
                problem = str(error)
        self._caller.documents.append(DocumentSeen(self._clock.now_ms(), url, status, problem))
        if problem:
            self._caller.add_problem(f"the TeXML could not be had: {problem}")
        return verbs

    async def _follow(self, verbs: list[Verb], url: str) -> str | None:
        """Do one verb after the other. The document to go on with, if one was named."""
        caller = self._caller
        for verb in verbs:
            if caller.call.state == "ended":
                return None
            if not isinstance(verb, Redirect | Unknown) and not (isinstance(verb, Act) and verb.name == "reject"):
                await self._answer()
            match verb:
                case Stream():
                    await self._open(verb)
                case Act():
                    self._do(verb.name, verb.body)
                    if verb.waits:
                        await self._until(lambda: not caller.call.plays)
                case Pause():
                    await caller.until(lambda: caller.call.state == "ended", verb.duration_ms)
                case Redirect():
                    return urljoin(url, verb.url)
                case Unknown():
                    caller.skipped_verbs.append(verb.name)
                    caller.add_problem(f"the TeXML verb {verb.name} is not simulated, and was skipped")
        return None

    async def _answer(self) -> None:
        call = self._caller.call
        if call.state == "parked":
            self._do("answer", {})
            await self._until(lambda: call.state != "parked")

    async def _open(self, verb: Stream) -> None:
        self._stream = verb
        call = self._caller.call
        call.reconnects = verb.reconnects
        before = len(call.streams)
        self._do("streaming_start", verb.command)
        if verb.blocks and len(call.streams) > before:
            await self._until(lambda: call.stream is None)

    async def _until(self, ready: Callable[[], bool]) -> None:
        call = self._caller.call
        while not (ready() or call.state == "ended"):
            await self._caller.until(lambda: ready() or call.state == "ended", 60_000)

    def _do(self, name: str, body: Json) -> None:
        """Carry out what a command of that name would; what it would be refused for is a problem."""
        caller, at_ms = self._caller, self._clock.now_ms()
        try:
            effects = caller.call.receive_command(accept_command(name, body), at_ms)
        except Refused as refused:
            caller.commands.append(CommandSeen(at_ms, name, body, refused.status, refused.errors, by_texml=True))
            where: list[Any] = [error.source.pointer for error in refused.errors if error.source]
            caller.add_problem(
                f"the TeXML asks for what Telnyx refuses: {refused} {' '.join(map(str, where))}".rstrip()
            )
            return
        caller.commands.append(CommandSeen(at_ms, name, body, 200, by_texml=True))
        caller.carry_out(effects)

    def _fields(self) -> dict[str, str]:
        """What every TeXML callback carries; that CallSid is the call_control_id is second-hand."""
        call_control_id = self._caller.call.leg.call_control_id
        return {"AccountSid": self._options.user_id, "CallSid": call_control_id, "CallSidLegacy": call_control_id}
