"""One Conversation Relay, frame by frame, and on a leg whose time stands still."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpath.audio.tone import tone
from callpath.simulator.call import OpenRelay, WakeRelay
from callpath.simulator.relay import BAD_FRAMES_MAX, Finish, Play, Press, RelayParties, RelaySession, Say
from callpath.wire.ids import CallControlId, LegId, SessionId
from tests.simulator.test_call import Played, answered
from tests.telnyx import sample, validate

SCHEMA = "conversation-relay.schema.json#/$defs"
PARTIES = RelayParties(
    CallControlId("v3:Zf4k3-SampleCallControlId_0000000000000000000000000000w"),
    LegId("aaaa0001-c0de-11f0-9001-02420a000001"),
    SessionId("aaaa0002-c0de-11f0-9002-02420a000002"),
    "+15555550123",
    "+15555550199",
    "incoming",
    "00000000-0000-4000-8000-0000000000b1",
)


def session(**settings: Any) -> RelaySession:
    """A relay whose socket is open, its setup sent."""
    relay = RelaySession("00000000-0000-4000-8000-0000000000d4", "ws://127.0.0.1/x", PARTIES, settings, 0)
    relay.open()
    return relay


def frames(relay: RelaySession) -> list[Any]:
    """What goes to the program, each checked against its schema."""
    sent = [json.loads(text) for text in relay.texts_to_send()]
    for frame in sent:
        assert [] == validate(frame, f"{SCHEMA}/t_{frame['type']}")
    return sent


def test_setup_is_the_first_frame() -> None:
    """Every key of the documented example, with the program's own parameters."""
    relay = session(custom_parameters={"tenant": "demo"})
    (setup,) = frames(relay)

    assert sample("relay/t-setup.json") == setup | {"callerName": "Demo"}


def test_what_the_party_says_and_presses() -> None:
    """Keys only with dtmf_detection; the language is what the relay was started with or set to."""
    relay = session(dtmf_detection=True)
    relay.language = "en-US"
    frames(relay)
    relay.heard("I would like", last=False)
    relay.heard("I would like to book a table.")
    relay.pressed("5")
    silent = session()
    frames(silent)
    silent.pressed("5")

    assert [sample(f"relay/t-{name}.json") for name in ("prompt-interim", "prompt", "dtmf")] == frames(relay)
    assert [] == frames(silent)


def test_tokens_are_spoken_by_the_sentence() -> None:
    """An answer of ten sentences begins with its first, and the rest of it waits for `last`."""
    relay = session()
    acts = [
        relay.receive_text(json.dumps({"type": "text", "token": token, "last": last}))
        for token, last in (("Hello. ", False), ("How can", False), (" I help", False), ("", True), ("", True))
    ]

    assert [[Say("Hello.", "any")], [], [], [Say("How can I help", "any")], []] == acts


def test_the_other_frames() -> None:
    """The documented examples are all taken."""
    relay = session()

    def act(name: str) -> Any:
        return relay.receive_text(json.dumps(sample(f"relay/s-{name}.json")))

    assert [Play("https://voice.example.com/chime.mp3", 1, interruptible=True)] == act("play")
    assert [Press("12w#")] == act("sendDigits")
    assert ([], "es-ES") == (act("language"), relay.language)
    assert [Finish('{"reason":"live-agent"}')] == act("end")
    assert relay.over
    assert [] == act("sendDigits")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ('{"type":"text"}', "missing required field: token"),
        ('{"type":"foo"}', "unknown type: foo"),
        ('{"event":"media"}', "missing required field: type"),
        ('{"type":"sendDigits","digits":"x"}', "digits must be"),
        ('{"type":"play","source":"https://a/b.mp3","loop":0}', "loop must be"),
        ('{"type":"language"}', "missing required field: ttsLanguage"),
        ('{"type":"end","handoffData":{}}', "handoffData must be"),
        ("not json", "not a JSON object"),
        ("[]", "not a JSON object"),
    ],
)
def test_a_wrong_frame_is_answered_with_an_error(frame: str, said: str) -> None:
    """A program that sends the frames of a media stream here learns it from these; ten in a row end the relay."""
    relay = session()
    frames(relay)
    assert [] == relay.receive_text(frame)
    (error,) = frames(relay)
    assert error["description"].startswith(f"Invalid message: {said}")
    for _ in range(BAD_FRAMES_MAX - 1):
        assert not relay.over
        relay.receive_text(frame)

    assert relay.over


def test_an_interruption_tells_what_was_heard() -> None:
    """The model must not believe that the caller heard its whole answer."""
    relay = session()
    frames(relay)
    relay.interrupted("Our opening hours are nine to five.", 0.6, 1240)

    assert [sample("relay/t-interrupt.json")] == frames(relay)


@pytest.mark.parametrize(
    ("settings", "plain", "greeting"),
    [
        ({}, "any", "any"),
        ({"interruptible": "dtmf", "interruptible_greeting": "none"}, "dtmf", "none"),
        ({"interruptible": True, "interruptible_greeting": False}, "any", "none"),
        ({"interruption_settings": {"interruptible": "speech"}}, "speech", "any"),
    ],
)
def test_what_interrupts(settings: Any, plain: str, greeting: str) -> None:
    """By the settings of the start; a boolean was sent without a refusal."""
    relay = session(**settings)

    assert (plain, greeting) == (relay.interruptible(), relay.interruptible(greeting=True))


# --- on a leg ---


def relayed(**body: Any) -> tuple[Played, RelaySession]:
    """An answered call with a relay, open since 100 ms."""
    played = answered()
    (effect,) = played.command("conversation_relay_start", 100, url="wss://voice.example.com/relay", **body)
    assert isinstance(effect, OpenRelay)
    effect.session.open()
    frames(effect.session)
    played.add(played.call.relay_opened(effect.session, 100))
    return played, effect.session


def test_the_caller_hears_the_greeting_and_the_program_the_caller() -> None:
    """Words come at the end of what is said; the greeting stands in the conversation."""
    played, relay = relayed(greeting="Hi. ")
    assert 1 == len(played.call.heard_beside(200))
    played.pass_to(1_000)
    played.add(played.call.spoke(1_000, "Good morning.", until_ms=1_600))
    assert [] == frames(relay)
    effects = played.pass_to(1_600)

    assert [WakeRelay(relay)] == effects
    assert [("prompt", "Good morning.")] == [(frame["type"], frame["voicePrompt"]) for frame in frames(relay)]
    assert ["assistant", "user"] == [message["role"] for message in relay.messages]


def test_speech_cuts_the_relay_where_it_may() -> None:
    """Half of what was being said was heard; nothing of the queue behind it is."""
    for interruptible, cut in (("any", True), ("speech", True), ("dtmf", False), ("none", False)):
        played, relay = relayed(interruptible=interruptible)
        text = "one two three four five six seven eight nine ten"
        token = json.dumps({"type": "text", "token": text, "last": True})
        for _ in range(2):
            played.add(played.call.relay_acts(relay, relay.receive_text(token), 200))
        played.add(played.call.spoke(200 + 65 * len(text) // 2, "Stop", until_ms=9_000))

        interrupts = [frame["utteranceUntilInterrupt"] for frame in frames(relay)]
        assert (["one two three four five"] if cut else []) == interrupts
        assert cut != played.call.plays


def test_a_key_is_a_frame_and_may_cut() -> None:
    """dtmf_detection tells the program, `interruptible` the speech."""
    played, relay = relayed(dtmf_detection=True, interruptible="dtmf", greeting="Please press a key.")
    played.pass_to(2_000)  # the greeting is over
    played.add(played.call.relay_acts(relay, [Say("one two", "dtmf")], 3_000))
    played.add(played.call.press("7", 3_050))

    assert ["interrupt", "dtmf"] == [frame["type"] for frame in frames(relay)]


def test_the_relay_ends_and_the_call_stays() -> None:
    """Our socket went, or `end` came: one event, and the leg takes the next command."""
    played, relay = relayed()
    played.add(played.call.relay_acts(relay, relay.receive_text('{"type":"sendDigits","digits":"1"}'), 200))
    played.add(played.call.relay_closed(relay, 2_300))
    ended = played.webhook("call.conversation.ended")["data"]["payload"]

    assert ("customer_disconnect", 2, relay.relay_id) == (
        ended["reason"],
        ended["duration_sec"],
        ended["conversation_id"],
    )
    assert ("answered", None, "1") == (played.call.state, played.call.relay, played.call.digits_sent)


def test_what_a_relay_refuses() -> None:
    """Before the answer, without a URL, and a second one."""
    ringing = Played()
    assert "90034" == ringing.refused("conversation_relay_start", 0, url="wss://a/b")["errors"][0]["code"]
    assert "10004" == answered().refused("conversation_relay_start", 100)["errors"][0]["code"]
    played, _ = relayed()
    assert "90061" == played.refused("conversation_relay_start", 200, url="wss://a/b")["errors"][0]["code"]


def test_a_hangup_and_a_stop_end_the_relay() -> None:
    """The socket must be closed, or the program speaks into nothing."""
    for end in ("hangup", "conversation_relay_stop"):
        played, relay = relayed()
        effects = played.command(end, 500)

        assert relay.over
        assert WakeRelay(relay) in effects


def test_a_relay_within_answer_starts_with_it() -> None:
    """conversation_relay_config; some of its fields are documented to be ignored."""
    played = Played()
    config = {"url": "wss://voice.example.com/relay", "greeting": "Hi", "client_state": "YQ=="}
    played.command("answer", 0, conversation_relay_config=config)
    (opened,) = [effect for effect in played.pass_to(40) if isinstance(effect, OpenRelay)]

    assert ("wss://voice.example.com/relay", {"url": "wss://voice.example.com/relay", "greeting": "Hi"}) == (
        opened.session.url,
        opened.session.settings,
    )


def test_words_are_transcribed_on_the_track_of_each_leg() -> None:
    """inbound for who speaks, outbound for who hears it."""
    speaker, listener = answered(), answered(call_control_id=CallControlId("v3:other"))
    speaker.call.join(listener.call, 50)
    speaker.command("transcription_start", 60, transcription_tracks="inbound")
    listener.command("transcription_start", 60, transcription_tracks="outbound")
    speaker.call.voice.say(100, tone(500, duration_ms=100))
    speaker.call.spoke(100, "Good morning.", until_ms=200)
    effects = speaker.call.effects_due(200)

    assert 2 == len(effects)
    assert ["call.transcription"] == [one.webhook.event_type for one in speaker.add(effects[:1])]  # type: ignore[union-attr]
