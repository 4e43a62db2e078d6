"""What can be asked about the account, over a real loopback port: each answer in the documented shape."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.simulator.refusal import refuse
from callpath.simulator.simulator import Simulator
from tests.simulator.test_api import NOWHERE, Client
from tests.telnyx import validate

APPLICATION, NUMBER_ID, PROFILE = "2900000000000000001", "1293384261075731499", "2900000000000000002"


@pytest.mark.parametrize(
    ("path", "documented"),
    [
        ("/balance", "/balance"),
        ("/phone_numbers", "/phone_numbers"),
        (f"/phone_numbers/{NUMBER_ID}", "/phone_numbers/{id}"),
        ("/phone_numbers/voice", "/phone_numbers/voice"),
        (f"/phone_numbers/{NUMBER_ID}/voice", "/phone_numbers/{id}/voice"),
        ("/call_control_applications", "/call_control_applications"),
        (f"/call_control_applications/{APPLICATION}", "/call_control_applications/{id}"),
        (f"/connections/{APPLICATION}", "/connections/{id}"),
        ("/connections/42", "/connections/{id}"),
        (f"/connections/{APPLICATION}/active_calls", "/connections/{connection_id}/active_calls"),
        (f"/outbound_voice_profiles/{PROFILE}", "/outbound_voice_profiles/{id}"),
        ("/detail_records?filter[record_type]=media-streaming", "/detail_records"),
    ],
)
async def test_answers_have_the_documented_shape(path: str, documented: str) -> None:
    """A doctor that was tried on another shape than Telnyx's would fail on the first real account."""
    async with Simulator(NOWHERE) as telnyx:
        telnyx.account.add_connection("42")
        status, document = await Client(telnyx).ask("GET", path)
        pointer = documented.replace("/", "~1")
        schema = f"openapi-subset.json#/paths/{pointer}/get/responses/200/content/application~1json/schema"

        assert 200 == status
        assert [] == validate(document, schema)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter[phone_number]=15555550199", 1),
        ("filter[phone_number]=%2B15555550199", 0),
        ("filter[phone_number]=1555 5550199", 0),
        (f"filter[connection_id]={APPLICATION}", 1),
        ("filter[connection_id]=42", 0),
        ("filter[status]=active", 1),
        ("", 2),
    ],
)
async def test_numbers_are_found_by_bare_digits(query: str, found: int) -> None:
    """Documented: a plus in the filter finds nothing, which looks like a number that is not there."""
    async with Simulator() as telnyx:
        telnyx.account.add_number("+15555550177", None, status="port-pending")
        _, document = await Client(telnyx).ask("GET", f"/phone_numbers?{query}")

        assert found == len(document["data"])


async def test_a_sip_connection_is_no_application() -> None:
    """404 there, and 200 under connections: the one way to tell them apart."""
    async with Simulator() as telnyx:
        telnyx.account.add_connection("42", "ip_connection")
        client = Client(telnyx)
        missing, _ = await client.ask("GET", "/call_control_applications/42")
        status, document = await client.ask("GET", "/connections/42")

        assert (404, 200, "ip_connection") == (missing, status, document["data"]["record_type"])


@pytest.mark.parametrize(
    ("spelling", "query", "status"),
    [
        ("new", "filter[leg_id]=x", 200),
        ("new", "filter[call_leg_id]=x", 400),
        ("old", "filter[call_leg_id]=x", 200),
        ("old", "filter[leg_id]=x", 400),
        ("either", "filter[leg_id]=x", 200),
    ],
)
async def test_filters_of_events_were_renamed(spelling: Any, query: str, status: int) -> None:
    """Which names a real account takes is not settled; a doctor has to try both."""
    async with Simulator() as telnyx:
        telnyx.account.call_events_filters = spelling
        answered, document = await Client(telnyx).ask("GET", f"/call_events?{query}")

        assert status == answered
        if status == 400:
            assert "10031" == document["errors"][0]["code"]


async def test_an_application_is_changed_and_webhooks_follow() -> None:
    """Name and URL have to be in every change, as documented; the rest stays."""
    async with Simulator(NOWHERE) as telnyx:
        client = Client(telnyx)
        path = f"/call_control_applications/{APPLICATION}"
        refused, document = await client.ask("PATCH", path, json={"active": False})
        url = "http://127.0.0.1:9/other"
        change = {"application_name": "voice", "webhook_event_url": url, "inbound": {"channel_limit": 3}}
        changed, after = await client.ask("PATCH", path, json=change)

        assert (422, "/application_name") == (refused, document["errors"][0]["source"]["pointer"])
        assert (200, url, 3, False) == (
            changed,
            after["data"]["webhook_event_url"],
            after["data"]["inbound"]["channel_limit"],
            after["data"]["inbound"]["shaken_stir_enabled"],
        )
        assert url == telnyx.webhook_url


async def test_a_number_is_moved() -> None:
    """To a connection that exists."""
    async with Simulator() as telnyx:
        telnyx.account.add_application("43", NOWHERE)
        client = Client(telnyx)
        moved, document = await client.ask("PATCH", f"/phone_numbers/{NUMBER_ID}", json={"connection_id": "43"})
        refused, _ = await client.ask("PATCH", f"/phone_numbers/{NUMBER_ID}", json={"connection_id": "44"})
        _, voice = await client.ask("GET", f"/phone_numbers/{NUMBER_ID}/voice")

        assert (200, "43", 404) == (moved, document["data"]["connection_id"], refused)
        assert "43" == voice["data"]["connection_id"]


@pytest.mark.parametrize(
    "wrong",
    [{"active": False}, {"id": "other"}, {"number": {"status": "ported-out"}}, {"number": {"connection_id": None}}],
)
async def test_a_call_to_a_number_that_leads_elsewhere_makes_no_webhook(wrong: dict[str, Any]) -> None:
    """That is how a wrong account shows itself: nothing comes."""
    async with Simulator(NOWHERE) as telnyx:
        telnyx.account.number.update(wrong.pop("number", {}))
        telnyx.account.application.update(wrong)
        call = await telnyx.call()

        assert [] == call.webhooks


async def test_a_question_may_be_refused() -> None:
    """Keys can be limited; the doctor goes on with what it may ask."""
    async with Simulator() as telnyx:
        telnyx.account.refusals["/balance"] = refuse("10005")
        client = Client(telnyx)

        assert (404, 200) == ((await client.ask("GET", "/balance"))[0], (await client.ask("GET", "/phone_numbers"))[0])
        assert ["GET /balance", "GET /phone_numbers"] == telnyx.account.asked


@pytest.mark.parametrize("query", ["", "?filter[record_type]=media-streaming&page[size]=51"])
async def test_detail_records_have_bounds_of_their_own(query: str) -> None:
    """A record type must be named, and a page holds 50."""
    async with Simulator() as telnyx:
        status, _ = await Client(telnyx).ask("GET", f"/detail_records{query}")

        assert status in (400, 422)


async def test_detail_records_by_any_field() -> None:
    """Their fields are not documented; they are looked for by the call's ids."""
    async with Simulator() as telnyx:
        rows = [{"record_type": "media-streaming", "call_leg_id": leg} for leg in ("a", "b")]
        telnyx.account.detail_records = [*rows, {"record_type": "call-control", "call_leg_id": "a"}]
        query = "filter[record_type]=media-streaming&filter[call_leg_id]=a&filter[date_range]=today"
        _, document = await Client(telnyx).ask("GET", f"/detail_records?{query}")

        assert rows[:1] == document["data"]
