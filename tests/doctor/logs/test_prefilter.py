"""A line that is passed over is one in which no pass finds anything."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from callpath.doctor.logs import reading
from callpath.doctor.logs.patterns import PATTERNS, plain_line, topic_of
from callpath.doctor.logs.prefilter import Last, Prefilter, needs
from callpath.doctor.logs.reading import FoundInLogs, LogReader
from tests.doctor.logs.writers import ACCESS, HEALTHY, LOGGERS, NOISE, OTHER_LINES, PLATFORMS, REQUESTS, lines, rows

LOGS = Path(__file__).parent
CORPUS = sorted([*LOGS.glob("golden/*.log"), *LOGS.glob("field/**/*.log")])
DIGITS = dict.fromkeys(map(ord, "0123456789"))


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (r"(?:fail|error)\w* .{0,9}stream", "ERROR in stream"),
        (r"stream[ ._\-]?start(?:ed)?", "streamStart"),
        (r"(?:a|b)*colou?r", "aab color"),
        (r"exit(?:ed)?(?: with)? 137", "exited with 137"),
        (r"(?i)\bCall[_ -]?(?:session|leg)\b", "call-LEG"),
        (r"(?=x)(?:x|y)yz{2,}", "xyzz"),
        (r"can't|could ?n[o']t", "could not"),
        (r"✗|❌", "❌ no"),
    ],
)
def test_a_text_that_is_found_has_what_is_needed(expression: str, text: str) -> None:
    """One missed line may be the one that names the cause."""
    compiled = re.compile(expression, re.IGNORECASE)
    assert compiled.search(text) is not None
    prefilter = Prefilter((unit, None) for unit in needs(compiled))

    assert prefilter.may_matter(text.translate(DIGITS).split(), text)
    assert not prefilter.may_matter(["nothing", "of", "it"], "nothing of it")


def test_an_expression_of_which_nothing_is_known_lets_every_line_pass() -> None:
    """Digits alone need no word."""
    assert Prefilter((unit, None) for unit in needs(re.compile(r"\d{3}|x"))).may_matter(["any"], "any")


def test_a_line_is_looked_at_again_where_its_words_would_do() -> None:
    """`up` stands in many a line, and a port in few."""
    prefilter = Prefilter([((frozenset({"up"}),), Last(re.compile(r":\d{4}")))])

    assert prefilter.may_matter(["up", "on", ":"], "up on :8080")
    assert not prefilter.may_matter(["up", "and", "away"], "up and away")


def test_more_words_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids in every line would fill the memory."""
    monkeypatch.setattr("callpath.doctor.logs.prefilter.WORDS_MAX", 3)
    prefilter = Prefilter([((frozenset({"fail"}),), None)])

    assert [False, True] * 20 == [
        prefilter.may_matter([f"{letter}{word}", "some", "more", "words"], "")
        for letter in map(chr, range(97, 117))
        for word in ("fine", "failed")
    ]


@pytest.mark.parametrize("seed", range(4))
def test_lines_of_random_words_of_the_patterns(seed: int) -> None:
    """Words that patterns look for, in any order: whatever has a topic passes."""
    chance = random.Random(seed)
    vocabulary = sorted({word for row in PATTERNS for word in re.findall(r"[a-z']{2,}", row.expression.pattern)})
    prefilter = reading._filter()
    for _ in range(1500):
        text = " ".join(
            chance.choice(vocabulary) + chance.choice(["", "", "", ":", " 8080", "=200", "_id"]) for _ in range(9)
        )
        if not prefilter.may_matter(text.translate(DIGITS).split(), text):
            assert topic_of(text) is None, text


def facts(found: FoundInLogs) -> object:
    """All that is known of each call and of the process; only what is merely counted is left out."""
    return (
        [(call.name, call.entries, call.ids, found.told(call), found.edge_of(call)) for call in found.calls],
        [(item.topic, item.text) for item in found.homeless],
        (found.process, found.rows, found.row_count, found.served, found.refusals, found.own_traffic),
        (found.from_ms, found.until_ms, found.edge_from_ms, found.edge_until_ms, found.lines),
    )


def both(data: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[object, object]:
    """The facts with the filter from the first line on, and with each line read in whole."""
    monkeypatch.setattr(reading, "UNLIKE_MIN", 0)
    monkeypatch.setattr(reading, "HEAD_LINES", 1)
    made = []
    for options in ({}, {"since_ms": 0}):
        reader = LogReader(read_at_ms=1_893_456_000_000, **(options | {}))  # type: ignore[arg-type]
        reader.read("app.log", [data])
        made.append(facts(reader.finish()))
    return made[0], made[1]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_filter_changes_no_fact_of_the_corpus(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, whole = both(path.read_bytes(), monkeypatch)

    assert whole == short


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_filter_changes_no_fact_of_any_form(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every logger on this platform, with other lines around."""
    noisy = sorted((*HEALTHY, *OTHER_LINES), key=lambda said: said.at_s)
    different: list[Any] = []
    for logger in LOGGERS:
        short, whole = both(PLATFORMS[platform](lines(logger, noisy)).encode(), monkeypatch)
        if short != whole:
            different.append(logger)

    assert [] == different


@pytest.mark.parametrize("server", ACCESS)
def test_ordinary_rows_are_counted_and_others_read(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop's pages before, between and behind the call's requests."""
    from dataclasses import replace

    page = NOISE[7]
    pages = [replace(page, at_s=at / 2, path=f"/shop/{at}") for at in range(80)]
    short, whole = both(rows(server, (*REQUESTS, *NOISE, *pages)).encode(), monkeypatch)

    assert whole == short


def test_plain_lines_are_what_patterns_read() -> None:
    assert "media stream v3:id" == plain_line("mediaStream v3:AbCdEfGhIjKl")
