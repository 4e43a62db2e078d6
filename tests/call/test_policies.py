"""Policies as a setting spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.call.policies import CallPolicy, Step, parse_refusal, parse_steps
from callpath.errors import ConfigError


def test_the_times_are_those_of_the_documentation() -> None:
    """They decide when a caller is hung up on, and how long one pays for silence."""
    assert CallPolicy() == CallPolicy(
        reconnect_ms=10_000,
        socket_within_ms=8_000,
        no_socket_then=(),
        refuse_with=(Step("busy"),),
        media_idle_ms=60_000,
        no_handler_ms=5_000,
        call_ms_max=4 * 3_600_000,
    )


def test_steps_are_read_as_people_write_them() -> None:
    """A sentence has commas; a step begins with its word."""
    read = parse_steps("X", "retry, speak[de-DE]:Bitte rufen Sie an, wir hören, hangup")

    assert read == (Step("retry"), Step("speak", "Bitte rufen Sie an, wir hören", "de-DE"), Step("hangup"))
    assert parse_steps("X", "transfer:sip:desk@example.com,nothing")[0] == Step("transfer", "sip:desk@example.com")


@pytest.mark.parametrize("text", ["", "again", "speak", "speak:", "transfer:5550123", "retry;hangup", "hangup:now"])
def test_a_wrong_step_is_named_at_start(text: str) -> None:
    """Not when the first caller hears nothing."""
    with pytest.raises(ConfigError, match="CALLPATH_NO_SOCKET_THEN"):
        parse_steps("CALLPATH_NO_SOCKET_THEN", text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """A setting comes from outside; only ConfigError is told in one line."""
    try:
        steps = parse_steps("X", text)
    except ConfigError:
        return

    assert steps


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("retry", Step("retry")),
        (" hangup ", Step("hangup")),
        ("nothing", Step("nothing")),
        ("speak:Good bye", Step("speak", "Good bye", "en-US")),
        ("speak[fr-FR]: Au revoir ", Step("speak", "Au revoir", "fr-FR")),
        ("transfer: +15555550123 ", Step("transfer", "+15555550123")),
    ],
)
def test_each_step_is_read(text: str, step: Step) -> None:
    """With blanks around it, as people type them."""
    assert (step,) == parse_steps("X", text)


def test_telnyx_speaks_three_thousand_characters() -> None:
    """A longer text would be refused when the first caller hears nothing."""
    (step,) = parse_steps("X", "speak:" + "x" * 3_000)
    with pytest.raises(ConfigError, match="a speak with 3001 characters"):
        parse_steps("X", "speak:" + "x" * 3_001)
    with pytest.raises(ConfigError, match="a speak with 0 characters"):
        parse_steps("X", "speak: ")
    (shortest,) = parse_steps("X", "speak:x")

    assert (3_000, "x") == (len(step.text), shortest.text)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("busy", (Step("busy"),)),
        ("reject", (Step("reject"),)),
        ("transfer:+15555550123", (Step("transfer", "+15555550123"), Step("busy"))),
        ("transfer:sip:desk@example.com", (Step("transfer", "sip:desk@example.com"), Step("busy"))),
    ],
)
def test_what_becomes_of_a_call_without_room(text: str, steps: tuple[Step, ...]) -> None:
    """Where Telnyx does not transfer a ringing call, the line is busy."""
    assert steps == parse_refusal("X", text)


@pytest.mark.parametrize("text", ["", "away", "busy ", "transfer:", "transfer:555"])
def test_a_wrong_refusal_is_named_at_start(text: str) -> None:
    """Not during the first deploy."""
    with pytest.raises(ConfigError, match="CALLPATH_REFUSE_WITH"):
        parse_refusal("CALLPATH_REFUSE_WITH", text)


def test_a_wrong_number_is_said_with_a_right_one() -> None:
    """The error is all that its reader has."""
    with pytest.raises(ConfigError, match=r"transfer to no number.*transfer:\+15555550123 or transfer:sip:ID@HOST"):
        parse_steps("X", "transfer:5550123")
