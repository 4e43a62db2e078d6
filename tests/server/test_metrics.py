"""What /metrics tells: enough to see from outside that streams do not come, and nothing about anybody."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx2
import pytest

from callpath.config import Settings
from callpath.server.builtin import BUILTIN
from callpath.server.metrics import Metrics, MetricsAuth
from callpath.server.workers import Worker
from callpath.timeline import (
    CallStuck,
    CommandAnswered,
    CommandRetried,
    FirstOutbound,
    MediaCounted,
    MediaSymptom,
    PolicyActed,
    SocketRejected,
    StreamMissing,
    StreamProbed,
    StreamStopped,
    WebhookReceived,
    What,
)
from callpath.wire.ids import StreamId
from tests.serving import serving

S1, S2 = StreamId("s1"), StreamId("s2")


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (WebhookReceived(event_type="e", event_id="1", body={}), 'timeline_entries_total{kind="webhook.received"}'),
        (
            CommandAnswered(command="answer", command_id="1", status=200),
            'commands_total{command="answer",status="200"}',
        ),
        (CommandAnswered(command="answer", command_id="1"), 'commands_total{command="answer",status="none"}'),
        (
            SocketRejected(status=401, reason="no_token", detail="", path="/x"),
            'refused_total{reason="no_token",what="upgrade"}',
        ),
        (StreamMissing(attempt=1, seen="nothing", reason=""), 'streams_missing_total{seen="nothing"}'),
        (
            StreamProbed(url="wss://a", healthy=False, decided=True, summary="", code="TLS005"),
            'probes_total{code="TLS005"}',
        ),
        (StreamProbed(url="wss://a", healthy=True, decided=True, summary=""), 'probes_total{code="healthy"}'),
        (
            PolicyActed(policy="no_socket", number=1, step="retry"),
            'policy_steps_total{policy="no_socket",step="retry"}',
        ),
        (
            CommandRetried(command="answer", command_id="1", attempt=1, status=503),
            'command_retries_total{command="answer",status="503"}',
        ),
        (MediaSymptom(code="SYM010", slug="", meaning=""), 'media_symptoms_total{code="SYM010"}'),
        (CallStuck(reason="too_long", number=1, after_ms=1), 'calls_stuck_total{reason="too_long"}'),
    ],
)
def test_an_entry_is_counted(what: What, line: str) -> None:
    """Alerts are written on these names; one that is gone is an alert that never fires again."""
    metrics = Metrics()
    metrics.count(what)

    assert f"callpath_{line} 1.0" in metrics.text().decode().splitlines()


def test_frames_are_counted_by_their_growth() -> None:
    """Each entry has the stream's whole count so far; adding those up would count a frame a hundred times."""
    metrics = Metrics()
    for count in (
        MediaCounted(stream_id=S1, frames_in=500, lost=2),
        MediaCounted(stream_id=S1, frames_in=1000, lost=2),
    ):
        metrics.count(count)
    metrics.count(StreamStopped(stream_id=S1))
    metrics.count(MediaCounted(stream_id=S2, frames_in=10, frames_out=20))
    lines = metrics.text().decode().splitlines()

    assert 'callpath_frames_total{direction="in"} 1010.0' in lines
    assert 'callpath_frames_total{direction="out"} 20.0' in lines
    assert 'callpath_frame_troubles_total{what="lost"} 2.0' in lines


async def test_any_worker_tells_the_page_of_all(tmp_path: Path) -> None:
    """Prometheus reaches one of them, by chance; each metric stands in one place, as its format demands, and a worker
    that is away is named."""
    one, two = (Metrics(Worker(number=number, of=3, node="n", folder=str(tmp_path), orders=-1)) for number in (1, 2))
    one.rejected("webhook", "unsigned")
    two.rejected("webhook", "unsigned")
    two.rejected("upgrade", "no_token")
    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(two.serve_peers())
        while not (tmp_path / "2").exists():
            await asyncio.sleep(0)
        page = (await one.of_all_workers()).decode()
        telling.cancel()
    titles = [line for line in page.splitlines() if line.startswith("# TYPE")]

    assert [
        'callpath_refused_total{reason="unsigned",what="webhook",worker="1"} 1.0',
        'callpath_refused_total{reason="unsigned",what="webhook",worker="2"} 1.0',
        'callpath_refused_total{reason="no_token",what="upgrade",worker="2"} 1.0',
    ] == [line for line in page.splitlines() if line.startswith("callpath_refused_total")]
    assert [f'callpath_worker_up{{worker="{n}"}} {up}' for n, up in ((1, 1.0), (2, 1.0), (3, 0.0))] == [
        line for line in page.splitlines() if line.startswith("callpath_worker_up")
    ]
    assert sorted(set(titles)) == sorted(titles)


@pytest.mark.parametrize(
    ("settings", "headers", "client", "status"),
    [
        ({"public_url": "http://127.0.0.1:8000"}, {}, "127.0.0.1", None),
        ({"public_url": "http://127.0.0.1:8000"}, {}, "192.0.2.7", 403),
        ({"public_url": "http://127.0.0.1:8000"}, {"host": "evil.example"}, "127.0.0.1", 403),
        ({"public_url": "http://127.0.0.1:8000"}, {"x-forwarded-for": "8.8.8.8"}, "127.0.0.1", 403),
        ({"public_url": "https://c.example.com"}, {}, "127.0.0.1", 403),
        ({"public_url": "https://c.example.com", "dashboard_token": "d"}, {"authorization": "Bearer d"}, "::1", 403),
        ({"public_url": "http://127.0.0.1:8000", "metrics_token": "m"}, {}, "127.0.0.1", 401),
        ({"public_url": "https://c.example.com", "metrics_token": "m"}, {"authorization": "Bearer n"}, "8.8.8.8", 401),
        ({"public_url": "https://c.example.com", "metrics_token": "m"}, {"authorization": "Basic m"}, "8.8.8.8", 401),
        ({"public_url": "https://c.example.com", "metrics_token": "m"}, {"authorization": "bearer m"}, "8.8.8.8", None),
    ],
)
def test_who_may_read_the_page(
    settings: dict[str, str], headers: dict[str, str], client: str, status: int | None
) -> None:
    """How many calls a company has is nobody's business: this machine's, and whoever was given the token."""
    refused = MetricsAuth(Settings(**settings)).refusal({"host": "127.0.0.1:8000"} | headers, client)  # type: ignore[arg-type]

    assert status == (refused.status if refused else None)


@pytest.mark.e2e
async def test_the_page_is_not_for_everybody(tmp_path: Path) -> None:
    """Prometheus shows its token; who does not is told which one is meant, and the health page tells no numbers."""
    token = {"Authorization": "Bearer the-token-of-prometheus"}
    async with (
        serving(BUILTIN["tone"](), tmp_path, metrics_token="the-token-of-prometheus") as served,
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        closed = await http.get(f"{served.url}/metrics")
        page = await http.get(f"{served.url}/metrics", headers=token)
        ready = await http.get(f"{served.url}/readyz")

    assert (401, "login", "Bearer") == (closed.status_code, closed.json()["error"], closed.headers["www-authenticate"])
    assert "callpath_calls" in page.text
    assert {"ready": True} == ready.json()


@pytest.mark.e2e
async def test_the_page_of_a_server_at_work(tmp_path: Path) -> None:
    """One call, from outside: the numbers that an operator looks at first."""
    async with serving(BUILTIN["tone"](), tmp_path) as served, httpx2.AsyncClient(trust_env=False) as http:
        caller = await served.telnyx.call()
        await caller.heard_for(300)
        session = caller.call.leg.call_session_id
        await served.until_kind(session, FirstOutbound)
        page = await http.get(f"{served.url}/metrics")
        await caller.hangup()
        await caller.ended()
        await served.until_kind(session, StreamStopped)
        await http.post(f"{served.url}/api/calls/webhook", content=b"{}")
        after = (await http.get(f"{served.url}/metrics")).text.splitlines()

    lines = page.text.splitlines()
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert {
        "callpath_calls 1.0",
        "callpath_sockets 1.0",
        "callpath_outbox_commands 0.0",
        "callpath_draining 0.0",
    } <= set(lines)
    assert 'callpath_stage_seconds_count{stage="first outbound frame"} 1.0' in after
    assert 'callpath_commands_total{command="answer",status="200"} 1.0' in lines
    assert 'callpath_refused_total{reason="unsigned",what="webhook"} 1.0' in after
    assert 'callpath_webhooks_total{result="refused"} 1.0' in after
    assert any(line.startswith('callpath_frames_total{direction="out"}') for line in after)
    assert session not in page.text


@pytest.mark.e2e
async def test_each_name_in_the_docs_is_on_the_page(tmp_path: Path) -> None:
    """Alerts are copied from there. And nothing is on the page that nobody explains."""
    pytest.importorskip("obstore")
    told = (Path(__file__).parents[2] / "docs" / "howto" / "watch-the-server.md").read_text()
    async with serving(BUILTIN["tone"](), tmp_path, recordings=str(tmp_path / "kept")) as served:
        page = served.context.metrics.text().decode()
    there = {name for name in re.findall(r"^# TYPE (\S+)", page, re.MULTILINE) if not name.endswith("_created")}

    of_several = {"callpath_worker_up"}  # see the test of several workers
    assert there | of_several == set(re.findall(r"`(callpath_\w+)(?:\{[a-z,]+\})?`", told))


def test_two_servers_count_apart() -> None:
    """Two applications mounted in one process."""
    one, other = Metrics(), Metrics()
    one.count(CallStuck(reason="too_long", number=1, after_ms=1))

    assert b"too_long" not in other.text()
