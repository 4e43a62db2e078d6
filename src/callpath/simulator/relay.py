"""Telnyx's side of one Conversation Relay: it listens and speaks, a program gets text and sends text. Pure.

`RelaySession` holds the frames of one socket: `receive_text` what the program sent, send what `texts_to_send()` gives. What
is to be spoken, played or pressed comes back as `Say`, `Play`, `Press` and is carried out by the leg. Source: notes after
Telnyx's guide of 2026-08; limits, close codes and the reasons of an end are not published.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from callpath.wire.command import ConversationRelayStart
from callpath.wire.document import Json
from callpath.wire.ids import CallControlId, LegId, SessionId

BAD_FRAMES_MAX = 10
"""Wrong frames in a row after which the socket is closed. That Telnyx may do so is documented, the number is not."""

TEXT_CHARS_MAX = 100_000
"""Text that may wait for its end; more is an error frame. Telnyx's own limit is unknown."""

_SENTENCE = re.compile(r"[.!?:;\n]\s*$")
_DIGITS = re.compile(r"[0-9A-DwW#*]+")

Interruptible = Literal["none", "any", "speech", "dtmf"]


class RelayParties(NamedTuple):
    """The ids and numbers of the call that a relay serves."""

    call_control_id: CallControlId
    call_leg_id: LegId
    call_session_id: SessionId
    from_: str
    to: str
    direction: Literal["incoming", "outgoing"]
    user_id: str


@dataclass(frozen=True, slots=True)
class Say:
    """Speak this text."""

    text: str
    interruptible: Interruptible


@dataclass(frozen=True, slots=True)
class Play:
    """Play this file."""

    url: str
    loop: int
    interruptible: bool


@dataclass(frozen=True, slots=True)
class Press:
    """Send these digits to the party."""

    digits: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The program ended the relay."""

    handoff: str | None


RelayAct = Say | Play | Press | Finish


@dataclass(slots=True, eq=False)
class RelaySession:
    """One relay. `settings` is the body of conversation_relay_start, or conversation_relay_config of answer and dial."""

    relay_id: str
    url: str
    parties: RelayParties
    settings: Json
    began_at_ms: float
    language: str = "en-US"
    opened: bool = False
    over: bool = False
    """Nothing is sent any more: close the socket."""
    messages: list[Json] = field(default_factory=list)
    """The conversation, as call.conversation.ended lists it; without times."""
    handoff: str | None = None
    problems: list[str] = field(default_factory=list)
    received: list[Json] = field(default_factory=list)
    """Frames of the program."""
    _outbox: list[str] = field(default_factory=list)
    _text: str = ""
    _bad: int = 0

    @property
    def wants_keys(self) -> bool:
        return bool(_first(self.settings, "dtmf_detection", "conversation_relay_dtmf_detection"))

    @property
    def wants_interim(self) -> bool:
        """True if prompts come before the words are final."""
        return bool((self.settings.get("transcription_engine_config") or {}).get("interim_results"))

    @property
    def greeting(self) -> str | None:
        return self.settings.get("greeting")

    def interruptible(self, *, greeting: bool = False) -> Interruptible:
        """By what its speech is interrupted; `any` where nothing is said of it, which is not documented."""
        name = "interruptible_greeting" if greeting else "interruptible"
        value = _first(self.settings, name)
        if value is None:
            value = (self.settings.get("interruption_settings") or {}).get(name)
        if isinstance(value, bool):  # was sent without a refusal
            return "any" if value else "none"
        return "any" if value is None else value

    # --- the shell's side ---

    def open(self) -> None:
        """The socket is open: setup is the first frame."""
        parties = self.parties
        self.opened = True
        self._send(
            {
                "type": "setup",
                "sessionId": self.relay_id,
                "accountSid": parties.user_id,
                "callSid": parties.call_control_id,
                "callControlId": parties.call_control_id,
                "callSessionId": parties.call_session_id,
                "callLegId": parties.call_leg_id,
                "from": parties.from_,
                "to": parties.to,
                "direction": "inbound" if parties.direction == "incoming" else "outbound",
                "callerName": parties.from_,
                "callStatus": "active",
                "customParameters": self._custom_parameters(),
            }
        )

    def texts_to_send(self) -> list[str]:
        texts, self._outbox = self._outbox, []
        return texts

    def receive_text(self, text: str | bytes) -> list[RelayAct]:
        """One frame of the program. A wrong one is answered with an error frame, ten in a row end the relay."""
        if self.over:
            return []
        try:
            frame = json.loads(text) if isinstance(text, str) else None
            if not isinstance(frame, dict):
                raise _WrongFrame("not a JSON object")
            self.received.append(frame)
            acts = self._receive(frame)
        except (_WrongFrame, ValueError) as error:
            problem = str(error) if isinstance(error, _WrongFrame) else "not a JSON object"
            self._wrong(f"Invalid message: {problem}")
            return []
        self._bad = 0
        return acts

    # --- the call's side ---

    def heard(self, words: str, *, last: bool = True) -> None:
        """The party said `words`."""
        if not self.opened or self.over:
            return
        self._send({"type": "prompt", "voicePrompt": words, "lang": self.language, "last": last})
        if last:
            self.messages.append({"role": "user", "content": words})

    def pressed(self, digit: str) -> None:
        """The party pressed a key."""
        if self.opened and not self.over and self.wants_keys:
            self._send({"type": "dtmf", "digit": digit})

    def interrupted(self, spoken: str, share: float, duration_ms: float) -> None:
        """The party cut what was being spoken, of which that `share` was heard."""
        words = spoken.split()
        until = " ".join(words[: round(len(words) * min(1.0, share))])
        self._text = ""
        if self.opened and not self.over:
            frame = {"type": "interrupt", "utteranceUntilInterrupt": until}
            self._send(frame | {"durationUntilInterruptMs": round(duration_ms)})

    def said(self, text: str) -> None:
        """Telnyx spoke this to its end, or until it was cut."""
        self.messages.append({"role": "assistant", "content": text})

    def end(self) -> None:
        self.over = True

    # --- inside ---

    def _custom_parameters(self) -> Json:
        assistant = self.settings.get("assistant") or {}
        return {**(assistant.get("dynamic_variables") or {}), **(self.settings.get("custom_parameters") or {})}

    def _receive(self, frame: Json) -> list[RelayAct]:
        match frame.get("type"):
            case "text":
                return self._receive_token(_text_of(frame, "token"), last=frame.get("last") is True)
            case "play":
                loop = frame.get("loop", 1)
                if not isinstance(loop, int) or isinstance(loop, bool) or loop < 1:
                    raise _WrongFrame("loop must be a positive integer")
                return [Play(_text_of(frame, "source"), loop, frame.get("interruptible", True) is True)]
            case "sendDigits":
                if not _DIGITS.fullmatch(digits := _text_of(frame, "digits")):
                    raise _WrongFrame("digits must be of 0-9, A-D, w, W, # and *")
                return [Press(digits)]
            case "language":
                spoken, understood = frame.get("ttsLanguage"), frame.get("transcriptionLanguage")
                if not isinstance(spoken, str) and not isinstance(understood, str):
                    raise _WrongFrame("missing required field: ttsLanguage")
                if isinstance(understood, str):
                    self.language = understood
                return []
            case "end":
                handoff = frame.get("handoffData")
                if handoff is not None and not isinstance(handoff, str):
                    raise _WrongFrame("handoffData must be a string")
                self.handoff, self.over = handoff, True
                return [Finish(handoff)]
            case None:
                raise _WrongFrame("missing required field: type")
            case kind:
                raise _WrongFrame(f"unknown type: {str(kind)[:40]}")

    def _receive_token(self, token: str, *, last: bool) -> list[RelayAct]:
        if len(self._text) + len(token) > TEXT_CHARS_MAX:
            raise _WrongFrame(f"more than {TEXT_CHARS_MAX} characters without a last token")
        self._text += token
        # A sentence is spoken as soon as it is whole: an answer of ten must not wait for its last token.
        if not last and not _SENTENCE.search(self._text):
            return []
        text, self._text = self._text.strip(), ""
        return [Say(text, self.interruptible())] if text else []

    def _wrong(self, description: str) -> None:
        self._bad += 1
        if len(self.problems) < BAD_FRAMES_MAX:
            self.problems.append(description)
        self._send({"type": "error", "description": description})
        if self._bad >= BAD_FRAMES_MAX:
            self.over = True

    def _send(self, frame: Json) -> None:
        self._outbox.append(json.dumps(frame, separators=(",", ":")))


class _WrongFrame(Exception):  # noqa: N818  (travels only inside this module)
    pass


def _text_of(frame: Json, name: str) -> str:
    if not isinstance(value := frame.get(name), str):
        raise _WrongFrame(f"missing required field: {name}")
    return value


def relay_settings(command: ConversationRelayStart, document: Json) -> tuple[str, Json]:
    """URL and settings; of three names for the URL `url` wins, and an empty text means that there is none."""
    inner = command.conversation_relay_settings or {}
    url = command.url or command.conversation_relay_url or inner.get("url") or ""
    return str(url), {**inner, **document}


def _first(settings: Json, *names: str) -> Any:
    return next((settings[name] for name in names if settings.get(name) is not None), None)
