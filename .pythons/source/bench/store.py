"""Appends to the call log, grouped in a thread (ours) against one await a statement (SQLAlchemy's asyncio way).

python bench/store.py          needs aiosqlite and greenlet for the comparison: pip install 'sqlalchemy[asyncio]' aiosqlite
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from sqlalchemy.dialects.sqlite import insert

from callpath.store.schema import entries, metadata
from callpath.store.sql import open_call_log
from callpath.timeline import Entry, Noted, encode_what
from callpath.wire.ids import SessionId

ROWS = 2_000
GROUP = 500


async def grouped_in_a_thread(folder: Path) -> float:
    """Microseconds a row through the real call log, commits included."""
    async with open_call_log(f"sqlite:///{folder / 'ours.db'}") as log:
        rows = [
            Entry(session=SessionId(f"s{number % 10}"), at_unix_ms=number, what=Noted(text="x"), key=str(number))
            for number in range(ROWS)
        ]
        began = time.perf_counter()
        for start in range(0, ROWS, GROUP):
            await asyncio.gather(*[log.append(row) for row in rows[start : start + GROUP]])
        return (time.perf_counter() - began) / ROWS * 1e6


async def one_await_a_statement(folder: Path) -> float | None:
    """The same insert through the asyncio engine; None where it is not installed."""
    try:
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'async.db'}")
    except ImportError:
        return None
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    statement = insert(entries).on_conflict_do_nothing(index_elements=["session", "key"])
    what = encode_what(Noted(text="x"))
    began = time.perf_counter()
    for start in range(0, ROWS, GROUP):
        async with engine.begin() as connection:
            for number in range(start, start + GROUP):
                row = {"session": "s", "at_unix_ms": 1, "kind": "note", "key": str(number), "what": what}
                await connection.execute(statement, row)
    took = (time.perf_counter() - began) / ROWS * 1e6
    await engine.dispose()
    return took


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours = await grouped_in_a_thread(Path(folder))
        theirs = await one_await_a_statement(Path(folder))
    print(f"grouped, in a thread     {ours:7.1f} µs a row (two statements a row: the entry, and its call's counter)")
    if theirs is None:
        print("one await a statement    not installed: pip install aiosqlite greenlet")
    else:
        print(f"one await a statement    {theirs:7.1f} µs a row (one statement)   {theirs / ours:.1f} times as much")


asyncio.run(main())
