"""The dashboard's list at 100,000 calls: what a page, a search, a filter and a look for changes take.

python bench/dashboard.py [CALLS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import msgspec
from sqlalchemy import create_engine
from starlette.applications import Starlette

from callpath.call.overview import CallOverview
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.dashboard.app import Dashboard, Door
from callpath.store.schema import calls
from callpath.store.sql import _overview_row, open_call_log
from tests.dashboard.calls import AT, entries, failed_call, good_call, no_phone

HOST = "127.0.0.1:8000"
TIMES = 15


def overview(session: str, good: bool) -> CallOverview:
    """Folded once from a timeline; only ids, times and numbers differ from call to call."""
    row = CallOverview(session=session)  # type: ignore[arg-type]
    for number, entry in enumerate(entries(session, good_call() if good else failed_call()), 1):
        row.apply(msgspec.structs.replace(entry, number=number))
    return row


async def fill(folder: Path, count: int) -> str:
    url = f"sqlite:///{folder / 'callpath.db'}"
    async with open_call_log(url):
        pass
    patterns = [overview("good", True), overview("failed", False)]
    rows = []
    for number in range(count):
        row = patterns[0 if number % 50 else 1]
        row.session = f"{number:08x}-c0de-11f0-9002-02420a000002"  # type: ignore[assignment]
        row.first_unix_ms = AT + 1000 * number
        row.number = number + 1
        row.from_ = f"+1555{number:07d}"
        rows.append(_overview_row(row))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(calls.insert(), rows)
    engine.dispose()
    return url


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = await fill(Path(folder), count)
        door = Door(
            settings=Settings(public_url=f"http://{HOST}"), clock=SystemClock(), handler_name="", serve_for=no_phone
        )
        dashboard = Dashboard(door)
        transport = httpx2.ASGITransport(app=Starlette(routes=dashboard.routes), client=("127.0.0.1", 1))
        async with (
            open_call_log(url) as log,
            httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http,
        ):
            dashboard.attach(log, None)  # type: ignore[arg-type]
            print(f"{count} calls; median and worst of {TIMES}, ms, over the API in this process")
            cursor = (await http.get("/api/v1/calls?limit=200")).json()["next"]
            for name, path in (
                ("first page of 50", "/calls"),
                ("a page further on", f"/calls?cursor={cursor}"),
                ("filter: failed (2 %)", "/calls?outcome=failed"),
                ("search: a number, one hit", f"/calls?q=1555{7:07d}"),
                ("search: nothing fits", "/calls?q=nothing"),
                ("totals", "/totals"),
            ):
                taken = []
                for _ in range(TIMES):
                    began = time.perf_counter()
                    answer = await http.get(f"/api/v1{path}")
                    taken.append(1000 * (time.perf_counter() - began))
                    assert answer.status_code == 200, answer.text
                print(f"{name:28}{statistics.median(taken):8.1f}{max(taken):8.1f}")
            taken = []
            for _ in range(TIMES):
                began = time.perf_counter()
                await log.changes(count, 200)
                taken.append(1000 * (time.perf_counter() - began))
            print(f"{'a look for changes':28}{statistics.median(taken):8.2f}{max(taken):8.2f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
