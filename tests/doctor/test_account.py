"""The account examined: whatever is set wrong at the simulator has to be named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callpath.api.app import App
from callpath.api.call import Call
from callpath.clock import ManualClock, SystemClock
from callpath.doctor.account import AccountRequest, account_text, diagnose_account
from callpath.doctor.facts import AccountFacts, Facts, PlatformFacts, ServedFacts
from callpath.doctor.probes.railway import Railway, RailwayService, probe_platform
from callpath.doctor.probes.telnyx import Telnyx, probe_telnyx_call
from callpath.doctor.rules.sample_account import NUMBER, OTHER, OURS, SERVED, URL
from callpath.doctor.verdict import Diagnosis
from callpath.simulator.api import build_app
from callpath.simulator.options import CarrierOptions
from callpath.simulator.railway import RailwayStandIn
from callpath.simulator.refusal import refuse
from callpath.simulator.simulator import Simulator
from callpath.wire.signature import PrivateKey, load_public_key, public_key_text
from tests.serving import serving

Wrong = Callable[[Simulator], object]


def client(telnyx: Simulator, **changes: str) -> Telnyx:
    """Asks the simulator without a socket: a hundred times quicker, and the same answers."""
    given: dict[str, Any] = {"api_base": telnyx.api_base, "api_key": telnyx.api_key} | changes
    return Telnyx(clock=SystemClock(), transport=httpx2.ASGITransport(app=build_app(telnyx)), **given)


async def look(telnyx: Simulator, **request: Any) -> tuple[Facts, Diagnosis]:
    async with client(telnyx) as http:
        return await diagnose_account(AccountRequest(**{"served": SERVED} | request), SystemClock(), telnyx=http)


async def recorded(telnyx: Simulator, webhooks: int) -> None:
    """Return once Telnyx's log holds so many webhooks."""
    while sum(1 for event in telnyx.call_events() if event.type == "webhook") < webhooks:
        await SystemClock().sleep_ms(2)


def slugs(diagnosis: Diagnosis) -> list[str]:
    """The causes; of those that hold several settings the sign, since its title and fix are others."""
    rules = [found.rule for found in diagnosis.findings]
    return [
        rule.sign if rule.sign in {"TELNYX007", "TELNYX008", "PLATFORM002", "PLATFORM004"} else rule.slug
        for rule in rules
    ]


def notes(diagnosis: Diagnosis) -> list[str]:
    return [found.rule.slug for found in diagnosis.notes]


@pytest.mark.parametrize(
    "request_",
    [{}, {"number": "+1 (555) 555-0199"}, {"application_id": OURS}, {"number": NUMBER, "application_id": OURS}],
)
async def test_a_sound_account_is_healthy(request_: dict[str, str]) -> None:
    """By whichever way it is asked; a false alarm costs an evening."""
    telnyx = Simulator(URL)
    _, diagnosis = await look(telnyx, **request_)

    assert ([], [], True, 0) == (slugs(diagnosis), notes(diagnosis), diagnosis.healthy, diagnosis.exit_code)
    assert "Healthy" in account_text(diagnosis, colour=False)


def _app(**changes: Any) -> Wrong:
    return lambda telnyx: telnyx.account.application.update(changes)


def _number(**changes: Any) -> Wrong:
    return lambda telnyx: telnyx.account.number.update(changes)


def _elsewhere(telnyx: Simulator) -> None:
    telnyx.account.add_application(OTHER, "https://billing.example.net/hook", application_name="billing")
    telnyx.account.number["connection_id"] = OTHER


def _sip(telnyx: Simulator) -> None:
    telnyx.account.add_connection("42")
    telnyx.account.number["connection_id"] = "42"


WRONG: dict[str, Wrong] = {
    "account-no-credit": lambda telnyx: telnyx.account.balance.update(available_credit="0.00"),
    "number-not-active": _number(status="ported-out"),
    "number-not-assigned": _number(connection_id=None),
    "TELNYX007": _sip,
    "TELNYX008": _elsewhere,
    "app-inactive-or-deleted": _app(active=False),
    "webhook-url-mismatch": _app(webhook_event_url=URL + "/"),
    "api-version-1-webhooks": _app(webhook_api_version="1"),
    "channel-limit-zero": _app(inbound={"channel_limit": 0}),
    "number-forwarded": lambda telnyx: telnyx.account.voice["call_forwarding"].update(forwards_to="+15555550144"),
}
"""One wrong setting each, and what it has to be named."""


@pytest.mark.parametrize("slug", WRONG)
@pytest.mark.parametrize("number", ["", NUMBER])
async def test_each_wrong_setting_is_named_and_nothing_else(slug: str, number: str) -> None:
    """With the number given, and without: then the account's only number is meant."""
    telnyx = Simulator(URL)
    WRONG[slug](telnyx)
    _, diagnosis = await look(telnyx, number=number)

    assert ([slug], 1) == (slugs(diagnosis), diagnosis.exit_code)


async def test_wrong_in_nine_ways_at_once() -> None:
    """Mending one and asking again nine times over is what this command is there to spare people."""
    ways = [slug for slug in WRONG if slug not in ("number-not-assigned", "TELNYX008")]
    telnyx = Simulator(URL)
    for slug in ways:
        WRONG[slug](telnyx)
    telnyx.account.profiles[0]["enabled"] = False
    _, diagnosis = await look(telnyx, destination="+15555550123")
    text = " ".join(account_text(diagnosis, colour=False, verbose=True).split())

    assert {*ways, "outbound-profile-disabled"} == set(slugs(diagnosis))
    assert [] == [found.rule.code for found in diagnosis.findings if (found.finding.fix or found.rule.fix) not in text]
    assert "9 problems in the account settings." in text
    assert len(diagnosis.findings) == text.count(" Fix: ")


@pytest.mark.parametrize(
    ("wrong", "request_", "named"),
    [
        (
            lambda telnyx: telnyx.account.application["outbound"].clear(),
            {"destination": NUMBER},
            "outbound-profile-missing",
        ),
        (lambda telnyx: telnyx.account.profiles.clear(), {"destination": NUMBER}, "outbound-profile-missing"),
        (lambda _: None, {"destination": "+4930123456"}, "destination-not-allowed"),
        (lambda _: None, {"number": "+15555550144"}, "number-not-in-account"),
        (_number(connection_id="77"), {"number": NUMBER}, "app-inactive-or-deleted"),
        (lambda telnyx: telnyx.account.applications.clear(), {}, "webhook-url-mismatch"),
    ],
)
async def test_what_is_only_wrong_for_what_is_asked(wrong: Wrong, request_: dict[str, str], named: str) -> None:
    """An outbound profile matters to nobody who is only called."""
    telnyx = Simulator(URL)
    if named == "webhook-url-mismatch":
        telnyx.account.numbers.clear()
    application = telnyx.account.application
    wrong(telnyx)
    _, diagnosis = await look(telnyx, **request_)
    telnyx.account.applications[:] = [application]

    assert [named] == slugs(diagnosis)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (_app(webhook_timeout_secs=30), "webhook-timeout-odd"),
        (_app(webhook_event_failover_url="https://x.example.net/h"), "webhook-failover-elsewhere"),
        (_app(first_command_timeout=True, first_command_timeout_secs=2), "first-command-timeout-short"),
        (lambda telnyx: telnyx.account.add_application(OTHER, URL), "webhook-url-shared"),
        (lambda telnyx: telnyx.account.voice.update(inbound_call_screening="reject_calls"), "number-screens-callers"),
        (lambda telnyx: telnyx.account.profiles[0].update(enabled=False), "outbound-profile-disabled"),
    ],
)
async def test_what_may_be_meant_is_a_note(wrong: Wrong, named: str) -> None:
    """It is shown, and does not fail a check in CI."""
    telnyx = Simulator(URL)
    wrong(telnyx)
    _, diagnosis = await look(telnyx)

    assert ([], [named], 0) == (slugs(diagnosis), notes(diagnosis), diagnosis.exit_code)


async def test_several_numbers_none_of_them_here() -> None:
    """Nobody can tell which one was meant, so they are listed, and nothing is called healthy."""
    telnyx = Simulator(URL)
    telnyx.account.number.update(connection_id=None, connection_name=None)
    telnyx.account.add_number("+15555550177", "42", connection_name="PBX")
    _, diagnosis = await look(telnyx)
    evidence = diagnosis.notes[0].finding.evidence

    assert (["number-not-assigned"], None) == (notes(diagnosis), diagnosis.healthy)
    assert ("+1555…0199 leads to None", "+1555…0177 leads to PBX") == evidence


async def test_a_refused_key_ends_the_questions() -> None:
    """Nine more refusals would hide the one that counts."""
    telnyx = Simulator(URL)
    async with client(telnyx, api_key="KEYwrong") as http:
        _, diagnosis = await diagnose_account(AccountRequest(served=SERVED), SystemClock(), telnyx=http)

    assert ["api-key-invalid"] == slugs(diagnosis)
    assert [] == telnyx.account.asked


@pytest.mark.parametrize("path", ["", "/nonsense"])
async def test_no_telnyx_at_the_other_end(path: str) -> None:
    """No verdict about an account that was not seen."""
    async with RailwayStandIn() as other:  # any server that is not Telnyx
        base = "http://127.0.0.1:9/v2" if not path else other.endpoint + path
        async with Telnyx(api_base=base, api_key="KEY", clock=_Hasty()) as http:
            _, diagnosis = await diagnose_account(AccountRequest(served=SERVED), SystemClock(), telnyx=http)

    assert (["telnyx-api-unreachable"], None, 4) == (slugs(diagnosis), diagnosis.healthy, diagnosis.exit_code)


@pytest.mark.parametrize(
    ("path", "healthy"),
    [
        ("/balance", None),
        ("/webhook_deliveries", True),
        ("/outbound_voice_profiles*", True),
        ("/call_control_applications", True),
        ("/phone_numbers", None),
        ("/phone_numbers*", None),
        ("/call_control_applications*", None),
    ],
)
async def test_a_question_that_may_not_be_asked_is_not_checked(path: str, healthy: bool | None) -> None:
    """A key can be limited. What is left is judged, and the essential is never taken for granted."""
    telnyx = Simulator(URL)
    telnyx.account.refusals[path] = refuse("90041")  # a 403
    facts, diagnosis = await look(telnyx)

    assert ([], healthy) == (slugs(diagnosis), diagnosis.healthy)
    assert any(row.status == 403 for row in facts[AccountFacts].refusals)


@pytest.mark.parametrize(("code", "named"), [("90041", "TELNYX007"), ("10005", "app-inactive-or-deleted")])
async def test_gone_and_not_to_be_asked_are_two_things(code: str, named: str) -> None:
    """Who may not look at a connection must not say that it is gone."""
    telnyx = Simulator(URL)
    telnyx.account.number["connection_id"] = "42"
    telnyx.account.refusals["/connections/42"] = refuse(code)
    _, diagnosis = await look(telnyx, number=NUMBER)

    assert [named] == slugs(diagnosis)


async def test_what_is_on_no_list_is_asked_for_by_its_id() -> None:
    """The list may be refused, or too long; the number's application is then looked at by itself."""
    telnyx = Simulator(URL)
    _elsewhere(telnyx)
    telnyx.account.refusals["/call_control_applications"] = refuse("90041")
    facts, diagnosis = await look(telnyx, number=NUMBER, application_id=OURS)

    assert ["TELNYX008"] == slugs(diagnosis)
    assert {OURS, OTHER} == {row.id for row in facts[AccountFacts].applications}
    assert any("billing.example.net" in line for line in diagnosis.findings[0].finding.evidence)


async def test_the_time_for_all_questions_is_bounded() -> None:
    """With a Telnyx that crawls, the doctor says what it did not come to ask."""
    telnyx = Simulator(URL)
    clock = _Leaping()
    async with Telnyx(
        api_base=telnyx.api_base,
        api_key=telnyx.api_key,
        clock=clock,
        transport=httpx2.ASGITransport(app=build_app(telnyx)),
    ) as http:
        facts, diagnosis = await diagnose_account(AccountRequest(served=SERVED), clock, telnyx=http)

    assert diagnosis.healthy is None
    assert ["not asked: 45 s were over"] == sorted({row.detail for row in facts[AccountFacts].refusals})
    assert len(telnyx.account.asked) < 5


async def test_lists_of_many_pages_are_read_to_the_end() -> None:
    """Ours may be the last of hundreds."""
    telnyx = Simulator(URL)
    ours = telnyx.account.application
    telnyx.account.applications[:0] = [ours | {"id": str(n), "webhook_event_url": "https://x.net"} for n in range(260)]
    facts, diagnosis = await look(telnyx)

    assert (261, OURS) == (len(facts[AccountFacts].applications), facts[AccountFacts].connection_id)
    assert [] == slugs(diagnosis)


# --- webhooks, as Telnyx recorded them -------------------------------------------------------------------------------


async def receiver(status: int, body: str = "", **headers: str) -> Starlette:
    async def answer(_: Request) -> Response:
        return Response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


@pytest.mark.parametrize(
    ("status", "body", "headers", "named"),
    [
        (404, "Cannot POST /api/calls/webhook", {}, "webhook-404"),
        (502, "Application failed to respond", {}, "webhook-not-2xx-or-slow"),
        (403, "Just a moment...", {}, "webhook-blocked"),
        (301, "", {"location": "https://other.example.com"}, "webhook-redirected"),
        (401, '{"error":"stale","detail":"x"}', {"x_callpath": "0.1"}, "webhook-signature-refused"),
        (401, '{"error":"bad_signature","detail":"x"}', {"x_callpath": "0.1"}, "webhook-public-key-mismatch"),
        (200, "", {}, None),
    ],
)
async def test_what_our_end_answered_to_a_webhook_is_judged(
    status: int, body: str, headers: dict[str, str], named: str | None
) -> None:
    """The exact answer of whatever stands at the webhook URL, a proxy included."""
    async with Simulator(options=CarrierOptions(webhook_retry_ms=())) as telnyx, _Hook(status, body, headers) as url:
        telnyx.webhook_url = url
        call = await telnyx.call()
        await call.hangup()
        await call.ended()
        await recorded(telnyx, 2)
        served = ServedFacts(public_url=url, webhook_url=url, audio_url=url, port=1)
        other_key = load_public_key(public_key_text(PrivateKey.generate()))
        key = other_key if named == "webhook-public-key-mismatch" else load_public_key(telnyx.public_key)
        facts, diagnosis = await look(telnyx, served=served, public_key=key)
        shown = [found.rule.slug for found in diagnosis.findings if not found.under]

        assert ([named] if named else []) == shown
        assert facts[AccountFacts].public_key_fits is (named != "webhook-public-key-mismatch")


@pytest.mark.parametrize(
    ("doctors_key_is_right", "named"), [(False, "public-key-mismatch"), (True, "signature-refused")]
)
async def test_a_server_with_a_wrong_public_key(tmp_path: Path, doctors_key_is_right: bool, named: str) -> None:
    """The whole way: Telnyx signs, our own server refuses, Telnyx records it, the doctor reads it there."""
    wrong = public_key_text(PrivateKey.generate())
    app = App()

    @app.call
    async def handle(_: Call) -> None:
        """Never called: no webhook is taken."""

    async with serving(app, tmp_path, options=CarrierOptions(webhook_retry_ms=()), telnyx_public_key=wrong) as served:
        telnyx = served.telnyx
        await telnyx.call()
        await recorded(telnyx, 1)
        key = load_public_key(telnyx.public_key if doctors_key_is_right else wrong)
        given = ServedFacts(public_url="", webhook_url=telnyx.webhook_url or "", audio_url="", port=0)
        _, diagnosis = await look(telnyx, served=given, public_key=key)

        assert [f"webhook-{named}"] == [found.rule.slug for found in diagnosis.findings if not found.under]


# --- one call --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["new", "old", "either"])
async def test_the_events_of_a_call_under_either_name_of_the_filter(spelling: Any) -> None:
    """What Telnyx made of the call, in order; and which of it we have not got."""
    async with Simulator(options=CarrierOptions(webhook_retry_ms=())) as telnyx, _Hook(200) as url:
        telnyx.webhook_url = url
        telnyx.account.call_events_filters = spelling
        other = await telnyx.call()
        call = await telnyx.call()
        for one in (other, call):
            await one.hangup()
            await one.ended()
        await recorded(telnyx, 4)
        leg = call.call.leg
        telnyx.account.detail_records = [
            {"record_type": "media-streaming", "some_field": leg.call_leg_id},
            {"record_type": "media-streaming", "some_field": "of another call"},
        ]
        first = call.webhooks[0].webhook.id
        async with client(telnyx) as http:
            facts = await probe_telnyx_call(
                http,
                call_control_ids=[leg.call_control_id],
                leg_ids=[leg.call_leg_id],
                session_id=leg.call_session_id,
                have=frozenset({first}),
            )

        assert ["call.initiated", "call.hangup"] == [event.name for event in facts.events or ()]
        assert ["call.hangup"] == [event.name for event in facts.missed]
        assert ["call.initiated", "call.hangup"] == [
            row.webhook.event_type for row in facts.deliveries or () if row.webhook is not None
        ]
        assert facts.status is not None
        assert not facts.status.is_alive
        assert 1 == len(facts.detail_records or ())
        assert () == facts.refusals


async def test_a_call_that_telnyx_has_forgotten() -> None:
    """Each question that finds nothing says so; nothing is made up, and nothing crashes."""
    telnyx = Simulator(URL)
    async with client(telnyx) as http:
        facts = await probe_telnyx_call(http, call_control_ids=["v3:x"], leg_ids=["x"], session_id="x")

    assert ((), (), None, ()) == (facts.events, facts.deliveries, facts.status, facts.missed)
    assert ["call status"] == [row.question for row in facts.refusals]


async def test_a_call_with_a_refused_key() -> None:
    """One question, one refusal."""
    telnyx = Simulator(URL)
    async with client(telnyx, api_key="KEYwrong") as http:
        facts = await probe_telnyx_call(http, leg_ids=["x", "y"], session_id="x")

    assert (False, None, 1) == (facts.key_accepted, facts.events, len(facts.refusals))


# --- the host --------------------------------------------------------------------------------------------------------

SERVICE = RailwayService(RailwayStandIn.project_id, RailwayStandIn.environment_id, RailwayStandIn.service_id)


def at(railway: RailwayStandIn, token: str = "") -> Railway:
    transport = httpx2.ASGITransport(app=railway.app)
    return Railway(endpoint=railway.endpoint, token=token or railway.token, clock=SystemClock(), transport=transport)


async def look_at_host(railway: RailwayStandIn, **request: Any) -> tuple[Facts, Diagnosis]:
    given = AccountRequest(public_host="calls.example.com", shared_log=False, **request)
    async with at(railway) as http:
        return await diagnose_account(given, SystemClock(), railway=http, service=SERVICE)


def custom(**status: Any) -> dict[str, Any]:
    given = {"dnsRecords": [], "certificateStatus": "CERTIFICATE_STATUS_TYPE_VALID", "verified": True} | status
    return {"domain": "calls.example.com", "targetPort": 8080, "status": given}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"custom_domains": [custom() | {"targetPort": 3000}]}, "edge-app-failed-to-respond"),
        (
            {"custom_domains": [custom(certificateStatus="CERTIFICATE_STATUS_TYPE_ISSUING")]},
            "PLATFORM002",
        ),
        ({"custom_domains": [custom(verified=False)]}, "PLATFORM004"),
        (
            {
                "custom_domains": [
                    custom(dnsRecords=[{"requiredValue": "a", "currentValue": "b", "status": "X_REQUIRES_UPDATE"}])
                ]
            },
            "platform-domain-not-ready",
        ),
        ({"deployments": [{"id": RailwayStandIn.deployment_id, "status": "CRASHED"}]}, "crash-loop-or-oom"),
        ({"deployments": [{"id": RailwayStandIn.deployment_id, "status": "SLEEPING"}]}, "edge-cold-start"),
        ({"replicas": 2}, "wrong-instance"),
        ({}, None),
    ],
)
async def test_how_the_host_is_set(wrong: dict[str, Any], named: str | None) -> None:
    """Each of these makes calls fail, and shows in no log of the application."""
    railway = RailwayStandIn()
    railway.custom_domains = [custom()]
    railway.logs = [railway.log_row("callpath serves echo on 0.0.0.0:8080"), railway.log_row("x", severity="error")]
    for name, value in wrong.items():
        setattr(railway, name, value)
    facts, diagnosis = await look_at_host(railway)

    assert ([named] if named else []) == slugs(diagnosis)
    assert 8080 == facts[PlatformFacts].listening_port
    assert diagnosis.healthy is (False if named else None)


@pytest.mark.parametrize(
    ("lines", "port"),
    [
        (["Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)"], 8000),
        (["Server listening on port 3000"], 3000),
        (["listening on :8080", "metrics listening on :9090"], None),
        (["listening"], None),
    ],
)
async def test_the_port_is_read_from_the_log_where_it_is_sure(lines: list[str], port: int | None) -> None:
    """A port that is guessed would make a verdict out of nothing."""
    railway = RailwayStandIn()
    railway.logs = [railway.log_row(line) for line in lines]
    async with at(railway) as http:
        facts = await probe_platform(http, SERVICE)

    assert port == facts.listening_port


async def test_a_host_that_refuses_is_not_judged() -> None:
    """Nothing known, nothing said, and the reason shown."""
    railway = RailwayStandIn()
    async with at(railway, "another") as http:
        _, diagnosis = await diagnose_account(AccountRequest(), SystemClock(), railway=http, service=SERVICE)

    assert ([], None) == (slugs(diagnosis), diagnosis.healthy)
    assert ["warning"] == [step.status for step in diagnosis.steps]


class _Hasty(SystemClock):
    """Waits for nothing."""

    async def sleep_ms(self, duration_ms: float) -> None:
        await super().sleep_ms(0)


class _Leaping(ManualClock):
    """Each look at it costs fifteen seconds."""

    def now_ms(self) -> float:
        self._now_ms += 15_000
        return self._now_ms


class _Hook:
    """A webhook receiver on loopback that always answers alike."""

    def __init__(self, status: int, body: str = "", headers: dict[str, str] | None = None) -> None:
        self._answer = (status, body, headers or {})

    async def __aenter__(self) -> str:
        import contextlib
        import socket

        import uvicorn

        from callpath.private_api import EmbeddedServer

        status, body, headers = self._answer
        app = await receiver(status, body, **headers)
        server = EmbeddedServer(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self._exits = contextlib.AsyncExitStack()
        await self._exits.enter_async_context(server.serving(listener))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/api/calls/webhook"

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()
