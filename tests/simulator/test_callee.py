"""Scripts of dialled parties: how each is read, and what it does when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from callpath.audio.codec import Pcm
from callpath.errors import ConfigError
from callpath.simulator.callee import SCRIPTS, Answering, Callee, Speech, callee_for, parse_callee


def load(speech: Speech, rate_hz: int | None) -> Pcm:
    """10 ms a character: enough to tell texts apart."""
    assert isinstance(speech, str)
    return np.zeros(80 * len(speech), np.int16)


def answering(**how: Any) -> Answering:
    return Answering(Callee(**how), load, ring_ms=200)


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_is_read_by_its_name(name: str) -> None:
    """What `--callee` offers must work without a value."""
    assert SCRIPTS[name][0] == parse_callee(name)


def test_a_script_takes_a_value_and_settings() -> None:
    """Numbers are for a test; the words of a menu, or when somebody hangs up, are what differs between two."""
    assert ("488", None) == (parse_callee("rejects=488").sip_code, parse_callee("rejects=488").rejects)
    assert "D60" == parse_callee("refused=d60").refused
    assert ["1234#"] == list(parse_callee("menu=1234#").menu)
    assert (2_000, 500, "Hi") == (
        (callee := parse_callee("voicemail,rings=2s,hangs-up-after=500ms,says=Hi")).rings_ms,
        callee.hangs_up_after_ms,
        callee.say,
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("lazy", "lazy"),
        ("busy=3", "busy=3"),
        ("rejects=200", "200"),
        ("menu=x", "menu=x"),
        ("fax,loud=1", "loud"),
    ],
)
def test_a_slip_in_a_script_is_named(text: str, named: str) -> None:
    """Taken in silence, a test would run against another callee than its author means."""
    with pytest.raises(ConfigError, match=named):
        parse_callee(text)


def test_the_whole_number_wins_then_the_longest_beginning() -> None:
    """One number that is busy among a range that answers."""
    busy, voicemail, anyone = parse_callee("busy"), parse_callee("voicemail"), parse_callee("answers")
    callees = {"+1555*": voicemail, "+15555550123": busy, "*": anyone}

    assert [busy, voicemail, anyone] == [
        callee_for(callees, number) for number in ("+15555550123", "+15555550124", "+49301234567")
    ]
    assert None is callee_for({"+1555*": busy}, "+49301234567")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("busy", ("user_busy", "unknown", "486")),
        ("declines", ("call_rejected", "callee", "603")),
        ("not-found", ("not_found", "unknown", "404")),
        ("unreachable", ("no_answer", "unknown", "480")),
        ("fails", ("unspecified", "unknown", "503")),
        ("rejects=486", ("user_busy", "unknown", "486")),
        ("rejects=488", ("unspecified", "unknown", "488")),
        ("answers", None),
    ],
)
def test_a_rejection_has_the_documented_cause(name: str, expected: tuple[str, str, str] | None) -> None:
    """Programs decide by it whether to try again."""
    assert expected == parse_callee(name).rejection


def test_a_voicemail_greets_beeps_and_records() -> None:
    """A message that is left before the beep is lost on a real machine."""
    script = answering(kind="voicemail", say="x" * 50, after_ms=100)

    assert [(100, 500), (900, 400)] == [(one.after_ms, one.audio.size / 8) for one in script.speech()]
    assert (1300, 900) == (script.message_from_ms(), script.presents.beep_ms)
    assert 500 == answering(kind="voicemail", say="x" * 50, beeps=False).message_from_ms()


def test_a_screened_call_is_taken_or_dropped() -> None:
    """Whoever hangs up on the first machine verdict never reaches the person."""
    taken = answering(kind="screening", say="x" * 30, decides_ms=1_000, then=Callee(say="Hello?"))
    dropped = answering(kind="screening", say="x" * 30, decides_ms=1_000)

    assert [(0, 300), (1300, 60)] == [(one.after_ms, one.audio.size / 8) for one in taken.speech()]
    assert (None, 1300) == (taken.hangs_up_ms(), dropped.hangs_up_ms())
    assert [False, False] == [one.waits for one in taken.speech()]


def test_a_person_waits_until_somebody_can_hear() -> None:
    """A stream opens after the answer: the first word is not lost in a test that is not about that."""
    (said,) = answering(say="Hello?").speech()

    assert said.waits
    assert [] == answering().speech()


def test_a_menu_takes_its_digits_and_hangs_up_after_three_wrong_entries() -> None:
    """The program's keys must reach the other side, in order."""
    script = answering(kind="menu", say="prompt", menu={"12": "yes", "3": ""})

    assert (None, False) == script.press("1")
    reply, hangs_up = script.press("2")
    assert (3 * 80, False) == (0 if reply is None else reply.audio.size, hangs_up)
    assert (None, False) == script.press("3")
    assert [False, False, True] == [script.press("9")[1] for _ in range(3)]
