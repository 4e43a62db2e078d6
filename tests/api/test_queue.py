"""The queue to a handler: order, bound, and who is woken."""

from __future__ import annotations

import asyncio

import pytest

from callpath.api.queue import AudioQueue, DropOldestQueue


async def test_a_waiting_reader_runs_in_the_next_turn_of_the_loop() -> None:
    """And gets all that came in this one: a frame must not wait for a timer."""
    waiting: DropOldestQueue[int] = DropOldestQueue(4)
    got: list[int] = []
    seen: list[list[int]] = []

    async def read() -> None:
        async for item in waiting:
            got.append(item)

    def from_the_loop() -> None:
        waiting.put(1)
        waiting.put(2)
        asyncio.get_running_loop().call_soon(lambda: seen.append(list(got)))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(from_the_loop)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.close()

    assert seen == [[1, 2]]


async def test_from_within_a_task_the_reader_is_next() -> None:
    """Two tasks cannot run at once."""
    waiting: DropOldestQueue[int] = DropOldestQueue(4)
    got: list[int] = []

    async def read() -> None:
        async for item in waiting:
            got.append(item)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        await asyncio.sleep(0)
        waiting.put(1)
        at_once = list(got)
        await asyncio.sleep(0)
        waiting.close()

    assert (at_once, got) == ([], [1])


async def test_the_oldest_is_dropped_and_counted() -> None:
    """Old speech is worth less than new."""
    waiting: DropOldestQueue[int] = DropOldestQueue(2)
    for item in range(5):
        waiting.put(item)
    waiting.close()

    assert [item async for item in waiting] == [3, 4]
    assert waiting.dropped == 3


async def test_a_cancelled_reader_leaves_nothing_behind() -> None:
    """A handler is cancelled when its call ends, and the time-out of one read must not lose the next item."""
    waiting: DropOldestQueue[int] = DropOldestQueue(4)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await anext(waiting)
    waiting.put(7)

    assert await anext(waiting) == 7


async def test_a_cancelled_reader_is_the_only_one_cancelled() -> None:
    """A key and audio come in one read; the key makes the handler stop its reader and read on by itself."""
    audio, keys = DropOldestQueue[str](limit=3), DropOldestQueue[str](limit=3)
    seen: list[str] = []

    async def read() -> None:
        async for item in audio:
            seen.append(f"reader {item}")

    async def handle(reader: asyncio.Task[None]) -> None:
        await keys
        reader.cancel()
        async for item in audio:
            seen.append(f"handler {item}")

    def one_read() -> None:
        keys.put("1")
        audio.put("a")

    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(read())
        handler = tasks.create_task(handle(reader))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(one_read)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        audio.close()

    assert seen == ["handler a"]
    assert (reader.cancelled(), handler.cancelled()) == (True, False)


async def test_wait_for_works_on_it() -> None:
    """Handlers do that to notice silence."""
    waiting: DropOldestQueue[int] = DropOldestQueue(4)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting.__anext__(), 0.001)
    waiting.put(1)

    assert await asyncio.wait_for(waiting.__anext__(), 10) == 1


async def test_only_one_reader() -> None:
    """Two would share the caller's audio at random."""
    waiting: DropOldestQueue[int] = DropOldestQueue(4)

    async def read_one() -> int:
        return await anext(waiting)

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(read_one())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="only one task"):
            await anext(waiting)
        waiting.put(1)

    assert first.result() == 1


# --- a caller's audio while nobody reads ------------------------------------------------------------------------------


def chunks(*numbers: int) -> list[bytes]:
    return [bytes([number]) for number in numbers]


async def test_a_handler_that_reads_soon_misses_nothing() -> None:
    """It looks something up first, or the machine is busy."""
    audio = AudioQueue(250)
    for chunk in chunks(*range(10)):
        audio.put(chunk)

    assert [await anext(audio) for _ in range(10)] == chunks(*range(10))
    assert (audio.discarded, audio.dropped) == (0, 0)


async def test_what_came_before_the_first_read_is_no_lag() -> None:
    """An announcement of four seconds: an echo after it would be four seconds late for the rest of the call."""
    audio = AudioQueue(250)
    for number in range(200):
        audio.put(bytes([number]))
        assert audio.behind == 0
    first = await anext(audio)

    assert first == bytes([198])
    assert (audio.behind, audio.discarded) == (1, 198)


async def test_a_reader_that_falls_behind_loses_the_oldest_and_is_behind() -> None:
    """That is lag, and counts."""
    audio = AudioQueue(3)
    audio.put(b"0")
    await anext(audio)
    for chunk in chunks(1, 2, 3, 4):
        audio.put(chunk)

    assert (audio.behind, audio.dropped, audio.discarded) == (3, 1, 0)
    assert audio.skip() == 3
    assert audio.behind == 0


@pytest.mark.parametrize(("pause", "kept"), [(25, 25), (26, 2), (200, 2)])
async def test_a_reader_that_waits_in_play_gets_what_is_new(pause: int, kept: int) -> None:
    """For longer than half a second: hold music, a menu. A moment's wait for room loses nothing."""
    audio = AudioQueue(250)
    reader = asyncio.ensure_future(_read_one(audio))
    await asyncio.sleep(0)
    audio.put(b"x")
    audio = await reader

    for number in range(pause):
        audio.put(bytes([number]))
    assert (len(audio), audio.behind) == (kept, 0)
    audio.resume()
    assert audio.behind == kept
    assert await anext(audio) == bytes([pause - kept])


async def _read_one(audio: AudioQueue) -> AudioQueue:
    await anext(audio)
    assert audio.pause()
    assert not audio.pause()  # it pauses already
    return audio


async def test_only_the_task_that_reads_pauses_its_reading() -> None:
    """A pump that plays in a task of its own must not take the reader's audio."""
    audio = AudioQueue(250)
    reader = asyncio.ensure_future(_read_two(audio))
    await asyncio.sleep(0)

    assert not audio.pause()  # this task never read
    audio.put(b"1")
    audio.put(b"2")
    assert await reader == [b"1", b"2"]


async def _read_two(audio: AudioQueue) -> list[bytes]:
    return [await anext(audio), await anext(audio)]
