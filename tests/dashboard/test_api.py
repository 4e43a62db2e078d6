"""The JSON API: lists, one call, files to take away."""

from __future__ import annotations

import asyncio
import csv
import inspect
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.clock import SystemClock
from callpath.dashboard import changes, documents
from callpath.dashboard.api import EXPORT_PAGE, _cell, openapi_document
from callpath.dashboard.documents import entry_document
from callpath.timeline import (
    KINDS,
    DtmfReceived,
    Entry,
    HandlerFailed,
    Noted,
    RecordingNotStored,
    RecordingSaved,
    Unknown,
    WebhookReceived,
    describe,
)
from callpath.wire.ids import SessionId
from tests.dashboard.calls import (
    AT,
    TOKEN,
    Looking,
    accepted_call,
    failed_call,
    good_call,
    looking,
    webhook,
)


@pytest.fixture
async def it(tmp_path: Path) -> AsyncIterator[Looking]:
    async with looking(tmp_path) as it:
        await it.take("good-call", good_call())
        await it.take("failed-call", failed_call("+4930123456", "failed-call"), AT + 1000)
        await it.take("live-call", accepted_call(), AT + 2000)
        yield it


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_a_row_says_what_came_of_a_call(it: Looking) -> None:
    """The list alone must tell which call to open."""
    live, failed, good = (await it.get("/calls"))["calls"]

    assert ("live", "answered", 4) == (live["outcome"], live["state"], live["stages_reached"])
    assert ("failed", "WebSocket connection received") == (failed["outcome"], failed["missing"]["label"])
    assert "streaming.failed: connection_failed" == failed["problem"]
    assert ("good", None, 500, 499) == (good["outcome"], good["missing"], good["frames_in"], good["frames_out"])
    assert ("incoming", "+1555•••23", "normal_clearing") == (
        good["direction"],
        good["from_number"],
        good["hangup_cause"],
    )


async def test_pages_follow_each_other(it: Looking) -> None:
    """`next` leads to what comes after, and is null at the end."""
    first = await it.get("/calls", limit=2)
    second = await it.get("/calls", limit=2, cursor=first["next"])

    assert ["live-call", "failed-call"] == [one["session"] for one in first["calls"]]
    assert (["good-call"], None) == ([one["session"] for one in second["calls"]], second["next"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "4930"}, ["failed-call"]),
        ({"q": "connection"}, []),
        ({"q": "FAILED-CALL"}, ["failed-call"]),
        ({"outcome": "good"}, ["good-call"]),
        ({"direction": "outgoing"}, []),
        ({"direction": "incoming", "outcome": "live"}, ["live-call"]),
    ],
)
async def test_a_list_is_searched_and_filtered(it: Looking, query: dict[str, str], found: list[str]) -> None:
    """By any part of a number, even where it is shown masked."""
    assert found == [one["session"] for one in (await it.get("/calls", **query))["calls"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/calls?cursor=!!", 400),
        ("/calls?limit=100000", 422),
        ("/calls?outcome=odd", 422),
        ("/calls/nobody", 404),
        ("/calls/good-call/recordings/1/outline", 404),
        ("/calls/good-call/recordings/999.wav", 404),
        ("/nothing", 404),
        ("/doctor/reports/none.md", 404),
    ],
)
async def test_what_cannot_be_answered_is_said(it: Looking, path: str, status: int) -> None:
    """A wrong address is the asker's fault, never a crash."""
    answer = await it.http.get(f"/api/v1{path}")

    assert status == answer.status_code
    assert answer.json()["detail"]


async def test_totals(it: Looking) -> None:
    """The tiles above the list."""
    totals = await it.get("/totals")

    assert (3, 1, 1, 0, 1, 0) == tuple(
        totals[name] for name in ("calls", "live", "good", "flawed", "failed", "refused")
    )


# --- one call --------------------------------------------------------------------------------------------------------


async def test_a_call_has_its_stages_and_the_one_that_is_missing(it: Looking) -> None:
    """The four markers, by number, and a sentence."""
    call = await it.get("/calls/failed")
    reached = [stage["name"] for stage in call["stages"] if stage["at_unix_ms"]]

    assert ["webhook_received", "call_answered", "stream_starting", "stream_accepted"] == reached
    assert {"stream_starting": 1, "stream_accepted": 3, "socket_received": 4} == {
        stage["name"]: stage["marker"] for stage in call["stages"] if stage["marker"]
    }
    assert call["sentence"].startswith("Stage 5 of 8")
    assert "http://127.0.0.1:8000/api/calls/webhook" == call["webhook_url"]
    assert call["diagnosis"] is None


async def test_each_entry_is_there_whole(it: Looking) -> None:
    """With its raw body, in the lane where it is drawn."""
    call = await it.get("/calls/good-call")
    first = call["entries"][0]

    assert ("webhooks", "webhook.received", "Webhook call.initiated: a call comes in") == (
        first["lane"],
        first["kind"],
        first["line"],
    )
    assert "call.initiated" == first["what"]["body"]["data"]["event_type"]
    assert len(good_call()) == len(call["entries"])
    assert call["entries"][5:] == await it.get("/calls/good-call/entries", after=call["entries"][4]["number"])


async def test_every_kind_of_entry_has_a_lane(it: Looking) -> None:
    """A kind that was added to the timeline and not given its lane would be drawn as the handler's."""
    whole = [*good_call(), *failed_call()]
    await it.take("both", whole)
    placed = {entry["lane"] for entry in (await it.get("/calls/both"))["entries"]}
    named = inspect.getsource(documents._place)

    assert {"webhooks", "commands", "socket", "audio", "handler"} == placed
    assert [] == [kind.__name__ for kind in KINDS if f"{kind.__name__}()" not in named and kind is not Unknown]


async def test_numbers_and_keys_are_masked_everywhere(it: Looking, tmp_path: Path) -> None:
    """The raw bodies too; the setting shows them, for those who may see them."""
    extra = [DtmfReceived(digit="7"), Noted(text="asked +15555550123 back"), webhook("call.dtmf.received", digit="7")]
    await it.take("good-call", extra)
    texts = [
        (await it.http.get(f"/api/v1{path}")).text for path in ("/calls", "/calls/good-call", "/export?format=json")
    ]
    async with looking(tmp_path, dashboard_numbers="full") as open_:
        await open_.take("good-call", good_call())
        shown = (await open_.http.get("/api/v1/calls/good-call")).text

    assert [] == [found for text in texts for found in re.findall(r"\+\d{7,}", text)]
    assert "+15555550123" in shown
    assert '"digit":"7"' not in texts[1]


async def test_the_doctor_has_the_word_on_a_call(tmp_path: Path) -> None:
    """Where it has one: the door is narrow, from a timeline to a diagnosis."""
    from callpath.doctor.engine import judge
    from callpath.doctor.facts import Facts

    seen: list[int] = []

    def diagnose(entries: object) -> object:
        seen.append(len(entries))  # type: ignore[arg-type]
        return judge("wss://calls.example.com/x", Facts())

    async with looking(tmp_path, door={"diagnose_call": diagnose}) as it:
        await it.take("call", failed_call())
        call = await it.get("/calls/call")
        report = await it.http.get("/api/v1/calls/call/report.html")

        assert (1, "wss://calls.example.com/x") == (call["diagnosis"]["schema_version"], call["diagnosis"]["url"])
        assert [len(failed_call())] * 2 == seen
        assert "callpath doctor" in report.text


# --- resending -------------------------------------------------------------------------------------------------------


async def test_a_webhook_is_resent_under_its_own_id_or_a_new_one(it: Looking) -> None:
    """The first shows that a repeat changes nothing, the second has the server act again."""
    post = "/api/v1/calls/good-call/entries/1/resend"
    same = (await it.http.post(post)).json()
    new = (await it.http.post(f"{post}?as_new=true")).json()

    assert (False, True) == (same["new"], new["new"])
    assert [same["event_id"], new["event_id"]] == [one for one, _ in it.resent]
    assert [same["event_id"], new["event_id"]] == [body["data"]["id"] for _, body in it.resent]
    assert "+1" in str(it.resent[0][1])  # whole, not as it is shown


async def test_only_webhooks_are_resent(it: Looking) -> None:
    """A command is sent again by its own means, if at all."""
    command = await it.http.post("/api/v1/calls/good-call/entries/2/resend")
    nothing = await it.http.post("/api/v1/calls/good-call/entries/99/resend")
    elsewhere = await it.http.post(
        "/api/v1/calls/good-call/entries/1/resend", headers={"Origin": "http://evil.example"}
    )

    assert [400, 404, 403] == [command.status_code, nothing.status_code, elsewhere.status_code]
    assert [] == it.resent


# --- files -----------------------------------------------------------------------------------------------------------


async def test_calls_are_exported_as_csv(it: Looking) -> None:
    """One line a call, and nothing that a spreadsheet takes for a formula."""
    await it.take(
        "bad-call", [*good_call()[:-3], HandlerFailed(error="=cmd|x", traceback=""), *good_call()[-3:]], AT + 5000
    )
    answer = await it.http.get("/api/v1/export")
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert "attachment" in answer.headers["content-disposition"]
    assert ["bad-call", "live-call", "failed-call", "good-call"] == [row["session"] for row in rows]
    assert ("'=cmd|x", "WebSocket connection received") == (rows[0]["problem"], rows[2]["missing_stage"])


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("-cmd", "'-cmd"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+1(555)", "'+1(555)"),
        ("+15555550123", "+15555550123"),
        ("+1555•••23", "+1555•••23"),
        ("", ""),
        (-5, -5),
        (["SYM001", "SYM002"], "SYM001 SYM002"),
    ],
)
def test_no_cell_is_a_formula(value: Any, cell: Any) -> None:
    """Numbers of callers come from outside, and an export is opened in a spreadsheet. A phone number stays one."""
    assert cell == _cell(value)


async def test_the_stream_of_changes_ends_with_the_session(tmp_path: Path) -> None:
    """Who was logged out, or whose twelve hours are over, is told nothing more."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with looking(tmp_path, dashboard_token=TOKEN, door={"clock": SystemClock()}) as it:
        await it.http.post("/api/v1/login", json={"token": TOKEN})
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(it.http.get("/api/v1/changes"))
            await asyncio.sleep(0)
            await it.http.post("/api/v1/logout")
        after = await it.http.get("/api/v1/calls", headers=headers)

        assert 200 == watching.result().status_code
        assert 200 == after.status_code


async def test_open_pages_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks the call log three times a second. A page that is closed makes room."""
    async with looking(tmp_path, door={"stopping": lambda: True}) as it:
        monkeypatch.setattr(changes, "WATCHERS_MAX", 1)
        one_by_one = [(await it.http.get("/api/v1/changes")).status_code for _ in range(3)]
        monkeypatch.setattr(changes, "WATCHERS_MAX", 0)
        refused = await it.http.get("/api/v1/changes")

        assert [200, 200, 200] == one_by_one
        assert (503, True) == (refused.status_code, "close one" in refused.json()["detail"])


async def test_an_export_is_not_cut_at_a_page(tmp_path: Path) -> None:
    """Whoever exports wants all that fits the filter."""
    async with looking(tmp_path) as it:
        for number in range(EXPORT_PAGE + 5):
            await it.take(f"call-{number}", [Noted(text="x")], AT + number)
        exported = await it.get("/export", format="json")
        found = await it.get("/export", format="json", q=f"call-{EXPORT_PAGE + 4}")

        assert EXPORT_PAGE + 5 == len({row["session"] for row in exported})
        assert [f"call-{EXPORT_PAGE + 4}"] == [row["session"] for row in found]


async def test_a_recording_that_could_not_be_written_is_shown_without_its_folder(it: Looking) -> None:
    """Where it lies is the server's business, as it is of one that was written."""
    full = RecordingNotStored(
        path="/d/rec/call.wav", code="REC007", slug="disk_full", detail="the disk is full, in /d/rec", recorded_ms=900.0
    )
    await it.take("good-call", [full])
    call = await it.get("/calls/good-call")

    assert "Recording call.wav ended after 0.9 s (REC007): the disk is full" == call["entries"][-1]["line"]


async def test_a_recording_is_heard_and_drawn(it: Looking, tmp_path: Path) -> None:
    """In parts, as a player asks for it; its outline is made here, so that the page need not fetch it all."""
    path = tmp_path / "recordings" / "call.wav"
    path.parent.mkdir()
    write_wav(path, (tone(440, duration_ms=1000), tone(440, duration_ms=500)), 8000)
    await it.take("good-call", [RecordingSaved(path=str(path), duration_ms=1000.0)], AT + 3000)
    call = await it.get("/calls/good-call")
    (recording,) = call["recordings"]
    base = f"/api/v1/calls/good-call/recordings/{recording['number']}"
    part = await it.http.get(f"{base}.wav", headers={"Range": "bytes=0-43"})
    outline = (await it.http.get(f"{base}/outline")).json()

    assert (206, b"RIFF") == (part.status_code, part.content[:4])
    assert AT + 2000 == recording["began_unix_ms"]
    assert "Recording saved: call.wav (1.0 s)" == call["entries"][-1]["line"]
    assert ["caller", "bot"] == [side["name"] for side in outline["sides"]]
    assert [-12.0, -100.0] == [outline["sides"][1]["levels_dbfs"][0], outline["sides"][1]["levels_dbfs"][-1]]


async def test_no_other_file_can_be_had(it: Looking, tmp_path: Path) -> None:
    """A timeline that names a file elsewhere does not open it."""
    await it.take("good-call", [RecordingSaved(path="/etc/passwd", duration_ms=1.0)])
    number = (await it.get("/calls/good-call"))["recordings"][0]["number"]
    answer = await it.http.get(f"/api/v1/calls/good-call/recordings/{number}.wav")

    assert 404 == answer.status_code


# --- the description -------------------------------------------------------------------------------------------------


def test_the_description_names_every_operation() -> None:
    """The pages' client is made from it."""
    operations = {one["operationId"] for path in openapi_document()["paths"].values() for one in path.values()}

    assert {
        "listCalls",
        "getTotals",
        "exportCalls",
        "getCall",
        "getEntries",
        "resendWebhook",
        "getOutline",
    } <= operations
    assert {"watchChanges", "probe", "getReport", "getCallReport", "getSetup", "getHello", "getRecording"} <= operations


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"transcript": "my name is Ada", "is_final": True}, ": “my name is Ada”"),
        ({"transcript": "hello", "is_final": True, "transcription_track": "outbound"}, " (outbound): “hello”"),
        ({"transcript": "my na", "is_final": False}, ""),
        ({"transcript": "a" * 5000}, f": “{'a' * 300}…”"),
        ({"transcript": None}, ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_what_was_said_stands_on_the_calls_page_and_in_no_other_line(said: Any, shown: str) -> None:
    """Whoever looks at a call reads the conversation there. Logs and reports go to other people."""
    body = {"data": {"payload": {"transcription_data": said}}}
    what = WebhookReceived(event_type="call.transcription", event_id="e", body=body)
    document = entry_document(Entry(session=SessionId("s"), at_unix_ms=1, what=what), masked=False)

    assert f"Webhook call.transcription{shown}" == document.line
    assert "Webhook call.transcription" == describe(what)
