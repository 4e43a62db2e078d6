"""The three that are always accused."""

from __future__ import annotations

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.facts import Arrived, Facts
from callpath.doctor.recorded import judge_call
from callpath.doctor.report.suspects import proven, unproven
from callpath.doctor.rules import sample_call
from callpath.doctor.rules.sample import answer, dns, media, tcp, tls, upgrade


def guilty(facts: Facts) -> list[bool | None]:
    return [suspect.guilty for suspect in judge("wss://voice.example.com/", facts).suspects]


@pytest.mark.parametrize(
    ("facts", "verdicts"),
    [
        (media(), [False, None, False]),
        (tcp("refused"), [None, True, None]),
        (tls("untrusted", verify_code=10), [None, True, None]),
        (upgrade(answer(404, "", Server="Netlify")), [True, None, False]),
    ],
)
def test_suspects(facts: Facts, verdicts: list[bool | None]) -> None:
    """In two public hunts the platform was blamed for days, and was never at fault."""
    found = guilty(facts)

    assert [found[0], found[2]] == [verdicts[0], verdicts[2]]
    if verdicts[1]:
        assert found[1] is True


def test_a_private_name_cannot_be_reached() -> None:
    """It works from here, and that is the trap."""
    facts = dns(addresses=("10.0.0.5",), classes=("private",))

    assert guilty(facts)[1] is True


def test_what_was_not_asked_is_said() -> None:
    """A listen-only server was heard to say nothing: that is not the same as fine."""
    assert any("--idle" in line for line in unproven(media()))
    assert any("100 frames" in line for line in proven(media()))


def test_what_a_proxy_added_is_seen_from_the_other_end() -> None:
    """A callpath server tells a probe how it arrived; a rewritten scheme or a second proxy shows only there."""
    headers = (("host", "voice.example.com"), ("x-forwarded-proto", "https"), ("sec-websocket-key", "***"))
    told = Arrived("/audio", "a=1", "ws", "10.0.0.7", headers)

    assert (
        "the callpath server got /audio?a=1 as ws from 10.0.0.7; added on the way: x-forwarded-proto: https"
        in proven(media(arrived=told))
    )


@pytest.mark.parametrize(
    ("happened", "guilty"),
    [
        (sample_call.GOOD, [False, False, False]),
        (sample_call.turned_away("no_token", 401), [False, False, False]),
        (sample_call.RANG, [None, None, None]),
        ([*sample_call.ACCEPTED, (20_000, sample_call.hung_up())], [None, None, None]),
    ],
)
def test_of_a_call_only_what_its_timeline_shows(happened: list[sample_call.Timed], guilty: list[bool | None]) -> None:
    """A call that never came as far as the socket says nothing of the platform; one whose socket came acquits it."""
    assert guilty == [suspect.guilty for suspect in judge_call(sample_call.a_call(happened)).suspects]
