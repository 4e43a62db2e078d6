"""All of Telnyx's sample messages: they parse, re-encode to the same document, and fit the documented schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpath.wire import api
from callpath.wire.command import Command, read_command
from callpath.wire.conference import CONFERENCE_COMMANDS, Conference, Participant
from callpath.wire.document import read, write
from callpath.wire.media import Handshake, encode_message, parse_message
from callpath.wire.webhook import ConferenceWebhook, Version1Webhook, Webhook, parse_webhook, webhook_document
from tests.telnyx import manifest, sample, sample_text, validate

ROWS = manifest()
RELAY = [row["file"] for row in ROWS if row["file"].startswith("relay/")]
FRAMES = [row["file"] for row in ROWS if row["file"].startswith("ws/") and "handshake" not in row["file"]]
WEBHOOKS = [row["file"] for row in ROWS if row["file"].startswith("webhooks/") and "v1-" not in row["file"]]
REQUESTS = [row["file"] for row in ROWS if row["file"].endswith(".request.json") and "queue.create" not in row["file"]]
ERRORS = [row["file"] for row in ROWS if row["file"].startswith("api/error-")]
REFUSED_DIALS = [name for name in ERRORS if "403-10010" in name]
"""Their code is a number, and their title is missing."""

NO_TYPE = {
    "api/queue.create.request.json",
    "api/queue.response.200.json",
    "api/queue_calls.response.200.json",
    "api/dial_metrics.response.200.json",
    "api/spend_limits.response.200.json",
    "api/noise_suppression_engines.response.200.json",
    "api/gather_using_ai.response.200.json",
}
"""Resources that nothing here speaks of yet."""


def test_every_sample_is_looked_at() -> None:
    """A sample that nobody parses would prove nothing."""
    others = {
        "ws/handshake-request.json",
        "webhooks/v1-call_initiated.json",
        "api/command.response.200.json",
        "api/dial.response.200.json",
        "api/call-status.response.200.json",
        "api/call_events.response.200.json",
        "api/webhook_deliveries.response.200.json",
        "api/call_control_application.response.200.json",
        "api/active_calls.response.200.json",
        "api/conference.response.200.json",
        "api/conferences.response.200.json",
        "api/conference_participants.response.200.json",
        "api/conference_command.response.200.json",
        "api/conversation_relay_start.response.200.json",
    }

    assert len(ROWS) == 210
    assert {row["file"] for row in ROWS} == {*FRAMES, *WEBHOOKS, *REQUESTS, *ERRORS, *RELAY, *others, *NO_TYPE}


@pytest.mark.parametrize("name", RELAY)
def test_a_frame_of_a_relay_fits_its_schema(name: str) -> None:
    """What the simulator sends on a Conversation Relay's socket is judged by the same schema."""
    schema = next(row["schema"] for row in ROWS if row["file"] == name)

    assert [] == validate(sample(name), schema)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_comes_back_as_it_was(name: str) -> None:
    """A field that we drop or rename would be missing for whoever speaks our types: the simulator, the doctor."""
    message = parse_message(sample_text(name))

    assert message.extra == {}
    assert json.loads(encode_message(message)) == sample(name)


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_webhook_comes_back_as_it_was(name: str) -> None:
    """Only an explicit null, which says nothing, may be without a name here."""
    webhook = parse_webhook(sample_text(name).encode())

    assert isinstance(webhook, Webhook | ConferenceWebhook)
    data = webhook.extra.get("data", {})
    assert set(data) <= {"payload", "created_at"}  # created_at: of conversations, the same as occurred_at
    assert [] == [key for key, value in data.get("payload", {}).items() if value is not None]
    assert webhook_document(webhook) == sample(name)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_command_comes_back_as_it_was(name: str) -> None:
    """The simulator reads commands with these types; a lost field would be a lost parameter."""
    command_name = name.removeprefix("api/").removesuffix(".request.json")
    command: Command
    if command_name.startswith("conference."):
        cls = CONFERENCE_COMMANDS[command_name.removeprefix("conference.")]
        command = read(cls, sample(name), command_name)
    else:
        command = read_command(command_name.partition(".")[0], sample(name))

    assert command.extra == {}
    assert write(command) == sample(name)


@pytest.mark.parametrize("name", sorted({*ERRORS} - {*REFUSED_DIALS}))
def test_an_error_comes_back_as_it_was(name: str) -> None:
    """Code and detail are what a user is shown when Telnyx says no."""
    errors = api.parse_errors(sample_text(name).encode())

    assert [error.extra for error in errors] == [{}]
    assert json.loads(api.encode_errors(*errors)) == sample(name)


@pytest.mark.parametrize("name", REFUSED_DIALS)
def test_a_refused_dial_is_read_although_its_shape_is_another(name: str) -> None:
    """Nobody could be told why a dial was refused if these were taken for a proxy's page."""
    (error,) = api.parse_errors(sample_text(name).encode())
    row = sample(name)["errors"][0]

    assert ("10010", row["detail"], row["detail"]) == (error.code, error.title, error.detail)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("api/command.response.200.json", api.CommandResult),
        ("api/dial.response.200.json", api.CallStatus),
        ("api/call-status.response.200.json", api.CallStatus),
        ("api/call_control_application.response.200.json", api.CallControlApplication),
        ("api/conference.response.200.json", Conference),
        ("api/conference_command.response.200.json", api.CommandResult),
        ("api/conversation_relay_start.response.200.json", api.CommandResult),
    ],
)
def test_an_answer_comes_back_as_it_was(name: str, kind: Any) -> None:
    """The doctor compares these fields with our own settings."""
    part = api.read_one(kind, sample(name))

    assert part.extra in ({}, {"webhook_timeout_secs": None})
    assert {"data": write(part)} == sample(name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("api/call_events.response.200.json", api.CallEvent),
        ("api/webhook_deliveries.response.200.json", api.WebhookDelivery),
        ("api/active_calls.response.200.json", api.ActiveCall),
        ("api/conferences.response.200.json", Conference),
        ("api/conference_participants.response.200.json", Participant),
    ],
)
def test_a_list_comes_back_as_it_was(name: str, kind: Any) -> None:
    """Rows and the place where the list goes on."""
    document = sample(name)
    rows = api.read_list(kind, document)

    assert [row.extra for row in rows] == [{}] * len(rows)
    assert {"data": [write(row) for row in rows], "meta": write(api.read_page(document))} == document


def test_the_handshake_comes_back_as_it_was() -> None:
    """What a carrier's upgrade request looks like."""
    handshake = read(Handshake, sample("ws/handshake-request.json"), "handshake")

    assert handshake.extra == {}
    assert write(handshake) == sample("ws/handshake-request.json")


def test_a_version_1_webhook_is_known_as_such() -> None:
    """Its application must be set to version 2, and the user has to be told that, not "wrong shape"."""
    webhook = parse_webhook(sample_text("webhooks/v1-call_initiated.json").encode())

    assert webhook == Version1Webhook(event_type="call_initiated")


@pytest.mark.parametrize("row", [row for row in ROWS if row["schema"]], ids=lambda row: row["file"])
def test_what_we_encode_fits_the_documented_schema(row: dict[str, Any]) -> None:
    """The samples are checked, and through the tests above everything that we encode from them."""
    problems = validate(sample(row["file"]), row["schema"])
    allowed = row.get("known_schema_deviation") or []

    assert [problem for problem in problems if problem.split(":")[0] not in allowed] == []
