"""One leg: what is legal when, what follows, in literal exchanges on a time that stands still."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from callpath.simulator.call import (
    CarrierCall,
    DialParty,
    Effect,
    Leg,
    OpenStream,
    SendWebhook,
    StopStream,
    stream_request,
)
from callpath.simulator.carrier import CarrierStream
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import Refused, accept_command
from callpath.wire.api import encode_errors
from callpath.wire.command import Answer, Dial, StreamingStart, Transfer
from callpath.wire.document import Json, parse_json, write
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat, encode_media
from callpath.wire.webhook import StreamingFailed, webhook_document
from tests.telnyx import sample, validate

EPOCH_UNIX_MS = 1_767_323_040_076.316  # call.initiated of the samples
URL = "wss://voice.example.com/telnyx/media?call=abc%3A123"
SCHEMAS = {
    "call.initiated": "CallInitiatedEvent",
    "call.answered": "CallAnsweredEvent",
    "call.bridged": "CallBridgedEvent",
    "call.hangup": "CallHangupEvent",
    "call.dtmf.received": "CallDtmfReceivedEvent",
    "call.speak.started": "CallSpeakStartedEvent",
    "call.speak.ended": "CallSpeakEndedEvent",
    "call.playback.started": "CallPlaybackStartedEvent",
    "call.playback.ended": "CallPlaybackEndedEvent",
    "streaming.started": "CallStreamingStartedEvent",
    "streaming.stopped": "CallStreamingStoppedEvent",
    "streaming.failed": "CallStreamingFailedEvent",
}


def leg(**changes: Any) -> Leg:
    """The leg of the samples."""
    fields: dict[str, Any] = {
        "call_control_id": CallControlId("v3:Zf4k3-SampleCallControlId_0000000000000000000000000000w"),
        "call_leg_id": LegId("aaaa0001-c0de-11f0-9001-02420a000001"),
        "call_session_id": SessionId("aaaa0002-c0de-11f0-9002-02420a000002"),
        "connection_id": "2900000000000000001",
        "from_": "+15555550123",
        "to": "+15555550199",
        "direction": "incoming",
    }
    return Leg(**(fields | changes))


class Played:
    """A call, and every effect it had, with each webhook checked against the documented schema."""

    def __init__(self, options: CarrierOptions | None = None, dial: Dial | None = None, **changes: Any) -> None:
        ids = (f"00000000-0000-4000-8000-{number:012x}" for number in itertools.count(1))
        self.call = CarrierCall(
            leg(**changes), options or CarrierOptions(), new_id=lambda: next(ids), epoch_unix_ms=EPOCH_UNIX_MS
        )
        self.effects: list[Effect] = []
        self.add(self.call.begin(0, dial))

    def add(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if isinstance(effect, SendWebhook):
                schema = SCHEMAS[effect.webhook.event_type]
                document = webhook_document(effect.webhook)
                document["data"]["payload"].pop("client_state")  # null on the wire, string in the schema
                assert [] == validate(document, f"openapi-subset.json#/components/schemas/{schema}")
        self.effects += effects
        return effects

    def command(self, name: str, at_ms: float, **body: Any) -> list[Effect]:
        return self.add(self.call.receive_command(accept_command(name, body), at_ms))

    def pass_to(self, at_ms: float) -> list[Effect]:
        return self.add(self.call.effects_due(at_ms))

    def refused(self, name: str, at_ms: float, **body: Any) -> Json:
        with pytest.raises(Refused) as caught:
            self.command(name, at_ms, **body)
        return parse_json(encode_errors(*caught.value.errors), "errors")

    def webhook(self, event_type: str) -> Json:
        return next(webhook_document(one.webhook) for one in self.webhooks() if one.webhook.event_type == event_type)

    def webhooks(self) -> list[SendWebhook]:
        return [effect for effect in self.effects if isinstance(effect, SendWebhook)]

    def names(self) -> list[str]:
        return [effect.webhook.event_type for effect in self.webhooks()]


def answered(options: CarrierOptions | None = None, **changes: Any) -> Played:
    """An incoming call, answered at 40 ms."""
    played = Played(options, **changes)
    played.command("answer", 0)
    played.pass_to(40)
    return played


def streaming(options: CarrierOptions | None = None, **body: Any) -> tuple[Played, CarrierStream]:
    """An answered call whose stream opened at 100 ms."""
    played = answered(options)
    (effect,) = played.command("streaming_start", 100, **({"stream_url": URL} | body))
    assert isinstance(effect, OpenStream)
    effect.stream.texts_to_send(100)
    played.add(played.call.stream_opened(effect.stream, 100))
    return played, effect.stream


# --- the events ------------------------------------------------------------------------------------------------------


def test_an_incoming_call_is_announced_as_observed() -> None:
    """The first webhook is all that a server has to go by; a key too few and it would not answer."""
    document = Played().webhook("call.initiated")
    observed = sample("webhooks/call.initiated.inbound.json")
    del observed["meta"]

    assert observed == document


def test_call_answered_is_as_observed() -> None:
    """`codec` there is what a server decodes by when it left stream_codec out."""
    document = answered().webhook("call.answered")
    observed = sample("webhooks/call.answered.json")

    assert observed["data"]["payload"] == document["data"]["payload"]


def test_client_state_is_repeated_in_every_later_event() -> None:
    """Programs keep their state there; the newest command wins."""
    played = Played()
    played.command("answer", 0, client_state="YQ==")
    played.pass_to(40)
    played.command("speak", 50, payload="x", voice="female", client_state="Yg==")

    assert [None, "YQ==", "Yg=="] == [one.webhook.payload.client_state for one in played.webhooks()]


def test_hangup_carries_the_packets_that_were_heard() -> None:
    """The one witness of whether audio reached the phone."""
    played, stream = streaming(stream_bidirectional_mode="rtp", stream_bidirectional_target_legs="self")
    stream.receive_text(encode_media(bytes(160 * 3)), 101)
    stream.texts_to_send(1040)
    played.add(played.call.party_hangs_up(1040))
    payload = played.webhook("call.hangup")["data"]["payload"]

    assert {"packet_count": "3", "skip_packet_count": "0"} == payload["call_quality_stats"]["outbound"]
    assert "50" == payload["call_quality_stats"]["inbound"]["packet_count"]
    assert ("normal_clearing", "caller", "200") == (
        payload["hangup_cause"],
        payload["hangup_source"],
        payload["sip_hangup_cause"],
    )


def test_send_silence_when_idle_counts_as_packets() -> None:
    """With it the phone gets packets also while the server is quiet, so "0" would be wrong."""
    played = Played()
    played.command("answer", 0, send_silence_when_idle=True)
    played.pass_to(40)
    played.command("hangup", 1040)
    payload = played.webhook("call.hangup")["data"]["payload"]

    assert "50" == payload["call_quality_stats"]["outbound"]["packet_count"]


def test_the_end_comes_in_the_observed_order() -> None:
    """A server must bear call.hangup before the stream's end."""
    played, stream = streaming()
    played.command("speak", 200, payload="a long text that is still being spoken", voice="female")
    effects = played.command("hangup", 300)
    stream.texts_to_send(300)
    played.add(played.call.stream_closed(stream, 305))

    assert isinstance(effects[0], StopStream)
    assert ["call.hangup", "call.speak.ended", "streaming.stopped"] == played.names()[-3:]
    assert "call_hangup" == played.webhook("call.speak.ended")["data"]["payload"]["status"]


@pytest.mark.parametrize(
    ("cause", "expected"), [("CALL_REJECTED", ("call_rejected", "603")), ("USER_BUSY", ("user_busy", "486"))]
)
def test_reject_ends_the_call(cause: str, expected: tuple[str, str]) -> None:
    """A server that screens calls must see its refusal carried out."""
    played = Played()
    played.command("reject", 5, cause=cause)
    payload = played.webhook("call.hangup")["data"]["payload"]

    assert (*expected, "callee") == (payload["hangup_cause"], payload["sip_hangup_cause"], payload["hangup_source"])
    assert "call_quality_stats" not in payload


def test_a_caller_who_gives_up() -> None:
    """The server must not go on answering a call that is gone."""
    played = Played()
    played.add(played.call.party_hangs_up(5))

    assert "originator_cancel" == played.webhook("call.hangup")["data"]["payload"]["hangup_cause"]
    assert played.refused("answer", 6) == sample("api/error-422-90018-call-ended.json")


# --- what is legal when ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("streaming_start", {"stream_url": URL}),
        ("streaming_stop", {}),
        ("speak", {"payload": "x", "voice": "female"}),
        ("playback_start", {"audio_url": "https://example.com/a.mp3"}),
    ],
)
def test_before_the_answer_it_is_too_early(name: str, body: dict[str, Any]) -> None:
    """The classic mistake: streaming_start at once on call.initiated. It must fail here as it does there."""

    assert sample("api/error-422-90034-not-answered.json") == Played().refused(name, 5, **body)


def test_the_answer_command_is_not_yet_the_answer() -> None:
    """Servers that do not wait for call.answered meet 90034 with Telnyx too."""
    played = Played()
    played.command("answer", 0)

    assert sample("api/error-422-90034-not-answered.json") == played.refused("streaming_start", 10, stream_url=URL)


@pytest.mark.parametrize("name", ["answer", "hangup", "streaming_stop"])
def test_after_the_end_every_command_is_refused(name: str) -> None:
    """A normal race; the server must learn to bear it."""
    played = answered()
    played.command("hangup", 100)

    assert sample("api/error-422-90018-call-ended.json") == played.refused(name, 200)


def test_a_second_stream_is_refused() -> None:
    """One stream per call: starting it in answer and again must show."""
    played, _ = streaming()

    assert sample("api/error-422-90045-streaming-in-use.json") == played.refused("streaming_start", 200, stream_url=URL)


def test_streaming_stop_without_a_stream() -> None:
    """And with a foreign stream_id."""
    assert sample("api/error-422-90048-streaming-not-used.json") == answered().refused("streaming_stop", 100)
    played, _ = streaming()

    assert sample("api/error-422-90048-streaming-not-used.json") == played.refused("streaming_stop", 200, stream_id="x")


def test_answer_on_an_outbound_call() -> None:
    """Only incoming calls are answered."""
    errors = Played(direction="outgoing").refused("answer", 5)

    assert "90102" == errors["errors"][0]["code"]


def test_a_repeated_command_id_is_ignored_for_a_minute() -> None:
    """The documented way to retry: the same command twice must not answer, speak or stream twice."""
    played = answered()
    first = played.command("speak", 100, payload="x", voice="female", command_id="c1")

    assert first
    assert [] == played.command("speak", 60_000, payload="x", voice="female", command_id="c1")
    assert played.command("speak", 160_001, payload="x", voice="female", command_id="c1")


def test_a_refused_command_may_be_sent_again_with_its_id() -> None:
    """Telnyx did not carry it out, so a retry after the answer must work."""
    played = Played()
    played.refused("streaming_start", 5, stream_url=URL, command_id="c1")
    played.command("answer", 6)
    played.pass_to(46)

    assert [OpenStream] == [
        type(effect) for effect in played.command("streaming_start", 50, stream_url=URL, command_id="c1")
    ]


# --- streams ---------------------------------------------------------------------------------------------------------


def test_left_out_parameters_are_telnyxs_defaults() -> None:
    """The defaults make a stream one-way; a kinder stand-in would hide it."""
    asked = stream_request(StreamingStart(stream_url=URL), leg(codec="PCMA"), CarrierOptions(), StreamId("s"))

    assert ("mp3", "opposite", "inbound_track", "PCMU", 8000) == (
        asked.mode,
        asked.target_legs,
        asked.track,
        asked.codec,
        asked.sample_rate_hz,
    )
    assert MediaFormat(encoding="PCMA", sample_rate=8000) == asked.media_format


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (StreamingStart(stream_codec="PCMU"), MediaFormat(encoding="PCMU", sample_rate=8000)),
        (StreamingStart(stream_codec="L16"), MediaFormat(encoding="L16", sample_rate=8000)),
        (
            StreamingStart(stream_codec="L16", stream_bidirectional_sampling_rate=16000),
            MediaFormat(encoding="L16", sample_rate=16000),
        ),
        (StreamingStart(stream_codec="G722"), MediaFormat(encoding="G722", sample_rate=8000)),
    ],
)
def test_the_received_format_follows_the_command(command: StreamingStart, expected: MediaFormat) -> None:
    """L16 arrives at the sampling rate's default of 8000 unless the rate is given: observed twice."""

    assert expected == stream_request(command, leg(codec="PCMA"), CarrierOptions(), StreamId("s")).media_format


def test_transcoding_can_be_limited_to_g711() -> None:
    """As TeXML's page says; then the leg's own codec arrives, and start says so."""
    options = CarrierOptions(stream_codec_only_g711=True)
    asked = stream_request(StreamingStart(stream_codec="L16"), leg(codec="PCMA"), options, StreamId("s"))

    assert "PCMA" == asked.media_format.encoding


def test_answer_ignores_what_it_does_not_list() -> None:
    """Answer has no rate and no token: a server that relies on them there must find out here."""
    document = {"stream_url": URL, "stream_bidirectional_sampling_rate": 16000, "stream_auth_token": "t"}
    command = accept_command("answer", document)
    assert isinstance(command, Answer)
    asked = stream_request(command, leg(), CarrierOptions(), StreamId("s"))

    assert (8000, None) == (asked.sample_rate_hz, asked.auth_token)


def test_a_stream_within_answer_opens_when_the_call_is_answered() -> None:
    """The other documented way to start a stream."""
    played = Played()
    assert [] == played.command("answer", 0, stream_url=URL)

    assert [SendWebhook, OpenStream] == [type(effect) for effect in played.pass_to(40)]


def test_a_socket_that_cannot_be_opened_is_reported_as_documented() -> None:
    """The doctor compares stream_params with the URL it meant."""
    played = answered()
    (effect,) = played.command("streaming_start", 100, stream_url=URL, client_state="eyJjYWxsIjoiZGVtby0xIn0=")
    assert isinstance(effect, OpenStream)
    played.add(played.call.stream_failed(effect.stream, "connection_failed", 200))
    payload = played.webhook("streaming.failed")["data"]["payload"]
    expected = sample("webhooks/streaming.failed.json")["data"]["payload"]

    assert expected | {"stream_id": payload["stream_id"], "calling_party_type": "pstn"} == payload
    assert played.command("streaming_start", 300, stream_url=URL)


def test_a_lost_socket_is_reported_as_disconnected() -> None:
    """The default of the two behaviours seen."""
    played, stream = streaming()
    (effect,) = played.add(played.call.stream_lost(stream, 500))

    assert isinstance(effect, SendWebhook)
    assert isinstance(effect.webhook.payload, StreamingFailed)
    assert "disconnected" == effect.webhook.payload.failure_reason


def test_a_lost_socket_can_be_opened_once_more() -> None:
    """Seen when a server closed its socket: it must not greet twice."""
    played, stream = streaming(CarrierOptions(reconnect=True))
    (again,) = played.add(played.call.stream_lost(stream, 500))
    assert isinstance(again, OpenStream)

    assert stream.request.url == again.stream.request.url
    assert stream.request.stream_id != again.stream.request.stream_id
    again.stream.texts_to_send(510)
    assert [SendWebhook] == [type(effect) for effect in played.add(played.call.stream_lost(again.stream, 900))]


def test_streaming_stop_ends_only_the_stream() -> None:
    """And a new one may follow."""
    played, stream = streaming()
    assert [StopStream] == [type(effect) for effect in played.command("streaming_stop", 200)]
    stream.texts_to_send(200)
    played.add(played.call.stream_closed(stream, 201))

    assert "answered" == played.call.state
    assert played.command("streaming_start", 300, stream_url=URL)


def test_a_key_press_is_an_event_and_a_frame() -> None:
    """Programs read either; both must come."""
    played, stream = streaming()
    played.add(played.call.press("5", 200))
    payload = played.webhook("call.dtmf.received")["data"]["payload"]

    assert "5" == payload["digit"]
    assert any('"dtmf"' in text for text in stream.texts_to_send(200))


# --- sounds, dial, transfer, state -----------------------------------------------------------------------------------


def test_speaks_queue_and_end() -> None:
    """A program that waits for call.speak.ended before it listens must get it, in order."""
    played = answered()
    played.command("speak", 100, payload="x" * 10, voice="female")
    played.command("speak", 100, payload="y" * 10, voice="female")
    assert ["call.speak.started"] == played.names()[2:]
    assert 750.0 == played.call.next_at_ms()
    played.pass_to(1400)

    assert ["call.speak.started", "call.speak.ended", "call.speak.started", "call.speak.ended"] == played.names()[2:]


def test_playback_starts_and_ends() -> None:
    """As documented, with the URL in both events; without a network as long as the options say."""
    played = answered(CarrierOptions(fetch_audio=False))
    played.command("playback_start", 100, audio_url="https://voice.example.com/hi.mp3")
    played.pass_to(2100)
    payload = played.webhook("call.playback.ended")["data"]["payload"]

    assert ("completed", "https://voice.example.com/hi.mp3") == (payload["status"], payload["media_url"])


DIAL = Dial(connection_id="2900000000000000001", to="+15555550199", from_="+15555550123", timeout_secs=10)


def test_a_dialled_party_answers() -> None:
    """Outbound: initiated with state bridging, then answered, then the stream of the dial."""
    played = Played(dial=replace(DIAL, stream_url=URL), direction="outgoing")
    payload = played.webhook("call.initiated")["data"]["payload"]
    effects = played.add(played.call.party_answers(500))

    assert ("outgoing", "bridging") == (payload["direction"], payload["state"])
    assert [SendWebhook, OpenStream] == [type(effect) for effect in effects]


def test_a_dialled_party_that_never_answers() -> None:
    """The ring time-out of the dial ends it."""
    played = Played(dial=DIAL, direction="outgoing")
    played.pass_to(10_000)

    assert "timeout" == played.webhook("call.hangup")["data"]["payload"]["hangup_cause"]


def test_a_dialled_party_that_declines() -> None:
    """As the documented sample."""
    played = Played(dial=DIAL, direction="outgoing")
    played.add(played.call.party_rejects(100, "call_rejected"))
    payload = played.webhook("call.hangup")["data"]["payload"]

    assert ("call_rejected", "callee", "603") == (
        payload["hangup_cause"],
        payload["hangup_source"],
        payload["sip_hangup_cause"],
    )


def test_the_stream_can_come_before_the_call() -> None:
    """`stream_establish_before_call_originate`; it must not open a second time at the answer."""
    dial = replace(DIAL, stream_url=URL, stream_establish_before_call_originate=True)
    played = Played(dial=dial, direction="outgoing")

    assert [SendWebhook, OpenStream] == [type(effect) for effect in played.effects]
    assert [SendWebhook] == [type(effect) for effect in played.add(played.call.party_answers(500))]


def test_a_transfer_dials_its_target() -> None:
    """The other leg is the simulator's to make."""
    (effect,) = answered().command("transfer", 100, to="+15555550177")

    assert effect == DialParty(Transfer(to="+15555550177"))


def test_the_calls_own_webhook_addresses_win() -> None:
    """`webhook_urls` for one kind, else the call's webhook_url, else the application's."""
    played = Played()
    own = {"call.hangup": "https://example.com/hangups"}
    played.command("answer", 0, webhook_url="https://example.com/mine", webhook_urls=own)
    played.pass_to(40)
    played.command("hangup", 100)

    assert [None, "https://example.com/mine", "https://example.com/hangups"] == [one.url for one in played.webhooks()]


def test_status_is_as_documented_and_kept_for_ten_minutes() -> None:
    """A doctor asks for a call that is over."""
    played = answered()
    played.command("hangup", 30_740)
    status = write(played.call.status(40_000))

    assert sample("api/call-status.response.200.json")["data"].keys() - {"client_state"} == status.keys()
    assert (30, False) == (status["call_duration"], status["is_alive"])
    assert not played.call.is_forgotten(30_740 + 600_000)
    assert played.call.is_forgotten(30_740 + 600_001)
