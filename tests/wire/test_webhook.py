"""Webhooks of shapes that the samples do not have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.errors import RemoteProtocolError
from callpath.wire.webhook import (
    CallHangup,
    CallPayload,
    ConferenceWebhook,
    StreamingStarted,
    Webhook,
    encode_webhook,
    parse_webhook,
    webhook_document,
)
from tests.telnyx import sample


def parsed(document: Any) -> Webhook:
    webhook = parse_webhook(json.dumps(document).encode())
    assert isinstance(webhook, Webhook)
    return webhook


def test_an_unknown_event_is_kept_whole() -> None:
    """It belongs to the call's timeline, whatever it means."""
    document = sample("webhooks/call.answered.json")
    document["data"]["event_type"] = "call.levitated"
    document["data"]["payload"]["height"] = 3
    webhook = parsed(document)

    assert type(webhook.payload) is CallPayload
    assert webhook_document(webhook) == document


def test_a_known_field_of_another_type_does_not_lose_the_event() -> None:
    """A hang-up that is refused for a changed detail leaves the call open, and billed."""
    document = sample("webhooks/call.hangup.json")
    document["data"]["payload"]["to"] = ["+15555550199"]
    document["data"]["payload"]["call_quality_stats"] = "n/a"
    webhook = parsed(document)

    assert isinstance(webhook.payload, CallHangup)
    assert webhook.payload.to is None
    assert webhook.payload.hangup_cause == "normal_clearing"
    assert webhook_document(webhook) == document


def test_underscored_names_are_understood() -> None:
    """`streaming_started` was seen inside version 2 envelopes."""
    document = sample("webhooks/streaming.started.json")
    document["data"]["event_type"] = "streaming_started"
    webhook = parsed(document)

    assert webhook.event_type == "streaming.started"
    assert isinstance(webhook.payload, StreamingStarted)
    assert webhook_document(webhook) == document


def test_meta_may_be_missing() -> None:
    """As in some of Telnyx's own examples."""
    document = sample("webhooks/call.bridged.json")
    del document["meta"]
    webhook = parsed(document)

    assert webhook.attempt is None
    assert json.loads(encode_webhook(webhook)) == document


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("data"), "data"),
        (lambda d: d["data"].pop("event_type"), "event_type"),
        (lambda d: d["data"].pop("id"), "id"),
        (lambda d: d["data"].pop("payload"), "payload"),
        (lambda d: d["data"]["payload"].pop("call_session_id"), "call_session_id"),
        (lambda d: d["data"]["payload"].update(call_leg_id=7), "call_leg_id"),
    ],
)
def test_a_wrong_shape_is_named(change: Any, says: str) -> None:
    """The refusal is read by a person who must find out who sent it."""
    document = sample("webhooks/call.initiated.inbound.json")
    change(document)

    with pytest.raises(RemoteProtocolError, match=says) as caught:
        parse_webhook(json.dumps(document).encode())

    assert caught.value.reason == "wrong_shape"


@given(st.binary())
def test_no_body_makes_the_parser_fail_otherwise(body: bytes) -> None:
    """The route is open to the world: only RemoteProtocolError may come out."""
    try:
        parse_webhook(body)
    except RemoteProtocolError as error:
        assert error.reason in ("not_json", "wrong_shape")


def test_an_event_of_a_whole_conference_names_no_leg() -> None:
    """Read as an event of a call it would be refused, and Telnyx would send it again and again."""
    webhook = parse_webhook(json.dumps(sample("webhooks/conference.speak.started.json")).encode())

    assert isinstance(webhook, ConferenceWebhook)
    assert "00000000-0000-4000-8000-0000000000f1" == webhook.payload.conference_id
