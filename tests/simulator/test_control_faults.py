"""Faults of webhooks and of the API: what each makes of a delivery or an answer."""

from __future__ import annotations

import json

import pytest

from callpath.errors import ConfigError
from callpath.simulator.control_faults import CONTROL_FAULTS
from callpath.simulator.link import FAULTS, ApiAnswer, Link, Parcel
from tests.telnyx import sample_text


def test_they_can_be_named_like_the_others() -> None:
    """One table for the command line, whatever side a fault is on."""
    assert {fault.NAME for fault in CONTROL_FAULTS} <= FAULTS.keys()


@pytest.mark.parametrize(
    ("fault", "parcels"),
    [
        ("webhook_late=700", [Parcel(delay_ms=700)]),
        ("webhook_retried=2", [Parcel(unheard=2)]),
        ("webhook_v1", [Parcel(version_1=True)]),
        ("clock_skew=-400", [Parcel(skew_s=-400)]),
    ],
)
def test_what_becomes_of_a_webhook(fault: str, parcels: list[Parcel]) -> None:
    """Each changes one thing."""
    assert parcels == Link([fault]).deliver("call.initiated")


def test_faults_of_webhooks_add_up() -> None:
    """A doubled event of version 1 is doubled and of version 1."""
    parcels = Link(["webhook_v1", "webhook_duplicated=30", "clock_skew=9"]).deliver("call.initiated")

    assert [Parcel(version_1=True, skew_s=9), Parcel(version_1=True, skew_s=9, delay_ms=30)] == parcels


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


def test_start_can_name_another_codec_than_the_audio_has() -> None:
    """Only the sound can tell."""
    text = json.dumps(json.loads(sample_text("ws/t-start-pcmu.json")), separators=(",", ":"))
    start, media = Link(["wrong_codec=L16"]).carry([text, '{"event":"media","encoding":"PCMU"}'], 0)

    assert "L16" == json.loads(start)["start"]["media_format"]["encoding"]
    assert json.loads(text)["start"]["media_format"] | {"encoding": "L16"} == json.loads(start)["start"]["media_format"]
    assert "PCMU" in media


@pytest.mark.parametrize("fault", ["leg_codec=MP3", "wrong_codec=pcma"])
def test_a_codec_that_is_none(fault: str) -> None:
    """A slip must not run a clean call."""
    with pytest.raises(ConfigError, match="Known: PCMU, PCMA"):
        Link([fault])
