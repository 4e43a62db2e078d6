"""Scripts of dialled parties: what the phone at the far end does. Pure.

`Callee` is the script as a test writes it, or as a text (`parse_callee("voicemail")`); `Answering` is the script of one
call, with its sounds loaded. `CarrierCall` asks it for what happens when, and answering machine detection judges by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from callpath.audio.pcm import Pcm
from callpath.audio.tone import tone
from callpath.errors import ConfigError
from callpath.simulator.figures import parse_duration_ms
from callpath.simulator.link import Fault
from callpath.simulator.sound import SAMPLE_RATE_HZ
from callpath.simulator.speech import words_of

Kind = Literal["person", "voicemail", "screening", "menu", "fax", "silent"]
Speech = Pcm | Path | str
"""PCM, a WAV file, or a text."""

BEEP_MS = 400
BEEP = tone(1_000, duration_ms=BEEP_MS)
"""After a greeting. Machines beep between 350 Hz and 2 kHz, for a fifth of a second up to two."""

BEEP_AFTER_MS = 300
"""Quiet between a greeting and its beep."""

FAX_HZ, FAX_MS = 2_100, 2_600
"""CED, the answer tone of a called fax (ITU-T T.30)."""

MENU_TRIES = 3
"""Wrong entries after which a menu hangs up."""

GREETINGS: dict[Kind, str] = {
    "voicemail": "You have reached my mailbox. Please leave a message after the tone.",
    "screening": "Hi. If you record your name and reason for calling, I will see if this person is available.",
    "menu": "Please enter your number.",
}

HANGUP_CAUSES = {
    "403": ("call_rejected", "unknown"),
    "404": ("not_found", "unknown"),
    "408": ("no_answer", "unknown"),
    "480": ("no_answer", "unknown"),
    "486": ("user_busy", "unknown"),
    "503": ("unspecified", "unknown"),
    "603": ("call_rejected", "callee"),
}
"""SIP status of an unanswered call → hangup_cause and hangup_source, as documented or observed; any other one is
unspecified."""

_SIP = {"user_busy": "486", "call_rejected": "603", "not_found": "404", "no_answer": "480", "unspecified": "503"}

RejectCause = Literal["user_busy", "call_rejected", "not_found", "no_answer", "unspecified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Script of a dialled party. `say` is a person's first word, a machine's greeting, or the prompt of a menu."""

    kind: Kind = "person"
    rings_ms: float | None = None
    """None: as the options say."""
    rejects: RejectCause | None = None
    sip_code: str | None = None
    """The SIP status of the rejection; None: the usual one of `rejects`."""
    refused: str | None = None
    """A D-code: the API itself refuses the dial or transfer (403), and no leg is made."""
    d_code: str | None = None
    """A D-code in `telnyx_error` of the call.hangup of a rejected call."""
    never_answers: bool = False
    say: Speech | None = None
    sample_rate_hz: int | None = None
    faults: Sequence[Fault | str] = ()
    after_ms: float = 0.0
    """From the answer to the first word of a machine."""
    beeps: bool = True
    """A voicemail beeps after its greeting, or not."""
    menu: Mapping[str, str] = field(default_factory=dict)
    """Digits that a menu takes, and its answer to each. For others it says `say` again; it hangs up after three."""
    decides_ms: float = 2_000.0
    """How long a screening phone waits after its prompt before `then` takes the call."""
    then: Callee | None = None
    """The party that takes a screened call: a person, or a voicemail. None: the phone hangs up."""
    hangs_up_after_ms: float | None = None
    """The callee hangs up so long after the answer."""
    detected_as: str | None = None
    """The result of answering machine detection, whatever it should have been; None: as the kind says."""
    is_business: bool = False
    """Premium detection tells human_business instead of human_residence."""

    @property
    def turns_away(self) -> bool:
        """Nobody will talk: the call is over when the program has understood that."""
        return self.rejects is not None or self.sip_code is not None or self.never_answers or self.refused is not None

    @property
    def rejection(self) -> tuple[str, str, str] | None:
        """hangup_cause, hangup_source and SIP status; None: the callee does not reject."""
        if self.rejects is None and self.sip_code is None:
            return None
        sip = self.sip_code or _SIP[self.rejects or "unspecified"]
        cause, source = HANGUP_CAUSES.get(sip, ("unspecified", "unknown"))
        return self.rejects or cause, source, sip


@dataclass(frozen=True, slots=True)
class Says:
    """Speech of the callee, so long after the answer. `waits`: only once somebody can hear it."""

    after_ms: float
    audio: Pcm
    waits: bool = False
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Presents:
    """Facts about a callee that detection can tell. Times are milliseconds from the answer."""

    kind: Literal["human", "machine", "fax", "silence"]
    greeting_ends_ms: float = 0.0
    beep_ms: float | None = None
    screens: bool = False
    taken_ms: float = 0.0
    """Moment at which `then` takes a screened call."""
    then: Presents | None = None
    is_business: bool = False
    detected_as: str | None = None


class Answering:
    """The script of one call. `load` makes sound of a `Speech`; `ring_ms` is how long a phone rings by default."""

    def __init__(self, callee: Callee, load: Callable[[Speech, int | None], Pcm], ring_ms: float) -> None:
        self.callee = callee
        self.rings_ms = ring_ms if callee.rings_ms is None else callee.rings_ms
        self._load = load
        self._entered = ""
        self._wrong = 0
        self._prompt = self._spoken(callee)

    def speech(self) -> list[Says]:
        """Speech after the answer that needs nothing from the caller."""
        return self._speech(self.callee, 0.0)

    def hangs_up_ms(self) -> float | None:
        """Milliseconds from the answer until the callee hangs up by itself; None: it does not."""
        callee = self.callee
        screened_ms = self._greeting_ends_ms(callee, 0.0) + callee.decides_ms
        if callee.kind == "screening" and callee.then is None and callee.hangs_up_after_ms is None:
            return screened_ms
        return callee.hangs_up_after_ms

    def message_from_ms(self) -> float | None:
        """Milliseconds from the answer until a voicemail begins to record; None: nothing does."""
        found: Presents | None = self.presents
        while found is not None:
            if found.kind == "machine" and not found.screens:
                return found.greeting_ends_ms if found.beep_ms is None else found.beep_ms + BEEP_MS
            found = found.then
        return None

    @property
    def presents(self) -> Presents:
        return self._presents(self.callee, 0.0)

    def press(self, digit: str) -> tuple[Says | None, bool]:
        """A key reached a menu: what it says to that, and whether it hangs up."""
        callee = self.callee
        if callee.kind != "menu":
            return None, False
        self._entered += digit
        if self._entered in callee.menu:
            said, self._entered = callee.menu[self._entered], ""
            return (Says(0.0, self._load(said, None), words=said) if said else None), False
        if any(one.startswith(self._entered) for one in callee.menu):
            return None, False
        self._entered = ""
        self._wrong += 1
        prompt = None if self._prompt is None else Says(0.0, self._prompt, words=_words(callee))
        return prompt, self._wrong >= MENU_TRIES

    def _spoken(self, callee: Callee) -> Pcm | None:
        speech = GREETINGS.get(callee.kind) if callee.say is None else callee.say
        return None if speech is None else self._load(speech, callee.sample_rate_hz)

    def _speech(self, callee: Callee, from_ms: float) -> list[Says]:
        if callee.kind == "fax":
            return [Says(from_ms + callee.after_ms, tone(FAX_HZ, duration_ms=FAX_MS))]
        audio = self._spoken(callee)
        if audio is None or callee.kind == "silent":
            return []
        if callee.kind == "person":
            return [Says(from_ms + callee.after_ms, audio, waits=from_ms == 0.0, words=_words(callee))]
        said = [Says(from_ms + callee.after_ms, audio, words=_words(callee))]
        ends_ms = self._greeting_ends_ms(callee, from_ms)
        if callee.kind == "voicemail" and callee.beeps:
            said.append(Says(ends_ms + BEEP_AFTER_MS, BEEP))
        if callee.kind == "screening" and callee.then is not None:
            said += self._speech(callee.then, ends_ms + callee.decides_ms)
        return said

    def _greeting_ends_ms(self, callee: Callee, from_ms: float) -> float:
        audio = self._spoken(callee)
        length_ms = 0.0 if audio is None else audio.size * 1000 / SAMPLE_RATE_HZ
        return from_ms + callee.after_ms + length_ms

    def _presents(self, callee: Callee, from_ms: float) -> Presents:
        ends_ms = self._greeting_ends_ms(callee, from_ms)
        how: dict[str, Any] = {
            "greeting_ends_ms": ends_ms,
            "is_business": callee.is_business,
            "detected_as": callee.detected_as,
        }
        match callee.kind:
            case "person":
                return Presents("human", **how)
            case "fax":
                return Presents("fax", **how)
            case "silent":
                return Presents("silence", **how)
            case "voicemail":
                return Presents("machine", beep_ms=ends_ms + BEEP_AFTER_MS if callee.beeps else None, **how)
            case "screening":
                taken_ms = ends_ms + callee.decides_ms
                then = None if callee.then is None else self._presents(callee.then, taken_ms)
                return Presents("machine", screens=True, taken_ms=taken_ms, then=then, **how)
            case "menu":
                return Presents("machine", **how)


def _words(callee: Callee) -> str | None:
    speech = GREETINGS.get(callee.kind) if callee.say is None else callee.say
    return None if speech is None else words_of(speech)


# --- scripts as texts -------------------------------------------------------------------------------------------------

HELLO = Callee(say="Hello?")

SCRIPTS: dict[str, tuple[Callee, str]] = {
    "answers": (Callee(), "A person picks up and says nothing"),
    "hello": (HELLO, 'A person picks up and says "Hello?"'),
    "business": (Callee(say="Callpath Industries, good morning.", is_business=True), "A person at a company picks up"),
    "busy": (Callee(rejects="user_busy"), "The line is busy (486)"),
    "no-answer": (Callee(never_answers=True), "Nobody picks up until timeout_secs is over"),
    "declines": (Callee(rejects="call_rejected"), "The party declines (603)"),
    "not-found": (Callee(rejects="not_found"), "The number does not exist (404)"),
    "unreachable": (Callee(rejects="no_answer"), "The phone is off, or the caller ID is not taken (480)"),
    "fails": (Callee(rejects="unspecified"), "The carrier has trouble (503)"),
    "rejects": (Callee(sip_code="603"), "The call is rejected with this SIP status: rejects=488"),
    "refused": (Callee(refused="D13"), "Telnyx refuses the dial or transfer with this D-code: refused=D60"),
    "voicemail": (Callee(kind="voicemail"), "A machine answers, greets, beeps and records"),
    "voicemail-no-beep": (Callee(kind="voicemail", beeps=False), "A machine greets and records without a beep"),
    "ios-screening": (
        Callee(kind="screening", then=HELLO),
        "An iPhone asks who is calling, and then a person takes the call",
    ),
    "pixel-screening": (
        Callee(
            kind="screening",
            say="The person you are calling is using a screening service. Go ahead and say your name.",
            then=HELLO,
        ),
        "A Pixel phone asks who is calling, and then a person takes the call",
    ),
    "screening-declined": (Callee(kind="screening"), "A screening phone asks, and hangs up"),
    "screening-voicemail": (
        Callee(kind="screening", then=Callee(kind="voicemail")),
        "A screening phone asks, and then a voicemail takes the call",
    ),
    "menu": (Callee(kind="menu", menu={"1": "Thank you."}), "A menu that wants these digits: menu=1234#"),
    "fax": (Callee(kind="fax"), "A fax answers"),
    "silent": (Callee(kind="silent"), "Somebody picks up and stays silent"),
}
"""Name → script and what it is. `parse_callee` reads them, with a value and further settings where they make sense."""


def parse_callee(text: str) -> Callee:
    """A script by its name: `busy`, `rejects=488`, `menu=1234#`, `voicemail,rings=2s,says=Hi`.

    Further settings, with commas between them: `rings`, `after`, `hangs-up-after`, `decides` (durations), `says` (a text),
    `detected-as`. Raises ConfigError.
    """
    first, *more = text.split(",")
    name, equals, value = first.strip().partition("=")
    if name not in SCRIPTS:
        raise ConfigError("callee", f"{name!r} is no script", f"Known are {', '.join(SCRIPTS)}")
    callee = SCRIPTS[name][0]
    match name:
        case _ if not equals:
            pass
        case "rejects" if value.isdigit() and len(value) == 3 and value[0] in "456":
            callee = dataclasses.replace(callee, sip_code=value)
        case "refused" if value[:1].isalpha() and value.isalnum():
            callee = dataclasses.replace(callee, refused=value.upper())
        case "menu" if value and not set(value) - set("0123456789ABCD*#"):
            callee = dataclasses.replace(callee, menu={value: "Thank you."})
        case _:
            raise ConfigError(
                "callee", f"{first.strip()!r} cannot be used", "Right is rejects=486, refused=D60, menu=12#"
            )
    return dataclasses.replace(callee, **dict(_setting(one) for one in more))


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.strip().partition("=")
    durations = {
        "rings": "rings_ms", "after": "after_ms", "hangs-up-after": "hangs_up_after_ms", "decides": "decides_ms"
    }  # fmt: skip
    if name in durations:
        return durations[name], parse_duration_ms(value, f"callee {name}")
    if name in ("says", "detected-as") and value:
        return ("say" if name == "says" else "detected_as"), value
    known = ", ".join((*durations, "says", "detected-as"))
    raise ConfigError("callee", f"{text.strip()!r} is no setting of a script", f"Known are {known}")


def callee_for(callees: Mapping[str, Callee], number: str) -> Callee | None:
    """The script of this number: by the whole number, else by the longest beginning that ends with an asterisk."""
    if number in callees:
        return callees[number]
    fitting = [one for one in callees if one.endswith("*") and number.startswith(one[:-1])]
    return callees[max(fitting, key=len)] if fitting else None
