"""The live probe: which URL, each step as it is done, and a report to share; and the check of the account."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from callpath.cli.doctor_account import ask_account
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.dashboard.probing import is_phones, of_one_host, probe_url
from callpath.doctor.examination import OnStep
from callpath.doctor.verdict import Diagnosis
from callpath.server.builtin import BUILTIN
from callpath.simulator.simulator import Simulator
from callpath.timeline import StreamUrl
from tests.dashboard.browsing import dashboard_server
from tests.dashboard.calls import failed_call, looking
from tests.dashboard.test_changes import parsed


@pytest.mark.parametrize(
    ("stream_url", "probed"),
    [
        ("wss://a.example/api/calls/123/audio", "wss://a.example/api/calls/test-connection/audio"),
        ("wss://a.example:8443/api/calls/123/audio/***", "wss://a.example:8443/api/calls/test-connection/audio"),
        ("wss://a.example/base/api/calls/1%2F2/audio", "wss://a.example/base/api/calls/test-connection/audio"),
        ("wss://a.example/media", None),
        (None, None),
    ],
)
def test_the_way_of_a_call_is_probed_under_an_id_that_answers(stream_url: str | None, probed: str | None) -> None:
    """Its own id is over, and would be refused for that."""
    assert probed == probe_url(stream_url)


async def test_each_step_is_told_and_the_report_can_be_fetched(tmp_path: Path) -> None:
    """Nobody listens at the call's URL: the probe says so, layer by layer, and names the cause."""
    async with looking(tmp_path, door={"clock": SystemClock()}, public_url="http://127.0.0.1:9") as it:
        url = StreamUrl(url="ws://127.0.0.1:9/api/calls/call/audio")
        await it.take("call", [*failed_call(), url])
        answer = await it.http.post("/api/v1/doctor/probe", params={"session": "call"})
        events = [parsed(block.encode()) for block in answer.text.strip().split("\n\n")]
        (found,) = [data for name, data, _ in events if name == "diagnosis"]
        reports = [await it.http.get(f"/api/v1/doctor/reports/{found['id']}.{form}") for form in ("html", "md")]

        assert ("url", {"url": "ws://127.0.0.1:9/api/calls/test-connection/audio"}) == events[0][:2]
        assert ["URL", "DNS", "TCP"] == [data["name"] for name, data, _ in events if name == "step"]
        assert ("tcp-refused", False) == (found["document"]["verdict"]["slug"], found["document"]["healthy"])
        assert ["text/html; charset=utf-8", "text/markdown; charset=utf-8"] == [
            report.headers["content-type"] for report in reports
        ]
        assert "sandbox" in reports[0].headers["content-security-policy"]


@pytest.mark.e2e
async def test_a_server_without_an_account_is_probed_where_it_listens(tmp_path: Path) -> None:
    """Healthy: a stream was opened, spoken on and kept."""
    async with (
        dashboard_server(BUILTIN["echo"](), tmp_path) as url,
        httpx2.AsyncClient(trust_env=False, timeout=40) as http,
    ):
        answer = await http.post(f"{url}/api/v1/doctor/probe")
        events = [parsed(block.encode()) for block in answer.text.strip().split("\n\n")]

        assert ["URL", "DNS", "TCP", "upgrade", "media", "repeat"] == [
            data["name"] for name, data, _ in events if name == "step"
        ]
        assert (url.replace("http", "ws") + "/api/calls/test-connection/audio") == events[0][1]["url"]
        assert events[-1][1]["document"]["healthy"] is True


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://calls.example.com/api/calls/x/audio", True),
        ("wss://CALLS.example.com/other", True),
        ("wss://abc123.ngrok.app/api/calls/x/audio", False),
        ("wss://calls.example.com:8443/api/calls/x/audio", False),
        ("wss://calls.example.com@evil.example/x", False),
        ("ws://calls.example.com/api/calls/x/audio", False),
    ],
)
def test_the_probe_token_is_shown_to_our_own_host_alone(url: str, shown: bool) -> None:
    """A tunnel's name of last week belongs to somebody else, who would be sent a token that opens this server's probe."""
    assert shown is of_one_host(url, "wss://calls.example.com/api/calls/test-connection/audio")


async def test_another_site_cannot_start_a_probe(tmp_path: Path) -> None:
    """It opens connections in our name."""
    async with looking(tmp_path) as it:
        answer = await it.http.post("/api/v1/doctor/probe", headers={"Origin": "http://evil.example"})

        assert 403 == answer.status_code


async def test_a_calls_report_holds_no_number(tmp_path: Path) -> None:
    """It goes into tickets: what is missing, and each entry in a line."""
    async with looking(tmp_path) as it:
        await it.take("call", failed_call("+4930123456", "call"))
        texts = [(await it.http.get(f"/api/v1/calls/call/report.{form}")).text for form in ("md", "html")]

        assert all("was not reached" in text and "Webhook streaming.failed" in text for text in texts)
        assert all("4930123456" not in text for text in texts)
        assert "<pre>" in texts[1]


# --- the account -----------------------------------------------------------------------------------------------------

URL = "https://calls.example.com/api/calls/webhook"


async def checked(data_dir: Path, settings: Settings) -> tuple[list[tuple[str, Any]], str]:
    """What the button's answer tells, and the text of all reports that can be fetched after it."""

    async def ask(on_step: OnStep) -> Diagnosis:
        return await ask_account(settings, {}, on_step)

    async with looking(data_dir, door={"diagnose_account": ask}, telnyx_api_key=settings.telnyx_api_key) as it:
        answer = await it.http.post("/api/v1/doctor/account")
        events = [parsed(block.encode())[:2] for block in answer.text.strip().split("\n\n")]
        names = [data["id"] for name, data in events if name == "diagnosis"]
        reports = [
            await it.http.get(f"/api/v1/doctor/reports/{name}.{form}") for name in names for form in ("html", "md")
        ]
        return events, "".join([answer.text, *(report.text for report in reports)])


async def test_an_account_that_is_set_wrong_says_what_mends_it(tmp_path: Path) -> None:
    """Each step, then every finding with its fix; no number can be read whole, and no key at all."""
    async with Simulator(URL) as telnyx:
        telnyx.account.application["webhook_api_version"] = "1"
        telnyx.account.balance["available_credit"] = "-1"
        settings = Settings(
            telnyx_api_key=telnyx.api_key,
            telnyx_api_base=telnyx.api_base,
            telnyx_public_key=telnyx.public_key,
            public_url="https://calls.example.com",
        )
        events, text = await checked(tmp_path, settings)
        found = events[-1][1]["document"]

        assert telnyx.account.asked
        assert all(asked.startswith("GET ") for asked in telnyx.account.asked)
        assert ("step", "key", "ok") == (events[0][0], events[0][1]["name"], events[0][1]["status"])
        assert ["account-no-credit", "api-version-1-webhooks"] == [row["slug"] for row in found["findings"]]
        assert all(row["fix"] for row in found["findings"])
        assert "+1555•••99" in text
        assert telnyx.api_key not in text
        steps = re.sub(r"\d+\.\d+", "", text.split("event: diagnosis")[0])  # a duration may have any digits
        assert "0199" not in steps


async def test_without_a_key_it_is_said_which_setting_is_missing(tmp_path: Path) -> None:
    """Somebody without an account is told what to set, instead of a check that fails."""
    events, _ = await checked(tmp_path, Settings())

    assert [("trouble", "TELNYX_API_KEY is missing")] == [(name, data["detail"][:25]) for name, data in events]


async def test_a_dashboard_that_cannot_ask_says_which_command_can(tmp_path: Path) -> None:
    """Its door may have been filled without it."""
    async with looking(tmp_path) as it:
        answer = await it.http.post("/api/v1/doctor/account")

        assert (409, True) == (answer.status_code, "callpath doctor account" in answer.json()["detail"])


@pytest.mark.parametrize(
    ("url", "phones"),
    [
        ("ws://127.0.0.1:40001/api/calls/test-connection/audio", True),
        ("ws://127.0.0.1:8000/api/calls/test-connection/audio", False),
        ("wss://calls.example.com/api/calls/test-connection/audio", False),
    ],
)
def test_a_phone_that_has_hung_up_is_not_tried(url: str, phones: bool) -> None:
    """Its server ended with the call: "connection refused" would be true, and send people after a fault that is none."""
    assert phones == is_phones(url, "ws://127.0.0.1:8000/api/calls/test-connection/audio")
