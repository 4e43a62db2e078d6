"""What is done for a caller whom we cannot serve: the steps of a policy, as a setting spells them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from callpath.call.numbers import is_number
from callpath.errors import ConfigError

SPEAK_CHARS_MAX = 3_000
"""The longest text that Telnyx speaks."""

StepKind = Literal["retry", "speak", "transfer", "hangup", "nothing", "busy", "reject"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done for a caller whom we cannot serve. `text` is what is spoken, or who is called."""

    kind: StepKind
    text: str = ""
    language: str = "en-US"


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Timeouts of a call in ms (0: none), and what is done when one has passed."""

    reconnect_ms: int = 10_000
    """How long a handler waits for a lost audio socket to come back."""

    socket_within_ms: int = 8_000
    """How long an accepted stream may take to start."""

    no_socket_then: tuple[Step, ...] = ()
    """What is done for a caller without a stream, in order."""

    refuse_with: tuple[Step, ...] = (Step("busy"),)
    """What is done with a call that cannot be taken, in order."""

    media_idle_ms: int = 60_000
    """How long an open socket may bring no frame before the call is hung up."""

    no_handler_ms: int = 5_000
    """How long the line may be up without handler, stream and anything under way before the call is hung up."""

    call_ms_max: int = 14_400_000
    """How long a call may last."""


def parse_steps(setting: str, text: str) -> tuple[Step, ...]:
    """The steps in `text`, as in "retry,speak:Please call again,hangup". Raises ConfigError naming `setting`."""
    steps = []
    for part in re.split(r",(?=\s*(?:retry|speak|transfer|hangup|nothing)\b)", text):
        found = re.fullmatch(r"\s*(retry|hangup|nothing)\s*|\s*(speak|transfer)(?:\[([\w-]+)\])?:(.*)", part, re.S)
        if found is None:
            raise ConfigError(
                setting,
                f"has {part.strip()!r}, which is no step",
                f"Right are retry, speak:TEXT, speak[de-DE]:TEXT, transfer:NUMBER, hangup and nothing, in the order in "
                f"which they are tried, for example {setting}=retry,speak:Please call again,hangup",
            )
        kind: StepKind = found[1] or found[2]  # type: ignore[assignment]
        language, argument = found[3], found[4]
        argument = (argument or "").strip()
        if kind == "speak" and not 0 < len(argument) <= SPEAK_CHARS_MAX:
            raise ConfigError(setting, f"has a speak with {len(argument)} characters", "Telnyx speaks 1 to 3,000")
        if kind == "transfer":
            _check_number(setting, argument)
        steps.append(Step(kind, argument, language or "en-US"))
    return tuple(steps)


def parse_refusal(setting: str, text: str) -> tuple[Step, ...]:
    """What is done with a call that cannot be taken: `busy`, `reject` or `transfer:NUMBER`. Raises ConfigError.

    Whether Telnyx transfers a call that nobody has answered is not documented: if it refuses, the line is busy.
    """
    if text == "busy":
        return (Step("busy"),)
    if text == "reject":
        return (Step("reject"),)
    if text.startswith("transfer:"):
        _check_number(setting, text.removeprefix("transfer:"))
        return (Step("transfer", text.removeprefix("transfer:")), Step("busy"))
    raise ConfigError(setting, f"is {text!r}", "Right is busy, reject, or transfer:+15555550123")


def _check_number(setting: str, number: str) -> None:
    if not is_number(number):
        raise ConfigError(
            setting, "has a transfer to no number", "Right is transfer:+15555550123 or transfer:sip:ID@HOST"
        )
