"""Faults of webhooks and of the API: what each makes of a delivery or an answer."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.errors import ConfigError
from callpath.simulator.control_faults import CONTROL_FAULTS, ClockSkew
from callpath.simulator.link import FAULTS, ApiAnswer, Link, Parcel
from callpath.simulator.options import CarrierOptions


def test_they_can_be_named_like_the_others() -> None:
    """One table for the command line, whatever side a fault is on."""
    assert {fault.NAME for fault in CONTROL_FAULTS} <= FAULTS.keys()


@pytest.mark.parametrize(
    ("fault", "parcels"),
    [
        ("webhook_retried=2", [Parcel(unheard=2)]),
        ("webhook_v1", [Parcel(version_1=True)]),
        ("clock_skew=400", [Parcel(skew_s=-400)]),
    ],
)
def test_what_becomes_of_a_webhook(fault: str, parcels: list[Parcel]) -> None:
    """Each changes one thing."""
    assert parcels == Link([fault]).deliver("call.initiated")


def test_faults_of_webhooks_add_up() -> None:
    """A doubled event of version 1 is doubled and of version 1."""
    parcels = Link(["webhook_v1", "webhook_duplicated=30", "clock_skew=9"]).deliver("call.initiated")

    assert [Parcel(version_1=True, skew_s=-9), Parcel(version_1=True, skew_s=-9, delay_ms=30)] == parcels


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("api_429", ApiAnswer(status=429, code="10011", title="Too many requests")),
        ("api_500", ApiAnswer()),
        ("api_timeout", ApiAnswer(status=200, delay_ms=10_000, carried_out=True)),
        ("api_reset", ApiAnswer(status=0, carried_out=True)),
    ],
)
def test_what_becomes_of_an_answer(fault: str, answer: ApiAnswer) -> None:
    """Once, so that a client that tries again gets through; or as often as said."""
    link = Link([f"{fault}=2"])

    assert [answer, answer, None] == [link.answer("speak") for _ in range(3)]
    assert [answer, None] == [Link([fault]).answer("speak"), Link(["webhook_v1"]).answer("speak")]


def test_a_skewed_clock_may_be_ahead() -> None:
    """Both directions are refused, in other words."""
    assert [Parcel(skew_s=400)] == Link([ClockSkew(400, ahead=True)]).deliver("call.initiated")


def test_the_leg_may_have_another_codec() -> None:
    """And then nothing is transcoded, or a stream_codec of PCMU would hide it."""
    options = Link(["leg_codec=PCMA"]).change(CarrierOptions())

    assert ("PCMA", True) == (options.leg_codec, options.stream_codec_only_g711)


def test_a_codec_that_is_none() -> None:
    """A slip must not run a clean call."""
    with pytest.raises(ConfigError, match="Known: PCMU, PCMA"):
        Link(["leg_codec=MP3"]).change(CarrierOptions())


@pytest.mark.parametrize("fault", CONTROL_FAULTS)
def test_each_says_what_a_server_must_do(fault: Any) -> None:
    """A fault of which nobody knows what is right proves nothing."""
    assert fault.MUST.endswith(".")
    assert fault.CAUSE
    assert fault.SIDE in ("webhook", "API", "media")
