"""What /metrics tells, in Prometheus' text format. Nearly all of it is counted from the entries of the timelines.

Every label has few values, none of them chosen by strangers: no ids, numbers or paths. Of several workers any tells the
page of all, each line with the number of its worker: a sum would fall when one of them is replaced, which Prometheus takes
for a start from nought, and so counts everything twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from callpath.config import Settings, is_this_machine
from callpath.server.workers import Worker
from callpath.timeline import (
    CallRejected,
    CallStuck,
    CommandAnswered,
    CommandRetried,
    MediaCounted,
    MediaSymptom,
    PolicyActed,
    SocketRejected,
    StreamMissing,
    StreamProbed,
    StreamStopped,
    What,
    kind_of,
)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

WEBHOOK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Telnyx sends again after 2 s without an answer."""

COMMAND_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STAGE_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0)

TROUBLES = (
    "lost",
    "late",
    "duplicated",
    "reordered",
    "frames_rejected",
    "dropped_for_handler",
    "underruns",
    "write_stalls",
)
"""What MediaCounted counts beside whole frames."""


WORKER_S_MAX = 1.0
"""How long another worker may take to tell its page. Prometheus asks again; a page that came too late helps nobody."""


class Metrics:
    """One server's. Its registry is its own, so that two servers in one process do not meet."""

    def __init__(self, worker: Worker | None = None) -> None:
        self._worker = worker
        registry = self.registry = CollectorRegistry()
        self._entries = Counter("callpath_timeline_entries", "Entries of timelines", ["kind"], registry=registry)
        self._commands = Counter(
            "callpath_commands", "Call Control commands that were answered", ["command", "status"], registry=registry
        )
        self._command_seconds = Histogram(
            "callpath_command_seconds",
            "Until the answer to a command, all tries included",
            ["command"],
            buckets=COMMAND_SECONDS,
            registry=registry,
        )
        self._rejected = Counter(
            "callpath_refused", "Requests that were refused", ["what", "reason"], registry=registry
        )
        self._missing = Counter(
            "callpath_streams_missing", "Streams that were asked for and did not come", ["seen"], registry=registry
        )
        self._probes = Counter("callpath_probes", "Verdicts of the doctor on streams", ["code"], registry=registry)
        self._steps = Counter("callpath_policy_steps", "Steps of policies", ["policy", "step"], registry=registry)
        self._retries = Counter(
            "callpath_command_retries", "Tries that failed", ["command", "status"], registry=registry
        )
        self._webhooks = Counter("callpath_webhooks", "Webhooks that were answered", ["result"], registry=registry)
        self._webhook_seconds = Histogram(
            "callpath_webhook_seconds", "Until a webhook is answered", buckets=WEBHOOK_SECONDS, registry=registry
        )
        self._stage_seconds = Histogram(
            "callpath_stage_seconds",
            "From a call's first webhook to each stage of its way to working audio",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self._frames = Counter("callpath_frames", "Frames of audio", ["direction"], registry=registry)
        self._troubles = Counter("callpath_frame_troubles", "What went wrong with frames", ["what"], registry=registry)
        self._symptoms = Counter("callpath_media_symptoms", "What sounded wrong", ["code"], registry=registry)
        self._recordings = Counter(
            "callpath_recording_uploads", "Tries to upload a recording", ["result"], registry=registry
        )
        self._counted: dict[str, MediaCounted] = {}
        """The last counters of each open stream; they only grow."""
        self._stuck = Counter("callpath_calls_stuck", "Calls hung up as stuck", ["reason"], registry=registry)

    def count(self, what: What) -> None:
        """An entry was written."""
        self._entries.labels(kind_of(what)).inc()
        match what:
            case CommandAnswered():
                self._commands.labels(what.command, str(what.status or "none")).inc()
                self._command_seconds.labels(what.command).observe(what.latency_ms / 1000)
            case CommandRetried():
                self._retries.labels(what.command, str(what.status or "none")).inc()
            case MediaCounted():
                self._count_media(what)
            case StreamStopped(stream_id=str(stream_id)):
                self._counted.pop(stream_id, None)
            case MediaSymptom():
                self._symptoms.labels(what.code).inc()
            case SocketRejected():
                self.rejected("upgrade", what.reason)
            case StreamMissing():
                self._missing.labels(what.seen).inc()
            case StreamProbed():
                self._probes.labels(what.code or ("healthy" if what.healthy else "none")).inc()
            case PolicyActed():
                self._steps.labels(what.policy, what.step).inc()
            case CallRejected():
                self.rejected("call", what.reason)
            case CallStuck():
                self._stuck.labels(what.reason).inc()
            case _:
                pass

    def rejected(self, what: str, reason: str) -> None:
        """A webhook, an upgrade or a call was turned away; `reason` is one of our own words."""
        self._rejected.labels(what, reason).inc()

    def webhook(self, result: str, seconds: float) -> None:
        """One was answered: `new`, `duplicate`, `refused` or `not_stored`."""
        self._webhooks.labels(result).inc()
        self._webhook_seconds.observe(seconds)

    def recording(self, result: str) -> None:
        """An upload was tried: `stored`, or why not, as a code."""
        self._recordings.labels(result).inc()

    def stage(self, label: str, seconds: float) -> None:
        """A call has come to a stage, so long after its first webhook."""
        self._stage_seconds.labels(label).observe(max(0.0, seconds))

    def gauge(self, name: str, does: str, read: Callable[[], float]) -> None:
        """A number that is asked for whenever the page is."""
        Gauge(name, does, registry=self.registry).set_function(read)

    def _count_media(self, now: MediaCounted) -> None:
        before = self._counted.get(now.stream_id) or MediaCounted(stream_id=now.stream_id)
        self._counted[now.stream_id] = now
        self._frames.labels("in").inc(max(0, now.frames_in - before.frames_in))
        self._frames.labels("out").inc(max(0, now.frames_out - before.frames_out))
        for name in TROUBLES:
            grown = getattr(now, name) - getattr(before, name)
            if grown > 0:
                self._troubles.labels(name).inc(grown)

    def text(self) -> bytes:
        """The page of this process."""
        return generate_latest(self.registry if self._worker is None else _OfWorker(self.registry, self._worker))

    async def serve_peers(self) -> None:
        """Serve this worker's page to the others, until cancelled."""
        assert self._worker is not None

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(self.text())
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(answer, self._worker.page_path(self._worker.number))
        async with server:
            await server.serve_forever()

    async def of_all_workers(self) -> bytes:
        """The page of all workers; where there is one, its own."""
        worker = self._worker
        if worker is None:
            return self.text()
        others = [number for number in range(1, worker.of + 1) if number != worker.number]
        pages = dict(zip(others, await asyncio.gather(*(_page(worker.page_path(one)) for one in others)), strict=True))
        up = "".join(
            f'callpath_worker_up{{worker="{number}"}} {float(bool(pages.get(number, True)))}\n'
            for number in range(1, worker.of + 1)
        )
        return merged([self.text(), *pages.values(), WORKER_UP + up.encode()])


class _OfWorker(Collector):
    """A registry, each line with the number of its worker."""

    def __init__(self, registry: CollectorRegistry, worker: Worker) -> None:
        self._registry = registry
        self._label = {"worker": str(worker.number)}

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample._replace(labels={**sample.labels, **self._label}) for sample in metric.samples]
            yield metric


async def _page(path: str) -> bytes:
    """What a worker tells; nothing where there is none at this moment."""
    try:
        async with asyncio.timeout(WORKER_S_MAX):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


HELP = b"# HELP "
WORKER_UP = HELP + b"callpath_worker_up 1 where a worker tells its numbers\n# TYPE callpath_worker_up gauge\n"


def merged(pages: Iterable[bytes]) -> bytes:
    """Several pages as one: the format wants all lines of a metric in one place."""
    blocks: dict[bytes, bytes] = {}
    for page in pages:
        for block in page.split(HELP)[1:]:
            title, kind, lines = block.split(b"\n", 2)
            blocks[title] = blocks.get(title, HELP + title + b"\n" + kind + b"\n") + lines
    return b"".join(blocks.values())


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """Why a client may not read the page."""

    status: int
    reason: str
    detail: str


class MetricsAuth:
    """Access to the page: with CALLPATH_METRICS_TOKEN as `Authorization: Bearer`; without that setting, from this machine
    only, unless the server is public. The dashboard's token does not open it: a scraper needs only numbers, and since wrong
    tokens are not counted here, the page could be used to guess it."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.metrics_token.encode()
        self._public_url = settings.public_url

    def refusal(self, headers: Mapping[str, str], client: str | None) -> AccessDenied | None:
        """Why the client may not read the page; None if it may."""
        if self._token:
            scheme, _, shown = headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer" and hmac.compare_digest(shown.strip().encode(), self._token):
                return None
            return AccessDenied(
                401, "login", "show the token that CALLPATH_METRICS_TOKEN holds: Authorization: Bearer …"
            )
        if is_this_machine(self._public_url, headers, client):
            return None
        return AccessDenied(403, "no_token_set", "to read this from elsewhere, set CALLPATH_METRICS_TOKEN and show it")
