"""The API over a real loopback port: the answers a client gets, in Telnyx's shape."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from callpath.simulator.api import ACTIONS, NOT_SIMULATED
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Callee, Simulator
from callpath.wire.document import Json
from tests.telnyx import sample, validate

DIAL = {"connection_id": "2900000000000000001", "to": "+15555550123", "from": "+15555550199"}
NOWHERE = "http://127.0.0.1:9/hook"  # the discard port: nobody listens


class Client:
    """A program with the API key of the simulator."""

    def __init__(self, telnyx: Simulator) -> None:
        self.base = telnyx.api_base
        self.headers = {b"authorization": f"Bearer {telnyx.api_key}".encode()}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Json]:
        async with httpx2.AsyncClient(trust_env=False, headers=self.headers) as http:
            answer = await http.request(method, self.base + path, **options)
            return answer.status_code, answer.json()


async def test_a_bad_key_is_refused_before_anything_else() -> None:
    """401 with 10009: the first thing a doctor looks at."""
    async with Simulator() as telnyx:
        for header in (b"Bearer KEYwrong", b"", telnyx.api_key.encode(), "Bearer schlüssel".encode()):
            client = Client(telnyx)
            client.headers = {b"authorization": header}

            assert (401, sample("api/error-401-10009.json")) == await client.ask("POST", "/calls/x/actions/answer")


async def test_unknown_paths_and_ids() -> None:
    """A wrong path is 404, a wrong call 422: two different mistakes."""
    async with Simulator() as telnyx:
        client = Client(telnyx)

        assert (404, sample("api/error-404-10005.json")) == await client.ask("GET", "/nonsense")
        assert (404, sample("api/error-404-10005.json")) == await client.ask("GET", "/calls/v3:nobody")
        assert (404, sample("api/error-404-10005.json")) == await client.ask("POST", "/calls/x/actions/fly", json={})
        assert (422, sample("api/error-422-90015-bad-call-control-id.json")) == await client.ask(
            "POST", "/calls/v3:nobody/actions/answer", json={}
        )


async def test_an_id_is_taken_raw_and_percent_encoded() -> None:
    """Both are common in programs, and both work with Telnyx."""
    async with Simulator(NOWHERE) as telnyx:
        leg = (await telnyx.call()).call.leg
        client = Client(telnyx)

        for written in (leg.call_control_id, leg.call_control_id.replace(":", "%3A")):
            status, document = await client.ask("POST", f"/calls/{written}/actions/answer", json={})
            assert (200, sample("api/command.response.200.json")) == (status, document)


@pytest.mark.parametrize("body", [b"not json", b"[1]", b'"x"', b"\xff\xfe"])
async def test_bodies_that_are_no_object(body: bytes) -> None:
    """400 in Telnyx's shape, never a stack trace."""
    async with Simulator(NOWHERE) as telnyx:
        leg = (await telnyx.call()).call.leg
        status, document = await Client(telnyx).ask(
            "POST", f"/calls/{leg.call_control_id}/actions/answer", content=body
        )

        assert (400, "10015") == (status, document["errors"][0]["code"])
        assert [] == validate(document, "openapi-subset.json#/components/schemas/call-control_Errors")


async def test_a_body_that_is_too_large() -> None:
    """The simulator stays small whatever is posted."""
    async with Simulator(NOWHERE) as telnyx:
        status, document = await Client(telnyx).ask("POST", "/calls", content=b" " * ((1 << 20) + 1))

        assert (413, "10015") == (status, document["errors"][0]["code"])


async def test_what_is_not_simulated_says_so() -> None:
    """200 for something that never happens would be a lie, 404 would say that Telnyx has no such command."""
    async with Simulator() as telnyx:
        for name in NOT_SIMULATED:
            assert name not in ACTIONS
            status, document = await Client(telnyx).ask("POST", f"/calls/x/actions/{name}", json={})

            assert (501, "Not simulated") == (status, document["errors"][0]["title"])


async def test_one_command_is_a_put() -> None:
    """client_state_update; with POST it does not exist, and the others are no PUT."""
    async with Simulator(NOWHERE) as telnyx:
        leg = (await telnyx.call()).call.leg
        actions = f"/calls/{leg.call_control_id}/actions"
        client = Client(telnyx)
        body = {"client_state": "YQ=="}

        assert (200, sample("api/command.response.200.json")) == await client.ask(
            "PUT", f"{actions}/client_state_update", json=body
        )
        assert 404 == (await client.ask("POST", f"{actions}/client_state_update", json=body))[0]
        assert 404 == (await client.ask("PUT", f"{actions}/answer", json=body))[0]
        assert "YQ==" == (await client.ask("GET", f"/calls/{leg.call_control_id}"))[1]["data"]["client_state"]


async def test_one_dial_too_many() -> None:
    """90103, counted over five seconds; a repeated command_id is no new dial."""
    async with Simulator(NOWHERE, options=CarrierOptions(dials_max=2)) as telnyx:
        client = Client(telnyx)
        for command_id in ("a", "b", "a"):
            assert 200 == (await client.ask("POST", "/calls", json=DIAL | {"command_id": command_id}))[0]

        assert (429, sample("api/error-429-90103-dial-rate.json")) == await client.ask("POST", "/calls", json=DIAL)


async def test_one_request_too_many() -> None:
    """10011 with the three headers that tell when to come again."""
    async with Simulator(NOWHERE, options=CarrierOptions(requests_max=1)) as telnyx:
        client = Client(telnyx)
        async with httpx2.AsyncClient(trust_env=False, headers=client.headers) as http:
            first = await http.get(f"{client.base}/calls/v3:nobody")
            second = await http.get(f"{client.base}/calls/v3:nobody")

        assert (404, 429) == (first.status_code, second.status_code)
        assert sample("api/error-429-10011.json") == second.json()
        assert ("1", "0") == (second.headers["x-ratelimit-limit"], second.headers["x-ratelimit-remaining"])
        assert second.headers["x-ratelimit-reset"] in ("0", "1")


@pytest.mark.parametrize(("fault", "status", "carried_out"), [("api_429", 429, False), ("api_500", 500, False)])
async def test_answers_that_say_try_again(fault: str, status: int, carried_out: bool) -> None:
    """Nothing happened; the next try gets through."""
    async with Simulator(NOWHERE) as telnyx:
        call = await telnyx.call(faults=[fault])
        client, path = Client(telnyx), f"/calls/{call.call.leg.call_control_id}/actions/hangup"

        answer, document = await client.ask("POST", path, json={})
        assert [] == validate(document, "openapi-subset.json#/components/schemas/call-control_Errors")
        assert (status, "parked") == (answer, call.call.state)
        assert 200 == (await client.ask("POST", path, json={}))[0]


async def test_a_connection_that_breaks_after_the_command() -> None:
    """The command was carried out; only its command_id saves the client from doing it twice."""
    async with Simulator(NOWHERE) as telnyx:
        call = await telnyx.call(faults=["api_reset"])
        client, path = Client(telnyx), f"/calls/{call.call.leg.call_control_id}/actions/answer"
        with pytest.raises(httpx2.TransportError):
            await client.ask("POST", path, json={"command_id": "c"})
        await call.answered()

        assert 200 == (await client.ask("POST", path, json={"command_id": "c"}))[0]


async def test_an_answer_that_does_not_come() -> None:
    """The client gives up first; the command was carried out."""
    async with Simulator(NOWHERE) as telnyx:
        call = await telnyx.call(faults=["api_timeout"])
        with pytest.raises(httpx2.ReadTimeout):
            await Client(telnyx).ask(
                "POST", f"/calls/{call.call.leg.call_control_id}/actions/hangup", json={}, timeout=0.2
            )

        assert "ended" == call.call.state


async def test_a_dial_that_breaks() -> None:
    """Faults of the next callee meet the dial itself."""
    async with Simulator(NOWHERE) as telnyx:
        telnyx.callee = Callee(faults=["api_500"], never_answers=True)

        assert 500 == (await Client(telnyx).ask("POST", "/calls", json=DIAL))[0]
        assert 200 == (await Client(telnyx).ask("POST", "/calls", json=DIAL))[0]


async def test_recordings_are_fetched_without_a_key_and_expire() -> None:
    """As from the storage behind Telnyx's addresses."""
    async with Simulator(NOWHERE) as telnyx:
        root = telnyx.api_base.removesuffix("/v2")
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert 403 == (await http.get(f"{root}/recordings/none.wav")).status_code


async def test_answer_and_dial_name_the_recording_asked_for() -> None:
    """`recording_id` in the answer, documented for these two."""
    async with Simulator(NOWHERE) as telnyx:
        leg = (await telnyx.call()).call.leg
        client, record = Client(telnyx), {"record": "record-from-answer"}
        _, answered = await client.ask("POST", f"/calls/{leg.call_control_id}/actions/answer", json=record)
        _, dialled = await client.ask("POST", "/calls", json=DIAL | record)

        assert {"result", "recording_id"} == answered["data"].keys()
        assert "recording_id" in dialled["data"]


@pytest.mark.parametrize(
    ("other", "body", "code"),
    [("nobody", {}, "90015"), ("itself", {}, "90015"), ("ended", {}, "90018")],
)
async def test_whom_a_call_cannot_be_bridged_with(other: str, body: Json, code: str) -> None:
    """The pointer leads to the other id where that is what is wrong."""
    async with Simulator(NOWHERE) as telnyx:
        call, ended = await telnyx.call(), await telnyx.call()
        await ended.hangup()
        me = call.call.leg.call_control_id
        ids = {"nobody": "v3:nobody", "itself": me, "ended": ended.call.leg.call_control_id}
        status, document = await Client(telnyx).ask(
            "POST", f"/calls/{me}/actions/bridge", json=body | {"call_control_id": ids[other]}
        )

        assert (422, code) == (status, document["errors"][0]["code"])


async def test_dial_answers_as_documented() -> None:
    """The same dial again with its command_id is the same call."""
    async with Simulator(NOWHERE) as telnyx:
        client = Client(telnyx)
        status, first = await client.ask("POST", "/calls", json=DIAL | {"command_id": "d"})
        _, again = await client.ask("POST", "/calls", json=DIAL | {"command_id": "d"})
        _, other = await client.ask("POST", "/calls", json=DIAL | {"command_id": "e"})

        assert 200 == status
        assert sample("api/dial.response.200.json")["data"].keys() == first["data"].keys()
        assert first["data"]["is_alive"] is False
        assert first == again
        assert first != other


@pytest.mark.parametrize(
    ("webhook_url", "options", "connection_id", "status"),
    [
        (NOWHERE, CarrierOptions(), "2900000000000000002", 422),
        (None, CarrierOptions(), "2900000000000000001", 422),
        (NOWHERE, CarrierOptions(any_connection_id=True), "42", 200),
        (NOWHERE, CarrierOptions(any_connection_id=True), "mine", 422),
    ],
)
async def test_which_applications_may_dial(
    webhook_url: str | None, options: CarrierOptions, connection_id: str, status: int
) -> None:
    """An unknown application, or one without a webhook URL, is 10015."""
    async with Simulator(webhook_url, options=options) as telnyx:
        answer, document = await Client(telnyx).ask("POST", "/calls", json=DIAL | {"connection_id": connection_id})

        assert status == answer
        if status == 422:
            assert sample("api/error-422-10015-bad-connection-id.json") == document


async def test_what_can_be_asked_about_a_call() -> None:
    """A doctor reads these; each has the documented shape."""
    async with Simulator(NOWHERE) as telnyx:
        leg = (await telnyx.call()).call.leg
        client = Client(telnyx)
        await client.ask("POST", f"/calls/{leg.call_control_id}/actions/streaming_start", json={})
        _, status = await client.ask("GET", f"/calls/{leg.call_control_id}")
        _, active = await client.ask("GET", f"/connections/{leg.connection_id}/active_calls")
        _, events = await client.ask("GET", f"/call_events?filter[leg_id]={leg.call_leg_id}&filter[type]=command")
        _, application = await client.ask("GET", f"/call_control_applications/{leg.connection_id}")

        paths = "openapi-subset.json#/paths/"
        schema = "/get/responses/200/content/application~1json/schema"
        assert [] == validate(status, f"{paths}~1calls~1{{call_control_id}}{schema}")
        assert [] == validate(active, f"{paths}~1connections~1{{connection_id}}~1active_calls{schema}")
        assert [] == validate(events, f"{paths}~1call_events{schema}")
        assert [] == validate(application, f"{paths}~1call_control_applications~1{{id}}{schema}")
        assert [leg.call_control_id] == [row["call_control_id"] for row in active["data"]]
        assert [("streaming_start", {"status": 422})] == [(row["name"], row["metadata"]) for row in events["data"]]


async def test_deliveries_are_listed_newest_first_and_filtered() -> None:
    """The exact answer of a server is the best evidence of a webhook that went wrong."""
    async with Simulator(NOWHERE, options=CarrierOptions(webhook_retry_ms=())) as telnyx:
        call = await telnyx.call()
        await call.hangup()
        await call.ended()
        client = Client(telnyx)
        _, hangups = await client.ask(
            "GET", "/webhook_deliveries?filter[event_type]=call.hangup&filter[status][eq]=failed"
        )
        _, none = await client.ask("GET", "/webhook_deliveries?filter[status]=delivered")
        _, page = await client.ask("GET", "/webhook_deliveries?page[number]=2&page[size]=1")
        _, one = await client.ask("GET", f"/webhook_deliveries/{hangups['data'][0]['id']}")

        schema = "openapi-subset.json#/paths/~1webhook_deliveries/get/responses/200/content/application~1json/schema"
        assert [] == validate(hangups, schema)
        assert ["call.hangup"] == [row["webhook"]["event_type"] for row in hangups["data"]]
        assert [] == none["data"]
        assert {"page_number": 2, "page_size": 1, "total_pages": 2, "total_results": 2} == page["meta"]
        assert hangups["data"][0] == one["data"]


@pytest.mark.parametrize("query", ["page[size]=251", "page[size]=0", "page[number]=x"])
async def test_pages_have_documented_bounds(query: str) -> None:
    """250 rows is the maximum."""
    async with Simulator() as telnyx:
        status, document = await Client(telnyx).ask("GET", f"/call_events?{query}")

        assert (422, "10033") == (status, document["errors"][0]["code"])


async def test_dials_are_refused_as_telnyx_refuses_for_the_account() -> None:
    """The code is a number and the title is missing: a client that only knows the documented shape breaks on it."""
    async with Simulator(NOWHERE, options=CarrierOptions(dial_refused="D60")) as telnyx:
        status, document = await Client(telnyx).ask("POST", "/calls", json=DIAL)

    assert (403, 10010, "D60") == (status, document["errors"][0]["code"], document["telnyx_error"]["error_code"])
    assert "title" not in document["errors"][0]
    assert [("dial", ("10010",))] == [(one.name, one.codes) for one in telnyx.requests]


@pytest.mark.parametrize(
    "path", ["/recordings", "/ai/assistants", "/texml/Accounts/a/Calls", "/outbound_voice_profiles", "/texml/calls/1"]
)
async def test_paths_that_are_not_simulated_say_so(path: str) -> None:
    """404 would say that the thing does not exist; whoever reads it looks for a fault in the account."""
    async with Simulator() as telnyx:
        status, document = await Client(telnyx).ask("POST", path, json={})

    assert (501, "Not simulated") == (status, document["errors"][0]["title"])


async def test_what_telnyx_does_not_have_is_not_found() -> None:
    """A mistyped path must not be taken for something that the simulator lacks."""
    async with Simulator() as telnyx:
        status, document = await Client(telnyx).ask("POST", "/conferenses", json={})

    assert (404, "10005") == (status, document["errors"][0]["code"])


async def test_the_number_of_calls_is_bounded() -> None:
    """Ended calls make room; an alive one too many is refused."""
    async with Simulator(NOWHERE, options=CarrierOptions(calls_max=2)) as telnyx:
        client = Client(telnyx)
        first = await telnyx.call()
        await telnyx.call()
        status, document = await client.ask("POST", "/calls", json=DIAL)
        assert (403, {"error_code": "D1"}) == (status, document["telnyx_error"])
        assert {"code": 10010, "detail": "User channel limit exceeded D1."} == document["errors"][0]

        await first.hangup()
        assert 200 == (await client.ask("POST", "/calls", json=DIAL))[0]
        assert 2 == len(telnyx.calls)


async def test_a_conference_over_http() -> None:
    """Made of an answered call, found by its name, joined, listed, changed and ended; each answer in Telnyx's shape."""
    async with Simulator(NOWHERE, callees={"*": "hello,rings=0s"}) as telnyx:
        client = Client(telnyx)
        one, other = await telnyx.call(), await telnyx.call(from_="+15555550124")
        own = one.call.leg.call_control_id
        create = {"call_control_id": own, "name": "demo-1"}
        assert "90034" == (await client.ask("POST", "/conferences", json=create))[1]["errors"][0]["code"]
        for caller in (one, other):
            await client.ask("POST", f"/calls/{caller.call.leg.call_control_id}/actions/answer", json={})
            await caller.answered()
        status, made = await client.ask("POST", "/conferences", json=create)
        conference = made["data"]["id"]
        again = await client.ask(
            "POST", "/conferences", json=create | {"call_control_id": other.call.leg.call_control_id}
        )
        listed = await client.ask("GET", "/conferences?filter[name]=demo-1&filter[status]=in_progress")
        join = {"call_control_id": other.call.leg.call_control_id, "mute": True}
        joined = await client.ask("POST", "/conferences/demo-1/actions/join", json=join)
        rows = (await client.ask("GET", f"/conferences/{conference}/participants"))[1]["data"]
        change = {"end_conference_on_exit": True}
        participant = f"/conferences/{conference}/participants/{rows[1]['id']}"
        changed = await client.ask("PATCH", participant, json=change)
        wrong = await client.ask("POST", "/conferences/nobody/actions/mute", json={})
        region = await client.ask("POST", f"/conferences/{conference}/actions/mute", json={"region": "Moon"})
        recorded = await client.ask("POST", f"/conferences/{conference}/actions/record_start", json={"format": "wav"})
        await client.ask("POST", "/calls", json=DIAL | {"to": "+15555550133", "conference_config": {"id": conference}})
        third = await telnyx.next_dialled()
        await third.answered()
        ended = await client.ask("POST", f"/conferences/{conference}/actions/end", json={})
        over = await client.ask("POST", f"/conferences/{conference}/actions/mute", json={})
        unknown = await client.ask("POST", "/calls", json=DIAL | {"conference_config": {"id": "nobody"}})

        assert (200, made) == (status, listed[1]["data"] and {"data": listed[1]["data"][0]})
        assert [] == validate(made["data"], "openapi-subset.json#/components/schemas/Conference")
        assert (422, sample("api/error-422-90033-conference-name.json")) == again
        assert (200, sample("api/conference_command.response.200.json")) == joined == ended
        assert [("joined", False), ("joined", True)] == [(row["status"], row["muted"]) for row in rows]
        assert [] == validate(rows[0], "openapi-subset.json#/components/schemas/ConferenceParticipant")
        assert (200, True) == (changed[0], changed[1]["data"]["end_conference_on_exit"])
        assert (404, sample("api/error-404-90058-no-conference.json")) == wrong
        assert (422, "10032") == (region[0], region[1]["errors"][0]["code"])
        assert 200 == recorded[0]
        assert "conference.recording.saved" in [seen.event_type for seen in one.webhooks]
        assert (422, sample("api/error-422-90019-conference-ended.json")) == over
        assert (404, "90058") == (unknown[0], unknown[1]["errors"][0]["code"])
        assert ["ended"] * 3 == [caller.call.state for caller in (one, other, third)]
        assert {"conference create", "conference join"} <= {seen.name for seen in (*one.commands, *other.commands)}


async def test_a_supervisor_is_dialled_into_a_call() -> None:
    """supervise_call_control_id: heard and hearing from its answer on; an unknown call is refused."""
    async with Simulator(NOWHERE, callees={"*": "answers,rings=0s"}) as telnyx:
        client = Client(telnyx)
        one = await telnyx.call()
        own = one.call.leg.call_control_id
        await client.ask("POST", f"/calls/{own}/actions/answer", json={})
        await one.answered()
        await client.ask("POST", "/calls", json=DIAL | {"supervise_call_control_id": own, "supervisor_role": "whisper"})
        coach = await telnyx.next_dialled()
        await coach.answered()
        nobody = await client.ask("POST", "/calls", json=DIAL | {"supervise_call_control_id": "v3:nobody"})

        assert (one.call, "whisper") == (coach.call.supervised, coach.call.supervisor_role)
        assert (422, "90015") == (nobody[0], nobody[1]["errors"][0]["code"])


async def test_a_queue_over_http() -> None:
    """Made, joined, listed, and its head taken by a bridge."""
    async with Simulator(NOWHERE) as telnyx:
        client = Client(telnyx)
        waiting, agent = await telnyx.call(), await telnyx.call(from_="+15555550124")
        for caller in (waiting, agent):
            await client.ask("POST", f"/calls/{caller.call.leg.call_control_id}/actions/answer", json={})
            await caller.answered()
        own, desk = (f"/calls/{caller.call.leg.call_control_id}/actions" for caller in (waiting, agent))
        empty = await client.ask("POST", f"{desk}/bridge", json={"queue": "support"})
        made = await client.ask("POST", "/queues", json={"queue_name": "support"})
        await client.ask("POST", f"{own}/enqueue", json={"queue_name": "support"})
        again = {"queue_name": "support", "command_id": "a"}
        twice = await client.ask("POST", f"{own}/enqueue", json=again)
        assert twice == await client.ask("POST", f"{own}/enqueue", json=again)  # refused, so it was never carried out
        one = await client.ask("GET", "/queues/support")
        rows = await client.ask("GET", "/queues/support/calls")
        bridged = await client.ask("POST", f"{desk}/bridge", json={"queue": "support"})
        nobody = await client.ask("GET", "/queues/sales/calls")

        assert (422, "90033") == (empty[0], empty[1]["errors"][0]["code"])
        assert [] == validate(made[1]["data"], "openapi-subset.json#/components/schemas/Queue")
        assert (422, sample("api/error-422-90038-already-queued.json")) == twice
        assert (1, 300) == (one[1]["data"]["current_size"], one[1]["data"]["max_size"])
        assert [waiting.call.leg.call_control_id] == [row["call_control_id"] for row in rows[1]["data"]]
        assert (200, 404) == (bridged[0], nobody[0])
        assert waiting.call.opposite is agent.call
