"""One leg: what is legal when, what follows, in literal exchanges on a time that stands still."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from callpath.audio.codec import Pcm
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.simulator.call import (
    CarrierCall,
    DialParty,
    Effect,
    Elsewhere,
    FetchSound,
    JoinConference,
    JoinLegs,
    Leg,
    OpenStream,
    PartySpeaks,
    SaveRecording,
    SendWebhook,
    StopStream,
    stream_request,
)
from callpath.simulator.callee import Answering, Speech, parse_callee
from callpath.simulator.carrier import CarrierStream
from callpath.simulator.link import Link
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import Refused, accept_command
from callpath.wire.api import encode_errors
from callpath.wire.command import Answer, Bridge, Dial, Hangup, Parameter, StreamingStart, Transfer
from callpath.wire.document import Json, parse_json, write
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat, encode_media
from callpath.wire.webhook import StreamingFailed, webhook_document
from tests import sdk
from tests.telnyx import event_schemas, sample, validate

EPOCH_UNIX_MS = 1_767_323_040_076.316  # call.initiated of the samples
URL = "wss://voice.example.com/telnyx/media?call=abc%3A123"
NO_SAMPLE = {"call.fork.started": "CallForkStartedEvent", "call.fork.stopped": "CallForkStoppedEvent"}


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


def short_speech(speech: Speech, _: int | None) -> Pcm:
    """Whatever a callee says takes 600 ms."""
    return tone(500, duration_ms=600)


class Played:
    """A call, and every effect it had, with each webhook checked against the documented schema."""

    def __init__(
        self,
        options: CarrierOptions | None = None,
        dial: Dial | Transfer | None = None,
        callee: str | None = None,
        **changes: Any,
    ) -> None:
        ids = (f"00000000-0000-4000-8000-{number:012x}" for number in itertools.count(1))
        self.call = CarrierCall(
            leg(**changes),
            options or CarrierOptions(),
            new_id=lambda: next(ids),
            epoch_unix_ms=EPOCH_UNIX_MS,
            answering=None if callee is None else Answering(parse_callee(callee), short_speech, ring_ms=200),
        )
        self.effects: list[Effect] = []
        self.add(self.call.begin(0, dial))

    def add(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if isinstance(effect, SendWebhook):
                name = effect.webhook.event_type
                known = NO_SAMPLE.get(name)
                schema = f"openapi-subset.json#/components/schemas/{known}" if known else event_schemas()[name]
                document = webhook_document(effect.webhook)
                document["data"]["payload"].pop("client_state")  # null on the wire, string in the schema
                assert [] == validate(document, schema)
                assert [] == sdk.problems(webhook_document(effect.webhook))
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


def both_legs(first: Played, second: Played, effects: list[Effect]) -> None:
    """Carry out what follows on either leg."""
    for effect in effects:
        if isinstance(effect, Elsewhere):
            there, here = (second, first) if effect.call is second.call else (first, second)
            both_legs(there, here, effect.effects)
        else:
            first.add([effect])


def two_deep(effects: list[Effect], call: CarrierCall) -> list[Effect]:
    """What of these effects is about `call`."""
    inner = [one for effect in effects if isinstance(effect, Elsewhere) for one in effect.effects]
    return [
        effect
        for one in (*effects, *inner)
        if isinstance(one, Elsewhere) and one.call is call
        for effect in one.effects
    ]


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
        ("playback_stop", {}),
        ("gather", {}),
        ("gather_using_audio", {"media_name": "x"}),
        ("gather_using_speak", {"payload": "x", "voice": "female"}),
        ("gather_stop", {}),
        ("send_dtmf", {"digits": "1"}),
        ("record_stop", {}),
        ("transcription_start", {}),
        ("fork_start", {"target": "udp:192.0.2.1:9000"}),
        ("fork_stop", {}),
        ("bridge", {"call_control_id": "v3:other"}),
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
    """The defaults make a stream one-way; a kinder simulator would hide it."""
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


# --- the other commands ----------------------------------------------------------------------------------------------


def codes(document: Json) -> list[str]:
    return [error["code"] for error in document["errors"]]


@pytest.mark.parametrize(
    ("first", "name", "body", "code"),
    [
        (None, "fork_stop", {}, "90031"),
        (("transcription_start", {}), "transcription_start", {}, "90054"),
        (("fork_start", {"target": "udp:192.0.2.1:9"}), "streaming_start", {"stream_url": URL}, "90045"),
        (("fork_start", {"target": "udp:192.0.2.1:9"}), "fork_start", {"target": "udp:192.0.2.1:9"}, "90045"),
        (None, "playback_start", {"audio_url": "https://example.com/a.wav", "overlay": True}, "90033"),
    ],
)
def test_what_is_illegal_on_an_answered_call(
    first: tuple[str, dict[str, Any]] | None, name: str, body: dict[str, Any], code: str
) -> None:
    """Each code is Telnyx's own for exactly this."""
    played = answered()
    if first is not None:
        played.command(first[0], 50, **first[1])

    assert [code] == codes(played.refused(name, 60, **body))


def test_a_recording_needs_audio() -> None:
    """90020 and not 90034: the one command that has its own word for it."""
    assert ["90020"] == codes(Played().refused("record_start", 5, format="wav", channels="dual"))


def test_client_state_update_changes_only_what_is_repeated() -> None:
    """No webhook of its own."""
    played = Played()

    assert [] == played.command("client_state_update", 5, client_state="Yg==")
    played.command("hangup", 10)
    assert "Yg==" == played.webhooks()[-1].webhook.payload.client_state


def test_a_file_is_fetched_and_then_heard() -> None:
    """The end comes when the file has been played, and the ear has it."""
    played = answered()
    (fetch,) = played.command("playback_start", 100, audio_url="https://voice.example.com/hi.wav", loop=2)
    assert isinstance(fetch, FetchSound)
    played.add(played.call.sound_fetched(fetch.sound, tone(440, duration_ms=300), 250))
    played.pass_to(850)
    ((at_ms, audio),) = played.call.heard_beside(900)

    assert ["call.playback.started", "call.playback.ended"] == played.names()[2:]
    assert (250, 600 * 8) == (at_ms, audio.size)
    assert abs(dominant_frequency_hz(audio[:2400], 8000) - 440) < 2


def test_a_file_that_is_not_there() -> None:
    """The documented status, and why."""
    played = answered()
    (fetch,) = played.command("playback_start", 100, audio_url="https://voice.example.com/gone.wav")
    assert isinstance(fetch, FetchSound)
    played.add(played.call.sound_fetched(fetch.sound, ("file_not_found", "HTTP 404"), 150))
    payload = played.webhook("call.playback.ended")["data"]["payload"]

    assert ["call.playback.ended"] == played.names()[2:]
    assert ("file_not_found", "HTTP 404") == (payload["status"], payload["status_detail"])


def test_content_that_is_no_audio_fails() -> None:
    """`playback_content` of something else."""
    played = answered()
    played.command("playback_start", 100, playback_content="aGVsbG8=")

    assert "failed" == played.webhook("call.playback.ended")["data"]["payload"]["status"]


def test_stop_within_a_command_and_by_itself() -> None:
    """`stop` of a speak goes before it; playback_stop ends speaks too, with the one status they have for it."""
    played = answered()
    played.command("speak", 100, payload="a long text", voice="female")
    played.command("speak", 150, payload="shorter", voice="female", stop="current")
    played.command("playback_stop", 200)

    assert ["call.speak.started", "call.speak.ended"] * 2 == played.names()[2:]
    assert "completed" == played.webhook("call.speak.ended")["data"]["payload"]["status"]


def test_send_dtmf_is_heard_and_says_nothing() -> None:
    """No webhook is documented; the phone hears tones."""
    played = answered()

    assert [] == played.command("send_dtmf", 100, digits="1w5", duration_millis=100)
    ((at_ms, audio),) = played.call.heard_beside(5000)
    assert (100, (100 + 100 + 500 + 100 + 100) * 8) == (at_ms, audio.size)
    assert "1w5" == played.call.digits_sent


def test_a_gather_collects_keys() -> None:
    """Each key is an event; the last one brings the whole."""
    played = answered()
    played.command("gather", 100, maximum_digits=2, gather_id="menu")
    played.add(played.call.press("4", 200))
    played.add(played.call.press("2", 300))
    payload = played.webhook("call.gather.ended")["data"]["payload"]

    assert ["call.dtmf.received", "call.dtmf.received", "call.gather.ended"] == played.names()[2:]
    assert ("42", "valid", "menu") == (payload["digits"], payload["status"], payload["gather_id"])
    assert [] == played.pass_to(100_000)


def test_a_gather_that_gets_nothing() -> None:
    """Five seconds for the first key."""
    played = answered()
    played.command("gather", 100)
    assert [] == played.pass_to(5_099)
    played.pass_to(5_100)

    assert "timeout" == played.webhook("call.gather.ended")["data"]["payload"]["status"]


@pytest.mark.parametrize(("name", "status"), [("gather_stop", "cancelled"), ("hangup", "call_hangup")])
def test_how_others_end_a_gather(name: str, status: str) -> None:
    """A menu that is left."""
    played = answered()
    played.command("gather", 100)
    played.add(played.call.press("4", 150))
    played.command(name, 200)
    payload = played.webhook("call.gather.ended")["data"]["payload"]

    assert ("4", status) == (payload["digits"], payload["status"])


def test_a_spoken_gather_prompts_three_times() -> None:
    """Its voice is not announced by speak events, as documented; the time for keys begins after the prompt."""
    played = answered(CarrierOptions(speak_ms_per_char=10))
    played.command("gather_using_speak", 100, payload="0123456789", voice="female", timeout_millis=1000)
    played.pass_to(1_199)
    assert 1 == len(played.call.heard_beside(1_199))
    for at_ms in range(1_200, 4_000, 100):
        played.pass_to(at_ms)

    assert ["call.gather.ended"] == played.names()[2:]
    assert 3 == len(played.call.heard_beside(4_000))
    assert "timeout" == played.webhook("call.gather.ended")["data"]["payload"]["status"]


def test_a_key_interrupts_the_prompt() -> None:
    """And counts. After a wrong entry the other prompt comes."""
    played = answered()
    prompts = {"audio_url": "https://example.com/menu.wav", "invalid_audio_url": "https://example.com/no.wav"}
    (fetch,) = played.command("gather_using_audio", 100, **prompts, valid_digits="12", maximum_digits=1)
    assert isinstance(fetch, FetchSound)
    played.add(played.call.sound_fetched(fetch.sound, tone(440, duration_ms=9_000), 200))
    effects = played.add(played.call.press("9", 500))
    assert isinstance(effects[-1], FetchSound)

    assert ["call.playback.started", "call.dtmf.received", "call.playback.ended"] == played.names()[2:]
    assert "cancelled" == played.webhook("call.playback.ended")["data"]["payload"]["status"]
    assert "https://example.com/no.wav" == effects[-1].sound.command.audio_url  # type: ignore[union-attr]  # a playback
    played.add(played.call.press("1", 600))
    assert "valid" == played.webhook("call.gather.ended")["data"]["payload"]["status"]


def test_a_recording_is_saved_when_it_stops() -> None:
    """The address and the two times stand in the event."""
    played = answered()
    assert [] == played.command("record_start", 100, format="wav", channels="dual", play_beep=True)
    played.command("record_pause", 200)
    played.command("record_resume", 300)
    (save,) = played.command("record_stop", 400)
    assert isinstance(save, SaveRecording)
    played.add(played.call.recording_saved(save.recording, "http://127.0.0.1:1/recordings/r.wav", 450))
    payload = played.webhook("call.recording.saved")["data"]["payload"]

    assert [(100, 200), (300, 400)] == save.recording.spans()
    assert {"wav": "http://127.0.0.1:1/recordings/r.wav"} == payload["recording_urls"]
    assert ("dual", "2026-01-02T03:04:00.176316Z") == (payload["channels"], payload["recording_started_at"])
    assert 1 == len(played.call.heard_beside(500))


def test_a_recording_that_could_not_be_made() -> None:
    """The documented event for it."""
    played = answered()
    played.command("record_start", 100, format="mp3", channels="single", max_length=1)
    (save,) = played.pass_to(1_100)
    assert isinstance(save, SaveRecording)
    played.add(played.call.recording_saved(save.recording, None, 1_200))

    assert "Internal server error" == played.webhook("call.recording.error")["data"]["payload"]["reason"]


def test_record_from_answer() -> None:
    """It begins with the answer and ends with the call, mp3 and dual unless said otherwise."""
    played = Played()
    played.command("answer", 0, record="record-from-answer")
    assert played.call.recording_id is not None
    played.pass_to(40)
    effects = played.command("hangup", 1040)
    assert isinstance(effects[-1], SaveRecording)

    assert ("mp3", "dual") == (effects[-1].recording.command.format, effects[-1].recording.command.channels)
    assert [(40, 1040)] == effects[-1].recording.spans()


def test_a_transcription_of_one_track() -> None:
    """Inbound is the default; before and after it nothing is written down."""
    played = answered()
    assert [] == played.call.transcript("too early", 50)
    played.command("transcription_start", 100)
    assert [] == played.call.transcript("the bot", 150, track="outbound")
    played.add(played.call.transcript("hello", 200))
    played.command("transcription_stop", 300)
    assert [] == played.call.transcript("too late", 350)

    assert "hello" == played.webhook("call.transcription")["data"]["payload"]["transcription_data"]["transcript"]


@pytest.mark.parametrize("rule", ["replaces", "refused"])
def test_a_fork_on_a_streaming_call(rule: Any) -> None:
    """The guide and the error list say different things, so it is an option."""
    played, stream = streaming(CarrierOptions(fork_on_stream=rule))
    if rule == "refused":
        assert ["90045"] == codes(played.refused("fork_start", 200, rx="udp:192.0.2.1:9", tx="udp:192.0.2.1:8"))
        return
    effects = played.command("fork_start", 200, rx="udp:192.0.2.1:9", tx="udp:192.0.2.1:8")
    assert [StopStream, SendWebhook] == [type(effect) for effect in effects]
    assert stream.stopped
    played.command("fork_stop", 300)

    assert ["call.fork.started", "call.fork.stopped"] == played.names()[-2:]


def test_bridged_legs_hear_each_other() -> None:
    """What is sent to "opposite" reaches the other phone, and so does this one's voice."""
    played, stream = streaming(stream_bidirectional_mode="rtp", stream_bidirectional_target_legs="opposite")
    other = answered(call_control_id=CallControlId("v3:other"))
    assert [JoinLegs(Bridge(call_control_id="v3:other"))] == played.command("bridge", 110, call_control_id="v3:other")
    both_legs(played, other, played.call.join(other.call, 120))
    stream.receive_text(encode_media(b"\x00" * 160), 121)
    played.call.voice.say(150, tone(440, duration_ms=20))
    other.call.voice.say(100, tone(880, duration_ms=40))
    stream.texts_to_send(200)
    played.command("speak", 210, payload="xy", voice="female", target_legs="both")
    played.pass_to(400)

    assert ["call.bridged"] == played.names()[-3:-2] == other.names()[-1:]
    assert 3 == len(other.call.heard_beside(400))  # the server's 20 ms, the voice, the speak
    assert [(210, 1040), (120, 160)] == [(at_ms, pcm.size) for at_ms, pcm in played.call.heard_beside(400)]
    assert 0 == stream.counters.packets_played


@pytest.mark.parametrize(("stays", "names"), [("park", []), ("hold", ["call.hold"]), ("hang_up", ["call.hangup"])])
def test_a_leg_that_is_left_alone_goes_by_its_own_setting(stays: Any, names: list[str]) -> None:
    """A caller whose agent hung up must not be lost where the program said so, and not stay for ever where it did not."""
    played, other = answered(), answered(call_control_id=CallControlId("v3:other"))
    played.call.after_unbridge = stays
    both_legs(played, other, played.call.join(other.call, 100))
    before = len(played.names())
    both_legs(other, played, other.call.party_hangs_up(200))

    assert names == played.names()[before:]
    assert (None, None) == (played.call.opposite, other.call.opposite)
    assert ("ended" if stays == "hang_up" else "answered") == played.call.state


def test_a_second_bridge_takes_the_leg_out_of_its_first() -> None:
    """Telnyx bridges what it is told to; the partner of before goes by its own setting."""
    one, two, three = (answered(call_control_id=CallControlId(f"v3:{number}")) for number in range(3))
    both_legs(one, two, one.call.join(two.call, 100))
    effects = three.call.join(two.call, 200)
    for effect in effects:
        assert isinstance(effect, SendWebhook | Elsewhere)
    one.add(two_deep(effects, one.call))

    assert ("ended", "answered", "answered") == (one.call.state, two.call.state, three.call.state)
    assert three.call.opposite is two.call


def test_what_telnyx_plays_is_on_the_outbound_track() -> None:
    """A program that streams both tracks hears its own speaks there."""
    played, stream = streaming(stream_track="both_tracks")
    stream.texts_to_send(200)
    played.command("speak", 201, payload="x" * 10, voice="female")
    texts = [text for at_ms in range(300, 2_000, 100) for text in stream.texts_to_send(at_ms)]
    outbound = sum('"track":"outbound"' in text for text in texts)

    assert 650 / 20 == pytest.approx(outbound, abs=1)


@pytest.mark.parametrize(("mode", "result"), [("detect", "human"), ("premium", "human_residence")])
def test_answering_machine_detection_has_a_result(mode: Any, result: str) -> None:
    """A program that waits for it before it speaks must not wait for ever."""
    played = Played(dial=replace(DIAL, answering_machine_detection=mode), direction="outgoing")
    played.add(played.call.party_answers(500))
    played.pass_to(800)

    assert result == write(played.webhooks()[-1].webhook.payload)["result"]


def test_the_first_command_may_have_a_time_limit() -> None:
    """The application's setting, off by default: then the phone rings until the caller gives up."""
    options = CarrierOptions(first_command_timeout=True, first_command_timeout_secs=2)
    silent, active = Played(options), Played(options)
    active.command("client_state_update", 100, client_state="Yg==")
    silent.pass_to(2_000)
    active.pass_to(2_000)

    assert ("ended", "parked") == (silent.call.state, active.call.state)
    assert Played().pass_to(100_000) == []


def test_a_calls_own_policy_for_retries() -> None:
    """As the answer command set it, for that kind of event only."""
    played = Played()
    played.command("answer", 0, webhook_retries_policies={"call.hangup": {"retries_ms": [1, 2]}})
    played.pass_to(40)
    played.command("hangup", 100)

    assert [None, None, (1, 2)] == [one.retries_ms for one in played.webhooks()]


# --- ends before the answer, and where streaming.started stands ---


def dial_of(**changes: Any) -> Dial:
    """As the API reads it."""
    body = {"connection_id": "2900000000000000001", "to": "+15555550199", "from": "+15555550123"}
    command = accept_command("dial", body | changes)
    assert isinstance(command, Dial)
    return command


def ended(played: Played) -> tuple[str, str, str]:
    payload = played.webhook("call.hangup")["data"]["payload"]
    return payload["hangup_cause"], payload["hangup_source"], payload["sip_hangup_cause"]


def test_hanging_up_a_call_that_was_not_answered_refuses_it() -> None:
    """A 200 to an INVITE cannot come before the answer; code that reads normal_clearing takes it for a conversation."""
    played = Played()
    played.command("hangup", 10)

    assert ("call_rejected", "callee", "603") == ended(played)
    assert "program" == played.call.ended_by


def test_hanging_up_a_dial_that_still_rings_cancels_it() -> None:
    """As Telnyx tells it: originator_cancel, 487."""
    played = Played(dial=dial_of(), direction="outgoing")
    played.command("hangup", 10)

    assert ("originator_cancel", "caller", "487") == ended(played)


def test_a_dialled_party_that_hangs_up_while_it_rings_declines() -> None:
    """Nobody can hang up a phone that was never picked up."""
    played = Played(dial=dial_of(), direction="outgoing")
    played.add(played.call.party_hangs_up(10))

    assert ("call_rejected", "callee", "603") == ended(played)
    assert "party" == played.call.ended_by


@pytest.mark.parametrize(("retry", "cause"), [(None, "timeout"), (True, "timeout"), (False, "no_answer")])
def test_a_dial_that_nobody_picks_up_ends_by_its_setting(retry: bool | None, cause: str) -> None:
    """retry_on_timeout decides which cause a dialler sees."""
    played = Played(dial=dial_of(timeout_secs=5, retry_on_timeout=retry), direction="outgoing")
    played.pass_to(5_000)

    assert cause == ended(played)[0]


@pytest.mark.parametrize("before", [False, True])
def test_streaming_started_comes_before_the_socket_or_after_it(before: bool) -> None:
    """Both orders are documented: a program that needs one of them breaks with the other."""
    played = Played(CarrierOptions(started_before_socket=before))
    played.command("answer", 0)
    played.pass_to(40)
    played.command("streaming_start", 100, stream_url="wss://example.com/media")
    names = [one.webhook.event_type for one in played.webhooks()]
    stream = played.call.stream
    assert stream is not None
    played.add(played.call.stream_opened(stream, 120))

    assert before == ("streaming.started" in names)
    assert 1 == [one.webhook.event_type for one in played.webhooks()].count("streaming.started")


def test_a_stream_can_be_announced_and_never_come() -> None:
    """The case that callpath is made for: accepted, announced, and then nothing at all."""
    options = Link(["announced_never_connects"]).change(CarrierOptions())
    played = Played(options)
    played.command("answer", 0)
    played.pass_to(40)
    played.command("streaming_start", 100, stream_url="wss://example.com/media")
    stream = played.call.stream
    assert stream is not None
    played.add(played.call.stream_failed(stream, "connection_failed", 5_100))
    names = [one.webhook.event_type for one in played.webhooks()]

    assert ["streaming.started"] == [name for name in names if name.startswith("streaming")]
    assert Link(["announced_never_connects"]).stream_url("wss://example.com/media") is None


@pytest.mark.parametrize(
    ("cause", "sip"),
    [("USER_BUSY", "486"), ("CALL_REJECTED", "603"), ("NOT_FOUND", "404"), ("TEMPORARILY_UNAVAILABLE", "480")],
)
def test_reject_answers_the_caller_with_the_status_of_its_cause(cause: str, sip: str) -> None:
    """The caller's network plays another announcement for each."""
    played = Played()
    played.command("reject", 10, cause=cause)

    assert ("callee", sip) == ended(played)[1:]


# --- dialled parties by script ---


def dialled(callee: str, **body: Any) -> Played:
    """An outbound leg to a party that does this."""
    return Played(dial=replace(DIAL, **body), callee=callee, direction="outgoing")


@pytest.mark.parametrize(
    ("callee", "expected"),
    [
        ("busy", ("user_busy", "unknown", "486")),
        ("declines", ("call_rejected", "callee", "603")),
        ("not-found", ("not_found", "unknown", "404")),
        ("unreachable", ("no_answer", "unknown", "480")),
        ("no-answer", ("timeout", "unknown", "487")),
    ],
)
def test_a_callee_who_is_not_reached_ends_the_leg_with_its_cause(callee: str, expected: tuple[str, str, str]) -> None:
    """The outcome of a dial is read from these three; there is no other event."""
    played = dialled(callee, timeout_secs=5)
    played.pass_to(199)
    assert ["call.initiated"] == played.names()
    played.pass_to(5_000)

    assert ["call.initiated", "call.hangup"] == played.names()
    assert expected == ended(played)


def test_a_voicemail_is_detected_at_its_beep_and_records_from_then_on() -> None:
    """Answer 200 ms, greeting until 800, beep from 1100 to 1500: a message belongs after it."""
    played = dialled("voicemail", answering_machine_detection="premium")
    said = [effect for effect in played.pass_to(5_000) if isinstance(effect, PartySpeaks)]
    amd = "call.machine.premium"

    assert [
        "call.initiated",
        "call.answered",
        f"{amd}.detection.started",
        f"{amd}.detection.ended",
        f"{amd}.greeting.ended",
    ] == played.names()
    assert "2026-01-02T03:04:01.176316Z" == played.webhook(f"{amd}.greeting.ended")["data"]["occurred_at"]
    assert [600, 400] == [effect.audio.size / 8 for effect in said]
    assert 1_500 == played.call.message_from_ms


def test_a_hangup_ends_detection() -> None:
    """A verdict about a call that is over would be taken for the next one's."""
    played = dialled("voicemail,hangs-up-after=50ms", answering_machine_detection="detect_beep")
    played.pass_to(60_000)

    assert ["call.initiated", "call.answered", "call.hangup"] == played.names()


def test_keys_reach_the_menu_at_the_far_end_each_at_its_time() -> None:
    """send_dtmf with a pause: the menu hears 1, and 2 after half a second, and answers to both."""
    played = dialled("menu=12")
    played.pass_to(200)
    played.command("send_dtmf", 1_000, digits="1w2")
    said = [effect for effect in played.pass_to(10_000) if isinstance(effect, PartySpeaks)]

    assert [(1_250, "1"), (2_100, "2")] == played.call.keys_heard
    assert 1 == len(said)


def test_a_bridged_partys_keys_reach_the_menu_too() -> None:
    """A caller who was transferred to a menu types its digits himself."""
    caller, menu = answered(), dialled("menu=1")
    menu.pass_to(200)
    both_legs(caller, menu, caller.call.join(menu.call, 300))
    both_legs(caller, menu, caller.call.press("1", 400))

    assert [(400, "1")] == menu.call.keys_heard
    assert "call.dtmf.received" == caller.names()[-1]
    assert "call.dtmf.received" not in menu.names()


# --- transfer ---


def transferred(callee: str, *, early_media: bool = True, **body: Any) -> tuple[Played, Played]:
    """An answered caller, and the target that is being dialled for it at 1000 ms."""
    caller = answered()
    command = Transfer(to="+15555550147", **body)
    target = Played(dial=command, callee=callee, direction="outgoing", call_control_id=CallControlId("v3:target"))
    target.call.join_when_answered(caller.call, 0, early_media=early_media)
    return caller, target


def test_a_transfer_that_is_answered_bridges_the_target_first() -> None:
    """In the documented order; from then on each hears the other, and the ringing is over."""
    caller, target = transferred("answers")
    both_legs(target, caller, target.call.effects_due(200))
    target.call.voice.say(300, tone(440, duration_ms=100))

    assert ["call.initiated", "call.answered", "call.bridged"] == target.names()
    assert ["call.initiated", "call.answered", "call.bridged"] == caller.names()
    assert [(0, 1_600), (300, 800)] == [(at_ms, pcm.size) for at_ms, pcm in caller.call.heard_beside(1_000)]


def test_the_ringing_is_heard_only_with_early_media() -> None:
    """A caller who waits hears the network's ringback, or nothing where the program said so."""
    for early_media, heard_ms in ((True, 100), (False, 0)):
        caller, _ = transferred("no-answer", early_media=early_media)
        pieces = caller.call.heard_beside(100)

        assert heard_ms == sum(pcm.size for _, pcm in pieces) / 8


@pytest.mark.parametrize("callee", ["busy", "declines", "not-found", "no-answer"])
def test_a_transfer_that_fails_leaves_the_caller_as_it_was(callee: str) -> None:
    """Only the target's leg ends; the caller can be spoken to, or sent on to the next number."""
    caller, target = transferred(callee, timeout_secs=5)
    both_legs(target, caller, target.call.effects_due(5_000))

    assert ["call.initiated", "call.hangup"] == target.names()
    assert ("answered", None) == (caller.call.state, caller.call.opposite)
    assert "call.speak.started" in [
        one.webhook.event_type
        for one in caller.command("speak", 6_000, payload="x", voice="female")
        if isinstance(one, SendWebhook)
    ]


def test_a_caller_who_hangs_up_cancels_the_ringing_target() -> None:
    """A phone that rings for nobody would be billed, and answered by somebody."""
    caller, target = transferred("answers")
    both_legs(caller, target, caller.call.party_hangs_up(100))
    target.pass_to(10_000)

    assert ["call.initiated", "call.hangup"] == target.names()
    assert ("originator_cancel", "caller", "487") == ended(target)


def test_a_target_is_told_something_before_it_is_bridged() -> None:
    """`audio_url` is for the target alone: the caller waits until it has ended."""
    caller, target = transferred("answers", audio_url="https://voice.example.com/a.wav")
    both_legs(target, caller, target.call.effects_due(200))
    (fetch,) = [effect for effect in target.effects if isinstance(effect, FetchSound)]
    both_legs(target, caller, target.call.sound_fetched(fetch.sound, tone(440, duration_ms=500), 300))
    assert "call.bridged" not in target.names()
    both_legs(target, caller, target.call.effects_due(800))

    assert "call.bridged" in target.names()
    assert "call.playback.started" not in target.names()


def test_when_one_side_of_a_transfer_hangs_up_the_other_goes_too_unless_it_parks() -> None:
    """park_after_unbridge keeps the caller for a survey, or for the next agent."""
    for parks in (False, True):
        caller, target = transferred("answers")
        both_legs(target, caller, target.call.effects_due(200))
        caller.call.after_unbridge = "park" if parks else "hang_up"
        both_legs(target, caller, target.call.party_hangs_up(1_000))

        assert "call.hangup" == target.names()[-1]
        assert ("answered" if parks else "ended") == caller.call.state


# --- supervisors ---


@pytest.mark.parametrize(
    ("role", "heard_by"), [("barge", ["agent", "caller"]), ("whisper", ["agent"]), ("monitor", [])]
)
def test_a_supervisor_is_heard_as_its_role_says(role: Any, heard_by: list[str]) -> None:
    """A coach who is heard by the customer would be a scandal; a monitor hears both and is heard by none."""
    caller, agent, coach = (answered(call_control_id=CallControlId(f"v3:{number}")) for number in range(3))
    both_legs(caller, agent, caller.call.join(agent.call, 100))
    coach.call.supervise(agent.call, role, 200)
    for number, leg_ in enumerate((caller, agent, coach)):
        leg_.call.voice.say(300, tone(500, duration_ms=10 * (number + 1)))

    def hears(one: Played) -> set[int]:
        return {round(pcm.size / 80) - 1 for _, pcm in one.call.heard_beside(1_000)}

    assert {0, 1} == hears(coach)
    assert heard_by == [name for name, one in (("agent", agent), ("caller", caller)) if 2 in hears(one)]
    both_legs(coach, agent, coach.call.party_hangs_up(2_000))
    caller.call.voice.say(3_000, tone(500, duration_ms=100))
    assert "answered" == caller.call.state
    assert 100 == agent.call.heard_beside(4_000)[-1][1].size / 8


def test_a_supervisors_leg_takes_no_commands() -> None:
    """Observed, and that a switched role leaves it silent."""
    agent, coach = answered(), answered(call_control_id=CallControlId("v3:2"))
    coach.call.supervise(agent.call, "barge", 200)
    coach.call.voice.say(300, tone(500, duration_ms=100))
    coach.command("switch_supervisor_role", 400, role="whisper")
    coach.call.voice.say(500, tone(500, duration_ms=100))

    assert "90033" == coach.refused("speak", 600, payload="x", voice="female")["errors"][0]["code"]
    assert "90033" == agent.refused("switch_supervisor_role", 600, role="barge")["errors"][0]["code"]
    assert [(300, 800)] == [(at_ms, pcm.size) for at_ms, pcm in agent.call.heard_beside(1_000)]
    assert "call.hangup" == coach.command("hangup", 700)[0].webhook.event_type  # type: ignore[union-attr]


@pytest.mark.parametrize("early", [True, False])
def test_a_dial_may_go_into_a_conference(early: bool) -> None:
    """At the ringing with early media, else at the answer."""
    dial = replace(DIAL, conference_config={"conference_name": "demo", "early_media": early})
    played = Played(dial=dial, callee="answers", direction="outgoing")
    at_begin = [one for one in played.effects if isinstance(one, JoinConference)]
    at_answer = [one for one in played.pass_to(200) if isinstance(one, JoinConference)]

    assert ([1, 0] if early else [0, 1]) == [len(at_begin), len(at_answer)]


@pytest.mark.parametrize(
    ("from_", "response", "last", "state"),
    [
        ("sip:desk@pbx.example.com", None, "call.hangup", "ended"),
        ("+15555550123", None, "call.refer.failed", "answered"),
        ("sip:desk@pbx.example.com", 486, "call.refer.failed", "answered"),
    ],
)
def test_refer_works_for_sip_endpoints(from_: str, response: int | None, last: str, state: str) -> None:
    """A caller from the telephone network cannot follow it, and stays."""
    played = answered(CarrierOptions(refer_response=response), from_=from_)
    played.command("refer", 100, sip_address="sip:other@pbx.example.com")
    assert "call.refer.started" == played.names()[-1]
    played.pass_to(1_000)

    assert (last, state) == (played.names()[-1], played.call.state)


def test_noise_suppression_is_taken_without_a_webhook() -> None:
    """And changes nothing that is heard: whether it acts before the media stream is unknown."""
    played = answered()

    assert [] == played.command("suppression_start", 100, direction="both", noise_suppression_engine="Krisp")
    assert [] == played.command("suppression_stop", 200)


@pytest.mark.parametrize("callee", ["answers", "hello,hangs-up-after=300ms", "busy", "voicemail", "no-answer"])
@pytest.mark.parametrize("audio_url", [None, "https://voice.example.com/a.wav"])
@pytest.mark.parametrize("who", ["caller", "target", "command"])
def test_whoever_hangs_up_at_any_moment_of_a_transfer_leaves_nothing_behind(
    callee: str, audio_url: str | None, who: str
) -> None:
    """At each step: no leg that rings for nobody, none that hears somebody who is gone, one call.hangup for each."""
    for moment_ms in range(0, 1_500, 100):
        caller, target = transferred(callee, audio_url=audio_url, timeout_secs=5)
        for at_ms in range(0, 12_000, 100):
            both_legs(target, caller, target.call.effects_due(at_ms))
            both_legs(caller, target, caller.call.effects_due(at_ms))
            for fetch in [one for one in target.effects if isinstance(one, FetchSound) and not one.sound.is_ready]:
                both_legs(target, caller, target.call.sound_fetched(fetch.sound, tone(440, duration_ms=200), at_ms))
            if at_ms == moment_ms:
                leg_, other = (target, caller) if who == "target" else (caller, target)
                if who == "command" and leg_.call.state != "ended":
                    both_legs(leg_, other, leg_.call.receive_command(Hangup(), at_ms))
                elif leg_.call.state != "ended":
                    both_legs(leg_, other, leg_.call.party_hangs_up(at_ms))
        lives = [one.call for one in (caller, target) if one.call.state != "ended"]

        assert [one.names().count("call.hangup") for one in (caller, target)] == [
            int(one.call.state == "ended") for one in (caller, target)
        ]
        assert target.call.state == "ended"
        assert caller.call not in lives or who == "target"
        for one in (caller, target):
            assert (None, [], []) == (one.call.opposite, one.call.hearers, one.call.targets)


def test_custom_headers_of_a_dial_come_back_in_its_events() -> None:
    """Observed: programs find their own id in them, whatever becomes of the call_control_id."""
    played = dialled("busy", custom_headers=[Parameter(name="X-Order", value="7")])
    played.pass_to(1_000)

    assert [[{"name": "X-Order", "value": "7"}]] * 2 == [
        write(one.webhook.payload)["custom_headers"] for one in played.webhooks()
    ]


def test_the_reason_of_a_cancelled_call_is_kept_for_the_far_end() -> None:
    """It hides the missed call on a desk phone; after the answer it has no effect."""
    ringing, answered_ = dialled("no-answer"), dialled("answers")
    answered_.pass_to(300)
    for played in (ringing, answered_):
        played.command("hangup", 400, reason="Call completed elsewhere")

    assert ("Call completed elsewhere", None) == (ringing.call.cancel_reason, answered_.call.cancel_reason)


def test_a_recording_may_be_transcribed_without_what_was_paused() -> None:
    """The words of both sides, and nothing of a paused second: card numbers must not stand there."""
    one, other = answered(), answered(call_control_id=CallControlId("v3:other"))
    both_legs(one, other, one.call.join(other.call, 50))
    one.command("record_start", 60, format="wav", channels="single", transcription=True)
    for speaker, words, at_ms in ((one, "My card?", 100), (other, "Please.", 300)):
        both_legs(speaker, other if speaker is one else one, speaker.call.spoke(at_ms, words, until_ms=at_ms + 50))
        both_legs(speaker, other if speaker is one else one, speaker.call.effects_due(at_ms + 50))
    one.command("record_pause", 400)
    one.call.spoke(410, "4111 1111", until_ms=450)
    one.pass_to(460)
    one.command("record_resume", 500)
    (save,) = one.command("record_stop", 600)
    assert isinstance(save, SaveRecording)
    one.add(one.call.recording_saved(save.recording, "http://127.0.0.1/r.wav", 700))

    assert ["call.recording.saved", "call.recording.transcription.saved"] == one.names()[-2:]
    assert "My card? Please." == one.webhook(one.names()[-1])["data"]["payload"]["transcription_text"]


def test_interim_results_come_before_the_final_one() -> None:
    """Only where they were asked for."""
    for asked, finals in ((True, [False, True]), (False, [True])):
        played = answered()
        config = {"interim_results": asked}
        played.command("transcription_start", 60, transcription_engine="Deepgram", transcription_engine_config=config)
        played.call.spoke(100, "I would like to book", until_ms=1_100)
        said = [
            write(one.webhook.payload)["transcription_data"]
            for one in played.pass_to(2_000)
            if isinstance(one, SendWebhook)
        ]

        assert finals == [one["is_final"] for one in said]
        assert ("I would" if asked else "I would like to book") == said[0]["transcript"]


def test_a_second_bridge_of_the_same_two_legs_ends_neither() -> None:
    """A retry of bridge without a command_id: taking one out of its bridge first would hang the other up."""
    one, other = answered(), answered(call_control_id=CallControlId("v3:other"))
    for at_ms in (100, 200):
        both_legs(one, other, one.call.join(other.call, at_ms))

    assert ("answered", "answered") == (one.call.state, other.call.state)
    assert one.call.opposite is other.call
    assert [2, 2] == [leg_.names().count("call.bridged") for leg_ in (one, other)]
