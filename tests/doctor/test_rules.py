"""Every rule: listed once, true to its examples, and pure."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import callpath.doctor.rules as rules
from callpath.doctor.facts import FactMissing
from callpath.doctor.rule import Example, Rule
from callpath.doctor.rules import EVERY_RULE, FALLBACKS

FILES = sorted(
    path.stem
    for path in Path(rules.__file__).parent.glob("*.py")
    if path.stem != "__init__" and not path.stem.startswith("sample")
)
NAMED = [rule for rule in EVERY_RULE if rule not in FALLBACKS]
EXAMPLES = [(rule, example) for rule in EVERY_RULE for example in rule.examples]


@pytest.mark.parametrize(
    ("rule", "example"), EXAMPLES, ids=[f"{rule.code}: {example.title}" for rule, example in EXAMPLES]
)
def test_example(rule: Rule, example: Example) -> None:
    """The examples are what `doctor explain` shows: a rule that does otherwise lies to whoever reads it."""
    try:
        fired: bool | None = rule.check(example.facts) is not None
    except FactMissing:
        fired = None

    assert example.fires == fired


def test_every_file_is_listed() -> None:
    """A rule that is written and not listed never speaks."""
    listed = {rule.check.__module__.rpartition(".")[2] for rule in EVERY_RULE}

    assert set(FILES) == listed


def test_codes_are_unique_and_named_like_their_file() -> None:
    """A code in a ticket must lead to one file."""
    codes = [rule.code for rule in EVERY_RULE]

    assert len(codes) == len(set(codes))
    for rule in NAMED:
        assert rule.check.__module__.rpartition(".")[2].startswith(rule.code.lower() + "_")


@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.code)
def test_fires_keeps_quiet_and_says_not_checked(rule: Rule) -> None:
    """A rule without a quiet example may fire on the healthy; one without facts must not pass for ok."""
    assert {True, False, None} == {example.fires for example in rule.examples}


@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.code)
def test_masks_are_real_codes(rule: Rule) -> None:
    """A finding folded under a code that does not exist would never be folded."""
    known = {other.code for other in NAMED}

    assert set(rule.masked_by) <= known
    assert rule.code not in rule.masked_by


@pytest.mark.parametrize("stem", FILES)
def test_rules_do_no_input_or_output(stem: str) -> None:
    """Rules judge recorded calls too, where there is no network to ask."""
    tree = ast.parse((Path(rules.__file__).parent / f"{stem}.py").read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert set() == imported & {"asyncio", "socket", "ssl", "time", "httpx2", "websockets"}
