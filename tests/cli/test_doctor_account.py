"""`callpath doctor account` from the terminal, with a simulated account and a simulated host on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from typer.testing import CliRunner, Result

from callpath.cli import doctor_account
from callpath.simulator.account import Account
from callpath.simulator.railway import RailwayStandIn
from callpath.simulator.simulator import Simulator
from tests import object_store
from tests.cli.conftest import Run

URL = "https://calls.example.com/api/calls/webhook"
NUMBER = "+15555550199"


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def stand_in(portal: BlockingPortal) -> Iterator[tuple[Simulator, Account]]:
    """One simulator for all tests, and its account as it was at first."""
    with portal.wrap_async_context_manager(Simulator(URL)) as telnyx:
        yield telnyx, deepcopy(telnyx.account)


@pytest.fixture
def telnyx(stand_in: tuple[Simulator, Account], alone: Path, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A sound account, and the settings of a server that it belongs to."""
    telnyx, account = stand_in
    telnyx.account = deepcopy(account)
    for name in (
        "RAILWAY_TOKEN",
        "RAILWAY_API_TOKEN",
        "RAILWAY_SERVICE_ID",
        "RAILWAY_PROJECT_ID",
        "RAILWAY_ENVIRONMENT_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TELNYX_API_KEY", telnyx.api_key)
    monkeypatch.setenv("TELNYX_API_BASE", telnyx.api_base)
    monkeypatch.setenv("TELNYX_PUBLIC_KEY", telnyx.public_key)
    monkeypatch.setenv("PUBLIC_URL", "https://calls.example.com")
    return telnyx


def test_a_sound_account(telnyx: Simulator, run: Run) -> None:
    """Nothing to give, nothing to do."""
    result = run("doctor", "account")

    assert 0 == result.exit_code, result.output
    assert "Healthy: the account is set right." in result.output
    assert telnyx.api_key not in result.output
    assert NUMBER not in result.output


def test_json_and_quiet(telnyx: Simulator, run: Run) -> None:
    """For scripts: one document, or one line."""
    telnyx.account.application["webhook_api_version"] = "1"
    telnyx.account.balance["available_credit"] = "-1"
    document = json.loads(run("doctor", "account", "--json").stdout)
    line = run("doctor", "account", "-q")

    assert ["account-no-credit", "api-version-1-webhooks"] == [row["slug"] for row in document["findings"]]
    assert all(row["fix"] for row in document["findings"])
    assert (1, "account-no-credit, api-version-1-webhooks\n") == (line.exit_code, line.stdout)
    assert (False, 1) == (document["healthy"], document["exit_code"])


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_a_report_that_is_safe_to_share(telnyx: Simulator, run: Run, alone: Path, name: str) -> None:
    """With every finding's fix, and without number or key."""
    telnyx.account.application.update(active=False, webhook_api_version="1")
    run("doctor", "account", "--number", "+1 555 555 0199", "--report", name)
    text = (alone / name).read_text()

    assert "Switch it on" in text
    assert "Set webhook_api_version to" in text
    assert "5555550199" not in text
    assert telnyx.api_key not in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--report", "x.pdf"], 2, "must end in .html or .md"),
        (["--number", "call me"], 2, "not a phone number"),
        (["--to", "x"], 2, "not a phone number"),
        (["--webhook", "calls.example.com/hook"], 2, "not a full https:// URL"),
        (["--fix"], 2, "no terminal to ask on"),
        (["--railway"], 3, "RAILWAY_TOKEN is missing"),
    ],
)
def test_what_cannot_be_done_is_said(telnyx: Simulator, run: Run, arguments: list[str], code: int, words: str) -> None:
    """Before anything is asked, and with what to do."""
    result = run("doctor", "account", *arguments)

    assert code == result.exit_code
    assert words in " ".join(result.output.split())
    assert [] == telnyx.account.asked


def test_without_a_key(run: Run) -> None:
    """The setting is named."""
    result = run("doctor", "account")

    assert 3 == result.exit_code
    assert "TELNYX_API_KEY is missing" in result.output


def test_fix_with_yes(telnyx: Simulator, run: Run) -> None:
    """Shown, made, read again, undone by a printed line; then the whole is asked again."""
    telnyx.account.application.update(active=False, webhook_event_url=URL + "/")
    telnyx.account.number["connection_id"] = None
    result = run("doctor", "account", "--number", NUMBER, "--fix", "--yes")

    assert 0 == result.exit_code, result.output
    assert "active: false → true" in result.output
    assert f"webhook_event_url: {URL}/ → {URL}" in result.output
    assert f"connection_id: nothing → {telnyx.account.application['id']}" in result.output
    assert 2 == result.output.count("undo it with:\n  curl -X PATCH")
    assert telnyx.account.application["active"] is True


def test_fix_as_json(telnyx: Simulator, run: Run) -> None:
    """The document is that of afterwards, and says what was changed."""
    telnyx.account.application["active"] = False
    result = run("doctor", "account", "--fix", "--yes", "--json")
    document = json.loads(result.stdout)

    assert (True, [True]) == (document["healthy"], [change["done"] for change in document["changes"]])
    assert [{"name": "active", "old": "false", "new": "true"}] == document["changes"][0]["fields"]


@pytest.mark.parametrize(("typed", "active"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_fix_asks(telnyx: Simulator, monkeypatch: pytest.MonkeyPatch, alone: Path, typed: str, active: bool) -> None:
    """Enter alone changes nothing."""
    monkeypatch.setattr(doctor_account, "may_ask", lambda: True)
    telnyx.account.application["active"] = False
    result = _typed(typed, "doctor", "account", "--fix")

    assert active is telnyx.account.application["active"]
    assert ("not made: you said no" in result.output) is not active
    assert (0 if active else 1) == result.exit_code


def test_fix_does_not_guess_without_asking(telnyx: Simulator, run: Run) -> None:
    """The account's only application leads to another program: --yes alone must not take it away from there."""
    telnyx.account.application["webhook_event_url"] = "https://other.example.net/hook"
    telnyx.account.numbers.clear()
    kept = run("doctor", "account", "--fix", "--yes")
    url_kept = telnyx.webhook_url
    named = run("doctor", "account", "--fix", "--yes", "--application", telnyx.account.application["id"])

    assert "name it with --application ID" in kept.output
    assert ("https://other.example.net/hook", URL) == (url_kept, telnyx.webhook_url)
    assert "changed, and read again" in named.output


def test_fix_where_nothing_can_be_changed(telnyx: Simulator, run: Run) -> None:
    """Money is not changed by an API."""
    telnyx.account.balance["available_credit"] = "0"
    result = run("doctor", "account", "--fix", "--yes")

    assert 1 == result.exit_code
    assert "There is nothing here that --fix can change." in result.output


def test_any_program_can_be_checked(telnyx: Simulator, run: Run) -> None:
    """A bot of another make has another path; where nobody says which, nothing is called healthy."""
    telnyx.account.application["webhook_event_url"] = "https://bot.example.net/telnyx"
    ours = run("doctor", "account", "-q")
    given = run("doctor", "account", "-q", "--webhook", "https://bot.example.net/telnyx")

    assert ("webhook-url-mismatch\n", "healthy\n") == (ours.stdout, given.stdout)


def test_without_a_public_url(telnyx: Simulator, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be compared is not called right."""
    monkeypatch.delenv("PUBLIC_URL")
    result = run("doctor", "account")

    assert 4 == result.exit_code
    assert "PUBLIC_URL is not set" in result.output


# --- the host --------------------------------------------------------------------------------------------------------


@pytest.fixture
def railway(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> Iterator[RailwayStandIn]:
    """A service on a simulated host, and its token."""
    with portal.wrap_async_context_manager(RailwayStandIn()) as railway:
        monkeypatch.setenv("RAILWAY_API_URL", railway.endpoint)
        monkeypatch.setenv("RAILWAY_TOKEN", railway.token)
        monkeypatch.setenv("RAILWAY_SERVICE_ID", railway.service_id)
        railway.service_domains = [{"domain": "calls.example.com", "targetPort": 3000}]
        railway.logs = [railway.log_row("callpath serves echo on 0.0.0.0:8080")]
        yield railway


def test_the_host_is_asked_where_a_token_is(telnyx: Simulator, railway: RailwayStandIn, run: Run) -> None:
    """The project and environment follow from the token; where it says no, Telnyx's part goes on."""
    both = run("doctor", "account", "-q")
    without = run("doctor", "account", "-q", "--no-railway")
    railway.token = "revoked"
    refused = run("doctor", "account", "-q")

    assert ("edge-app-failed-to-respond\n", "healthy\n") == (both.stdout, without.stdout)
    assert "Railway was not asked" in refused.stderr
    assert "healthy\n" == refused.stdout


def test_on_the_host_itself_the_port_is_known(
    telnyx: Simulator, railway: RailwayStandIn, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There PORT is what the server listens on, and no log has to be read for it."""
    monkeypatch.setenv("RAILWAY_DEPLOYMENT_ID", railway.deployment_id)
    monkeypatch.setenv("PORT", "3000")
    result = run("doctor", "account", "-q")

    assert "healthy\n" == result.stdout


def test_the_host_alone(railway: RailwayStandIn, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key of Telnyx's, too."""
    monkeypatch.setenv("PUBLIC_URL", "https://calls.example.com")
    result = run("doctor", "account", "-q")

    assert "edge-app-failed-to-respond\n" == result.stdout


@pytest.mark.parametrize(("changes", "words"), [({"RAILWAY_SERVICE_ID": ""}, "RAILWAY_SERVICE_ID is not set")])
def test_which_service_is_meant_must_be_known(
    telnyx: Simulator, railway: RailwayStandIn, run: Run, monkeypatch: pytest.MonkeyPatch, changes: Any, words: str
) -> None:
    """A project has several; a guess would judge the database."""
    for name, value in changes.items():
        monkeypatch.setenv(name, value)

    assert words in run("doctor", "account", "-q").stderr


def _typed(text: str, *arguments: str) -> Result:
    from callpath.cli.app import app

    return CliRunner().invoke(app, arguments, input=text)


def test_a_bucket_that_cannot_be_written(
    telnyx: Simulator, run: Run, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first recording stays on a disk that the next deploy throws away; and one that can be says so."""
    for name, value in object_store.environment(s3_server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CALLPATH_RECORDINGS", f"s3://{object_store.BUCKET}/x")
    good = run("doctor", "account")
    monkeypatch.setenv("CALLPATH_RECORDINGS", "s3://misspelt/x")
    bad = json.loads(run("doctor", "account", "--json").stdout)

    assert 0 == good.exit_code, good.output
    assert f"s3://{object_store.BUCKET}/x: written, read and deleted" in good.output
    assert ["recordings-unwritable"] == [row["slug"] for row in bad["findings"]]
    assert "NoSuchBucket" in bad["findings"][0]["summary"]
    assert "correct its name" in bad["findings"][0]["fix"]
