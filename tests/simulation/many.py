"""Many lives, in as many processes as the machine has processors."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context

import structlog

from tests.simulation.life import draw, live

AT_ONCE = 50
"""Seeds that a process is given at a time."""


def quiet() -> None:
    """What goes wrong on purpose is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def broken_lives(first: int, count: int, jobs: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The seeds from `first` whose lives break a promise, in order, with what was broken. `jobs`: how many processes; 1:
    this one, 0: one for each processor."""
    groups = [range(seed, min(seed + AT_ONCE, first + count)) for seed in range(first, first + count, AT_ONCE)]
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        yield from chain.from_iterable(map(_broken, groups))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=quiet) as pool:
        yield from chain.from_iterable(pool.map(_broken, groups))


def _broken(seeds: range) -> list[tuple[int, list[str]]]:
    return [(seed, found) for seed in seeds if (found := asyncio.run(live(draw(seed))))]
