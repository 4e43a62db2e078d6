"""Tasks: none is lost, one that fails harms no other, and what was kept ends by itself."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from callpath.errors import LocalProtocolError
from callpath.server.tasks import Tasks


async def test_work_is_cancelled_and_what_is_kept_is_waited_for() -> None:
    """A handler must not hold up a stop; a timeline that is half written must not be cut."""
    tasks, ended, may_end = Tasks(), list[str](), asyncio.Event()

    async def kept() -> None:
        await may_end.wait()
        ended.append("kept")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")
            may_end.set()

    async with tasks.running():
        tasks.keep(kept(), "kept")
        tasks.spawn(work(), "work")
        await asyncio.sleep(0)

    assert ended == ["work", "kept"]
    assert not tasks.is_running


async def test_a_task_that_fails_is_logged_and_harms_no_other() -> None:
    """One call's fault must not end the others'."""
    tasks, went_on = Tasks(), asyncio.Event()

    async def fails() -> None:
        raise ValueError("a fault of ours")

    async def goes_on() -> None:
        await asyncio.sleep(0)
        went_on.set()

    with capture_logs() as logs:
        async with tasks.running():
            tasks.spawn(fails(), "fails")
            tasks.spawn(goes_on(), "goes on")
            await went_on.wait()

    assert [("task.failed", "fails")] == [(line["event_name"], line["task"]) for line in logs]


async def test_a_stopped_server_takes_no_work() -> None:
    """It would never be cancelled, and hold up the stop."""
    tasks = Tasks()
    done = []

    async def work() -> None:
        done.append(1)

    async with tasks.running():
        tasks.stop()
        with pytest.raises(LocalProtocolError, match="not running"):
            tasks.spawn(work(), "late")

    with pytest.raises(RuntimeError):
        tasks.keep(work(), "later")
    assert done == []


async def test_what_all_calls_need_ends_everything() -> None:
    """A server that no longer paces its streams must not answer for ever that it is well."""
    tasks = Tasks()

    async def pacer() -> None:
        raise ValueError("a fault of ours")

    async def serve() -> None:
        async with tasks.running():
            tasks.run_critical(pacer, "pace streams")
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as group:
        await serve()

    assert [ValueError] == [type(error) for error in group.value.exceptions]
    assert not tasks.is_running


async def test_who_gives_up_waiting_does_not_end_the_work() -> None:
    """What is on its way to the disk gets there, and what follows from it is done."""
    tasks, may_end, ended = Tasks(), asyncio.Event(), list[str]()

    async def slow() -> str:
        await may_end.wait()
        ended.append("slow")
        return "stored"

    async def fails() -> str:
        await may_end.wait()
        raise ValueError("a full disk")

    with capture_logs() as logs:
        async with tasks.running():
            for work in (slow(), fails()):
                with pytest.raises(TimeoutError):
                    await tasks.within(0.0, work, "work")
            may_end.set()
            result = await tasks.within(10.0, slow(), "work")
            with pytest.raises(ValueError, match="full"):
                await tasks.within(10.0, fails(), "work")

    assert (result, ended) == ("stored", ["slow", "slow"])
    assert ["task.failed"] == [line["event_name"] for line in logs]
