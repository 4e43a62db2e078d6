"""Whole calls over real loopback sockets: the simulator against a small bot."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.audio.wav import read_wav, read_wav_sides, write_wav
from callpath.errors import ConfigError
from callpath.simulator import simulator
from callpath.simulator.caller import Caller, CallFailed
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import Refused
from callpath.simulator.simulator import Callee, Simulator, hello_wav
from callpath.wire.api import encode_errors
from callpath.wire.document import parse_json
from tests.simulator.bot import STREAM, running
from tests.telnyx import sample, validate


async def test_an_echoing_bot_is_heard(tmp_path: Path) -> None:
    """The whole way of a call: if this fails, `make demo` does, and nobody can test anything."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        call = await telnyx.call(say=tone(440, duration_ms=600))
        await call.stream_started()
        await call.heard_for(700)
        await call.press("1#")
        await call.hangup()
        await call.ended()

        await bot.until(lambda: bot.frames[-1]["event"] == "stop")

        assert call.failure is None
        assert abs(dominant_frequency_hz(call.heard[800:4000], 8000) - 440) < 2
        assert ["call.initiated", "call.answered", "streaming.started"] == bot.names()[:3]
        assert {"call.dtmf.received", "call.hangup", "streaming.stopped"} == set(bot.names()[3:])
        assert [("answer", 200), ("streaming_start", 200)] == bot.replies
        assert ["1", "#"] == [frame["dtmf"]["digit"] for frame in bot.frames if frame["event"] == "dtmf"]
        call.write_recording(tmp_path / "call.wav")
        assert read_wav(tmp_path / "call.wav")[0].size >= 4800


async def test_the_handshake_is_telnyxs() -> None:
    """Path and query as given, the token in its header, nothing that a browser would add."""
    async with Simulator() as telnyx, running(telnyx, STREAM | {"stream_auth_token": "demo-token"}) as bot:
        call = await telnyx.call()
        await call.stream_started()
        ((path, headers),) = bot.upgrades

        assert "/media?call=v3%3Aabc" == path
        assert "demo-token" == headers["x-telnyx-streaming-auth-token"]
        assert {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"} == headers.keys() - {
            "x-telnyx-streaming-auth-token"
        }


async def test_speech_comes_back_at_its_place() -> None:
    """`said` and `heard` must stand on one clock, or no delay measured with them is true."""
    async with Simulator() as telnyx, running(telnyx):
        call = await telnyx.call(say=hello_wav())
        await call.stream_started()
        await call.heard_for(1500)
        match = find_delay_ms(call.said[:8000], call.heard, 8000)

        assert match.correlation > 0.9
        assert 0 <= match.delay_ms < 1000


@pytest.mark.parametrize(
    ("options", "stream", "cause"),
    [
        (CarrierOptions(), {"stream_bidirectional_target_legs": "self"}, "mode is mp3"),
        (CarrierOptions(), {"stream_bidirectional_mode": "rtp"}, "target_legs is opposite"),
    ],
)
async def test_a_bot_that_trusts_the_defaults_is_not_heard(
    options: CarrierOptions, stream: dict[str, str], cause: str
) -> None:
    """The two silent mistakes: they must be silent here too, and the reason named."""
    async with Simulator(options=options) as telnyx, running(telnyx, stream) as bot:
        call = await telnyx.call(say=tone(440, duration_ms=300))
        await call.stream_started()
        await bot.until(lambda: len(bot.frames) >= 10)
        await call.hangup()
        await call.ended()

        assert 0 == call.heard.size
        assert cause in (call.failure or "")


@pytest.mark.parametrize(
    ("codec", "rate"), [("PCMA", 8000), ("L16", 16000), ("L16", 8000), ("G722", 8000), ("OPUS", 16000)]
)
async def test_other_codecs_carry_sound_both_ways(codec: str, rate: int) -> None:
    """A bot outside North America, or one that wants wideband, must be testable."""
    pytest.importorskip("av")
    stream = STREAM | {
        "stream_codec": codec,
        "stream_bidirectional_codec": codec,
        "stream_bidirectional_sampling_rate": rate,
    }
    async with Simulator() as telnyx, running(telnyx, stream) as bot:
        call = await telnyx.call(say=tone(700, duration_ms=400))
        await call.heard_for(500)

        assert codec == bot.frames[1]["start"]["media_format"]["encoding"]
        assert abs(dominant_frequency_hz(call.heard[800:2800], 8000) - 700) < 5


async def test_a_wrong_path_is_named() -> None:
    """The demo's second call: the sentence must say which stage was not reached, and where."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        call = await telnyx.call(faults=["connects_elsewhere=/nowhere"])
        with pytest.raises(
            CallFailed, match=r"not opened: ws://127.0.0.1:\d+/nowhere answered HTTP 403 instead of 101"
        ):
            await call.stream_started()
        await bot.until(lambda: "streaming.failed" in bot.names())
        (failed,) = [event for event in bot.events if event["event_type"] == "streaming.failed"]

        assert "connection_failed" == failed["payload"]["failure_reason"]
        assert [] == bot.upgrades


async def test_a_socket_that_is_never_tried() -> None:
    """And the reply to streaming_start does not wait for it."""
    options = CarrierOptions(connect_ms_max=600, reply_ms_max=50)
    async with Simulator(options=options) as telnyx, running(telnyx) as bot:
        call = await telnyx.call(faults=["never_connects"])
        with pytest.raises(CallFailed, match="injected fault"):
            await call.stream_started()

        assert ("streaming_start", 200) in bot.replies


async def test_an_unopened_socket_can_refuse_the_command() -> None:
    """Error 90046 exists; whether it comes is unknown, so it can be switched on."""
    async with Simulator(options=CarrierOptions(refuse_unopened=True)) as telnyx, running(telnyx) as bot:
        call = await telnyx.call(faults=["connects_elsewhere=/nowhere"])
        with pytest.raises(CallFailed):
            await call.stream_started()
        await bot.until(lambda: len(bot.replies) >= 2)

        assert [("answer", 200), ("streaming_start", 422)] == bot.replies
        assert ("90046",) == call.commands[-1].codes


@pytest.mark.parametrize("reconnect", [False, True])
async def test_a_bot_that_closes_its_socket(reconnect: bool) -> None:
    """Closing the socket ends neither stream nor call: it fails, or comes again."""
    async with Simulator(options=CarrierOptions(reconnect=reconnect)) as telnyx, running(telnyx) as bot:
        bot.close_after_frames = 5
        call = await telnyx.call()
        await bot.until(lambda: "streaming.failed" in bot.names())

        assert (2 if reconnect else 1) == len(bot.upgrades)
        assert "answered" == call.call.state
        assert "lost" in (call.failure or "")


async def test_a_dropped_connection() -> None:
    """The network goes away in mid-call."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        await telnyx.call(faults=["drops=60"])
        await bot.until(lambda: "streaming.failed" in bot.names())

        assert "disconnected" == bot.events[-1]["payload"]["failure_reason"]


async def test_a_webhook_that_is_refused() -> None:
    """401 from a server with the wrong key: the call stays silent, and the reason is named."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        bot.webhook_status = 401
        call = await telnyx.call()
        assert await call.until(lambda: bool(call.webhooks[0].attempts), 10_000)
        with pytest.raises(
            CallFailed, match=r"http://127.0.0.1:\d+/hook answered the webhook call.initiated with HTTP 401"
        ):
            await call.stream_started(timeout_ms=20)


async def test_a_bot_that_does_nothing() -> None:
    """Taken, and then silence: the phone just rings."""
    async with Simulator() as telnyx, running(telnyx, answers=False):
        call = await telnyx.call()
        assert await call.until(lambda: bool(call.webhooks[0].delivered), 10_000)
        with pytest.raises(CallFailed, match="sent no answer command"):
            await call.stream_started(timeout_ms=20)


async def test_a_duplicated_webhook_comes_twice() -> None:
    """The bot answers twice; without command_id Telnyx would take both."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        await telnyx.call(faults=["webhook_duplicated=1"])
        await bot.until(lambda: bot.names().count("call.initiated") >= 2)
        ids = {event["id"] for event in bot.events if event["event_type"] == "call.initiated"}

        assert 1 == len(ids)


async def test_a_dialled_party_answers_and_talks() -> None:
    """Outbound calls run through the same stream."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        telnyx.callee = Callee(rings_ms=20, say=tone(440, duration_ms=200))
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{telnyx.api_base}/calls",
                json={"connection_id": telnyx.options.connection_id, "to": "+15555550123", "from": "+15555550199"},
                headers={"authorization": f"Bearer {telnyx.api_key}"},
            )
        call = await telnyx.next_dialled()
        await call.heard_for(200)

        assert call.call.leg.call_control_id == answer.json()["data"]["call_control_id"]
        assert abs(dominant_frequency_hz(call.heard[400:1600], 8000) - 440) < 5
        assert ["call.initiated", "call.answered", "streaming.started"] == bot.names()[:3]


async def test_a_busy_party() -> None:
    """The bot learns it from call.hangup alone."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        telnyx.callee = Callee(rings_ms=0, rejects="user_busy")
        telnyx.dial({"connection_id": telnyx.options.connection_id, "to": "+15555550123", "from": "+15555550199"})
        await bot.until(lambda: "call.hangup" in bot.names())
        call = await telnyx.next_dialled()

        assert "The dialled party did not answer: user_busy." == call.failure
        with pytest.raises(CallFailed):
            await call.answered()


async def test_a_transfer_bridges_two_legs() -> None:
    """Both legs in one session; when one ends, so does the other."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        telnyx.callee = Callee(rings_ms=0)
        call = await telnyx.call()
        await call.stream_started()
        await bot.act(call.call.leg.call_control_id, "transfer", {"to": "+15555550177"})
        other = await telnyx.next_dialled()
        await bot.until(lambda: bot.names().count("call.bridged") >= 2)
        await call.hangup()
        await other.ended()

        assert call.call.leg.call_session_id == other.call.leg.call_session_id


async def test_every_webhook_of_a_call_fits_the_schema() -> None:
    """Over the wire, as a foreign program gets it."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        call = await telnyx.call()
        await call.stream_started()
        await call.hangup()
        await call.ended()
        kinds = {
            "call.initiated": "CallInitiatedEvent",
            "call.answered": "CallAnsweredEvent",
            "call.hangup": "CallHangupEvent",
            "streaming.started": "CallStreamingStartedEvent",
            "streaming.stopped": "CallStreamingStoppedEvent",
        }

        assert kinds.keys() == set(bot.names())
        for event in bot.events:
            assert event["payload"].pop("client_state") is None  # null on the wire, string in the schema
            assert [] == validate(
                {"data": event}, f"openapi-subset.json#/components/schemas/{kinds[event['event_type']]}"
            )


async def test_a_stalled_socket_does_not_hold_the_command() -> None:
    """A connect that takes 5 s must not make a 5 s HTTP answer: programs give up after 500 ms."""
    async with Simulator(options=CarrierOptions(reply_ms_max=20)) as telnyx, running(telnyx) as bot:
        await telnyx.call(faults=["connects_late=400"])
        await bot.until(lambda: len(bot.replies) >= 2)

        assert [] == bot.upgrades
        await bot.until(lambda: bool(bot.upgrades))


async def test_leaving_ends_everything() -> None:
    """A test that fails in the middle of a call must not leave a task, a socket or a port behind."""
    before = asyncio.all_tasks()

    async def fail_in_mid_call() -> None:
        async with Simulator() as telnyx, running(telnyx):
            call = await telnyx.call(say=np.zeros(80_000, np.int16))
            await call.stream_started()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_in_mid_call()

    assert before == asyncio.all_tasks()


async def test_a_call_needs_a_webhook_url() -> None:
    """Forgotten most easily of all."""
    async with Simulator() as telnyx:
        with pytest.raises(ConfigError, match="webhook_url is not set"):
            await telnyx.call()


async def test_a_taken_port_is_said_so() -> None:
    """Two simulators on one port: the second must name it."""
    async with Simulator() as telnyx:
        port = int(telnyx.api_base.split(":")[2].split("/")[0])
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 cannot be used"):
            async with Simulator(port=port):
                pass


def test_the_shipped_voice_is_speech() -> None:
    """The default caller must have something to say."""
    pcm, rate_hz = read_wav(hello_wav())

    assert 16000 == rate_hz
    assert 3.0 < pcm.size / rate_hz < 4.0


# --- what Telnyx does itself -----------------------------------------------------------------------------------------


async def test_a_file_is_fetched_played_recorded_and_downloaded(tmp_path: Path) -> None:
    """The whole circle of a voicemail: prompt heard, recording at its address, the voice in it."""
    write_wav(tmp_path / "menu.wav", tone(1000, duration_ms=400), 8000)
    options = CarrierOptions(media={"menu": tmp_path / "menu.wav"})
    async with Simulator(options=options) as telnyx, running(telnyx) as bot:
        call = await telnyx.call(say=tone(440, duration_ms=2000))
        await call.stream_started()
        me = call.call.leg.call_control_id
        await bot.act(me, "record_start", {"format": "wav", "channels": "dual"})
        await bot.act(me, "playback_start", {"media_name": "menu", "target_legs": "self"})
        await bot.act(me, "playback_start", {"media_name": "other"})
        await bot.until(lambda: bot.names().count("call.playback.ended") == 2)
        await bot.act(me, "record_stop", {})
        await bot.until(lambda: "call.recording.saved" in bot.names())
        saved = next(event["payload"] for event in bot.events if event["event_type"] == "call.recording.saved")
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.get(saved["recording_urls"]["wav"])
        (tmp_path / "saved.wav").write_bytes(answer.content)
        (said, heard), rate_hz = read_wav_sides(tmp_path / "saved.wav")
        statuses = [event["payload"].get("status") for event in bot.events if "playback" in event["event_type"]]

        assert (200, "audio/wav", 8000) == (answer.status_code, answer.headers["content-type"], rate_hz)
        assert abs(dominant_frequency_hz(said[800:2400], 8000) - 440) < 2
        spectrum = np.abs(np.fft.rfft(heard))
        at_1000 = spectrum[round(1000 * heard.size / 8000) - 3 : round(1000 * heard.size / 8000) + 4]
        assert at_1000.max() > 20 * np.median(spectrum)
        assert {"completed", "file_not_found"} == {status for status in statuses if status is not None}


async def test_a_file_over_http(tmp_path: Path) -> None:
    """By its URL, as most programs play; an answer of 404 is file_not_found."""
    async with Simulator() as telnyx, running(telnyx, None, answers=True) as bot:
        call = await telnyx.call()
        await call.answered()
        await bot.act(call.call.leg.call_control_id, "playback_start", {"audio_url": f"{bot.base}/none.wav"})
        await bot.until(lambda: "call.playback.ended" in bot.names())

        assert "file_not_found" == bot.events[-1]["payload"]["status"]


async def test_two_bridged_callers_hear_each_other_and_end_together() -> None:
    """`bridge`: what one says is in the other's ear."""
    async with Simulator() as telnyx, running(telnyx, STREAM | {"stream_bidirectional_mode": "mp3"}) as bot:
        one, other = await telnyx.call(say=tone(440, duration_ms=5000)), await telnyx.call()
        await one.stream_started()
        await other.stream_started()
        command = {"call_control_id": other.call.leg.call_control_id}
        await bot.act(one.call.leg.call_control_id, "bridge", command)
        await bot.until(lambda: bot.names().count("call.bridged") == 2)
        await one.until(lambda: False, 200)
        await one.hangup()
        await other.ended()
        heard = other.heard

        assert abs(dominant_frequency_hz(heard[np.flatnonzero(heard)[0] :], 8000) - 440) < 10


async def test_a_leg_of_another_codec_says_so() -> None:
    """Outside North America; `stream_codec` does not help there in this fault, and `start` tells the truth."""
    async with Simulator() as telnyx, running(telnyx, STREAM | {"stream_codec": "L16"}) as bot:
        call = await telnyx.call(faults=["leg_codec=PCMA"], say=tone(440, duration_ms=300))
        await call.stream_started()
        await bot.until(lambda: len(bot.frames) > 3)
        answered = next(event for event in bot.events if event["event_type"] == "call.answered")

        assert "PCMA" == bot.frames[1]["start"]["media_format"]["encoding"] == answered["payload"]["codec"]


async def test_events_can_come_in_any_order() -> None:
    """Telnyx keeps none; each is delivered all the same."""
    async with (
        Simulator(options=CarrierOptions(webhook_shuffle_ms=50)) as telnyx,
        running(telnyx, answers=False) as bot,
    ):
        call = await telnyx.call()
        await call.hangup()
        await call.ended()

        assert {"call.initiated", "call.hangup"} == set(bot.names())


async def test_a_linked_dial_is_bridged_when_it_is_answered() -> None:
    """`link_to` with bridge_on_answer: one session, one command, two people talking; digits first, for an extension."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        one = await telnyx.call(from_="+15555550111")
        await one.stream_started()
        dial = {
            "connection_id": telnyx.options.connection_id,
            "to": "+15555550133",
            "from": "+15555550199",
            "link_to": one.call.leg.call_control_id,
            "bridge_intent": True,
            "bridge_on_answer": True,
            "send_digits_on_answer": "2w",
        }
        async with httpx2.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {telnyx.api_key}"}) as http:
            lost = await http.post(f"{telnyx.api_base}/calls", json=dial | {"link_to": "v3:nobody"})
            await http.post(f"{telnyx.api_base}/calls", json=dial)
        other = await telnyx.next_dialled()
        await bot.until(lambda: bot.names().count("call.bridged") == 2)
        await one.hangup()
        await other.ended()

        assert (422, "90015") == (lost.status_code, lost.json()["errors"][0]["code"])
        assert one.call.leg.call_session_id == other.call.leg.call_session_id
        assert ("+15555550111", "2w") == (other.call.leg.from_, other.call.digits_sent)


async def test_a_stream_is_announced_and_never_comes() -> None:
    """The case that callpath is made for: streaming.started proves nothing, and nothing else ever comes."""
    async with Simulator(options=CarrierOptions(connect_ms_max=200)) as telnyx, running(telnyx) as bot:
        call = await telnyx.call(faults=["announced_never_connects"])
        await bot.until(lambda: "streaming.started" in bot.names())
        await call.until(lambda: call.failure is not None and "never tried" in call.failure, 10_000)

        assert [] == bot.upgrades
        assert "streaming.failed" not in bot.names()
        assert "not-opened" == call.verdict().code


# --- dialled parties ---

HOOK = "http://127.0.0.1:9/hook"  # the discard port: nobody listens, and no test here waits for a delivery


def dial(telnyx: Simulator, to: str = "+15555550123", **body: Any) -> Caller:
    """A dial by the API's own door; the leg that it made."""
    wanted = {"connection_id": telnyx.options.connection_id, "to": to, "from": "+15555550199"} | body
    telnyx.dial(wanted)
    return telnyx.calls[-1]


def refused_dial(telnyx: Simulator, **body: Any) -> str:
    """The D-code with which this dial is refused."""
    with pytest.raises(Refused) as caught:
        dial(telnyx, **body)
    assert 403 == caught.value.status
    assert caught.value.document is not None
    return str(caught.value.document["telnyx_error"]["error_code"])


async def test_each_number_has_its_own_callee() -> None:
    """A campaign meets a person, a machine and a busy line in one run."""
    callees: dict[str, Callee | str] = {
        "+15555550101": "busy,rings=0s",
        "+155555502*": "refused=D13",
        "+15555550301": Callee(rings_ms=0),
    }
    async with Simulator(HOOK, callees=callees) as telnyx:
        busy, person = dial(telnyx, "+15555550101"), dial(telnyx, "+15555550301")
        await busy.until(lambda: busy.call.state == "ended", 5_000)
        await person.answered()

        assert "user_busy" == (busy.call.hangup.hangup_cause if busy.call.hangup else None)
        assert "D13" == refused_dial(telnyx, to="+15555550201")
        assert 2 == len(telnyx.calls)


async def test_a_message_is_left_after_the_beep() -> None:
    """What a voicemail recorded is what its owner will hear: not the greeting, and nothing said over the beep."""
    async with Simulator(
        HOOK, callees={"*": Callee(kind="voicemail", say=tone(300, duration_ms=60), rings_ms=0)}
    ) as telnyx:
        call = dial(telnyx)
        await call.answered()
        assert call.message is None
        await call.until(lambda: call.message is not None, 1_500)
        await telnyx.command(call.call.leg.call_control_id, "speak", {"payload": "x" * 10, "voice": "female"})
        await call.until(lambda: not call.call.plays, 3_000)
        message = call.message
        assert message is not None

        assert abs(dominant_frequency_hz(message[message.size // 2 :], 8000) - 220) < 5


async def test_a_transfer_to_a_busy_number_gives_the_caller_back() -> None:
    """And the next number is tried; over real sockets, with both legs' webhooks."""
    callees = {"+15555550111": "busy,rings=20ms", "+15555550112": "hello,rings=20ms"}
    async with Simulator(callees=callees) as telnyx, running(telnyx) as bot:
        call = await telnyx.call()
        await call.stream_started()
        own = call.call.leg.call_control_id
        await bot.act(own, "transfer", {"to": "+15555550111", "client_state": "YQ=="})
        await bot.until(lambda: "call.hangup" in bot.names())
        state = call.call.state
        await bot.act(own, "streaming_stop", {})
        await bot.act(own, "transfer", {"to": "+15555550112"})
        await bot.until(lambda: bot.names().count("call.bridged") >= 2)
        busy, person = (one for one in telnyx.calls if one.call.leg.direction == "outgoing")
        await call.until(lambda: False, 300)
        await person.hangup()
        await call.ended()
        bridged = [event["payload"]["call_control_id"] for event in bot.events if event["event_type"] == "call.bridged"]

        assert "answered" == state
        assert ("user_busy", own) == (
            busy.call.hangup and busy.call.hangup.hangup_cause,
            call.call.leg.call_control_id,
        )
        assert {own, person.call.leg.call_control_id} == set(bridged)
        assert call.heard.any()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda account: account.balance.update(available_credit="0.00"), "D17"),
        (lambda account: account.application["outbound"].update(outbound_voice_profile_id=None), "D38"),
        (lambda account: account.profiles[0].update(enabled=False), "D15"),
        (lambda account: account.profiles[0].update(concurrent_call_limit=0), "D2"),
        (lambda account: account.application["outbound"].update(channel_limit=0), "D3"),
    ],
)
async def test_an_account_that_is_set_wrong_refuses_dials(change: Any, code: str) -> None:
    """Each has its own D-code, and the program's author must see which."""
    async with Simulator(HOOK) as telnyx:
        change(telnyx.account)

        assert code == refused_dial(telnyx)


async def test_a_caller_id_that_is_not_ours_is_refused() -> None:
    """Unless it is that of an inbound caller who is still there, as `diversion` says."""
    async with Simulator(HOOK, options=CarrierOptions(check_from=True)) as telnyx:
        assert "D51" == refused_dial(telnyx, **{"from": "+15555550177"})
        assert "D51" == refused_dial(telnyx, **{"from": "+15555550177", "diversion": "+15555550199"})
        assert "D53" == refused_dial(telnyx, to="+15555550199")
        dial(telnyx)
        await telnyx.call(from_="+15555550177")
        passed_on = dial(telnyx, **{"from": "+15555550177", "diversion": "+15555550199"})

        assert "+15555550177" == passed_on.call.leg.from_


async def test_limits_of_an_account() -> None:
    """Two at once on a trial account, and so many an hour."""
    async with Simulator(HOOK, options=CarrierOptions(outbound_calls_max=1, dials_an_hour_max=2)) as telnyx:
        dial(telnyx)
        assert "D1" == refused_dial(telnyx)
        with pytest.raises(Refused, match="10011") as caught:
            dial(telnyx)

        assert 429 == caught.value.status
        assert sample("api/error-429-dials-per-hour.json") == parse_json(encode_errors(*caught.value.errors), "errors")


async def test_digits_in_the_number_are_sent_at_the_answer() -> None:
    """`to` with a comma: an extension behind a menu."""
    menu = Callee(kind="menu", say=tone(300, duration_ms=20), menu={"12": ""}, rings_ms=0)
    async with Simulator(HOOK, callees={"+15555550123": menu}) as telnyx:
        call = dial(telnyx, "+15555550123,1w2")
        await call.until(lambda: len(call.call.keys_heard) == 2, 5_000)

        assert ("+15555550123", "1w2") == (call.call.leg.to, call.call.digits_sent)
        assert ["1", "2"] == [key for _, key in call.call.keys_heard]


async def test_a_bridge_with_a_leg_that_rings_is_refused_unless_ringing_is_meant() -> None:
    """90034: programs that bridge at the dial's answer instead of at call.answered see it on the real line."""
    async with Simulator(HOOK, callees={"*": "hello,rings=100ms"}) as telnyx:
        one, ringing = await telnyx.call(), dial(telnyx)
        own = one.call.leg.call_control_id
        await telnyx.command(own, "answer", {})
        await one.answered()
        command = {"call_control_id": ringing.call.leg.call_control_id}
        with pytest.raises(Refused, match="90034"):
            await telnyx.command(own, "bridge", command)
        await telnyx.command(own, "bridge", command | {"play_ringtone": True})
        await one.until(lambda: one.call.opposite is not None, 5_000)

        assert one.call.opposite is ringing.call


async def test_a_simulator_whose_start_is_cut_off_leaves_no_listener_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody enters it then, so nobody would leave it: its API went on listening until the garbage collector came."""
    listeners: list[socket.socket] = []
    listen = Simulator._listen

    def watched(self: Simulator) -> socket.socket:
        listeners.append(listen(self))
        return listeners[-1]

    async def start() -> None:
        async with Simulator():
            raise AssertionError("it is cancelled before")

    monkeypatch.setattr(Simulator, "_listen", watched)
    task = asyncio.get_running_loop().create_task(start())
    while not listeners:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.setattr(simulator, "build_panel", None)
    with pytest.raises(TypeError):
        await start()

    assert [-1, -1] == [listener.fileno() for listener in listeners]


@pytest.mark.parametrize(("inherits", "expected"), [("inherited", "YQ=="), ("empty", None)])
async def test_a_transfers_target_may_have_the_callers_client_state(inherits: Any, expected: str | None) -> None:
    """Seen by one program and not documented: a program must not take the target for the caller by it."""
    options = CarrierOptions(target_client_state=inherits)
    async with Simulator(HOOK, options=options, callees={"*": "no-answer"}) as telnyx:
        call = await telnyx.call()
        own = call.call.leg.call_control_id
        await telnyx.command(own, "transfer", {"to": "+15555550147", "client_state": "YQ=="})
        inherited = await telnyx.next_dialled()
        await telnyx.command(own, "transfer", {"to": "+15555550148", "target_leg_client_state": "Yg=="})
        named = await telnyx.next_dialled()

        assert (expected, "Yg==") == (inherited.call.client_state, named.call.client_state)


async def test_a_dialled_leg_may_change_its_id_at_the_answer() -> None:
    """Seen where a call moved to another site: whoever matches by the id of the dial's answer loses the call."""
    options = CarrierOptions(new_id_at_answer=True)
    async with Simulator(HOOK, options=options, callees={"*": "answers,rings=0s"}) as telnyx:
        call = dial(telnyx)
        before = call.call.leg.call_control_id
        await call.answered()
        after = call.call.leg.call_control_id
        for own in (before, after):
            await telnyx.command(own, "client_state_update", {"client_state": "YQ=="})

        assert before != after
        assert (
            after
            == next(
                seen for seen in call.webhooks if seen.event_type == "call.answered"
            ).webhook.payload.call_control_id
        )


async def test_a_transfer_before_the_answer_may_be_refused() -> None:
    """Two programs disagree, so both can be tried."""
    async with Simulator(HOOK, options=CarrierOptions(transfer_unanswered="refused")) as telnyx:
        call = await telnyx.call()
        with pytest.raises(Refused, match="90034"):
            await telnyx.command(call.call.leg.call_control_id, "transfer", {"to": "+15555550147"})

        assert 1 == len(telnyx.calls)
