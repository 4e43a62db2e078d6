"""Where causes meet: every cause has its place, and none explains itself by a detour."""

from __future__ import annotations

import graphlib

import pytest

from callpath.doctor.precedence import EDGES, EXPLAINS, GATES, explained_by, explains
from callpath.doctor.rules import CAUSES, RULES

KEYS = [key for gate in GATES for key in gate.keys]
SIGNS = {rule.sign for rule in RULES}


def test_every_cause_stands_in_one_place() -> None:
    """A cause without a place would have no rank beside others; one with two would have two."""
    assert len(KEYS) == len(set(KEYS))
    assert {cause.slug for cause in CAUSES} - set(KEYS) == set()


def test_every_key_is_a_cause_or_one_of_its_signs() -> None:
    """A misspelt key would be a line that does nothing."""
    known = {cause.slug for cause in CAUSES} | SIGNS

    assert set(KEYS) - known == set()
    assert {key for edge in EDGES for key in edge} - known == set()


def test_explanations_have_no_cycle() -> None:
    """Two findings under each other would leave no verdict."""
    graph = {rule.sign: {other.sign for other in RULES if explains(other, rule)} for rule in RULES}

    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(RULES)


@pytest.mark.parametrize("cause", sorted({edge.cause for edge in EXPLAINS}))
def test_each_cause_explains_in_one_entry_and_says_why(cause: str) -> None:
    """A second entry would be overlooked by whoever changes the first."""
    entries = [edge for edge in EXPLAINS if edge.cause == cause]

    assert len(entries) == 1
    assert entries[0].because


def test_gates_say_why() -> None:
    """An order without a reason is one that nobody dares to change."""
    assert [] == [gate.name for gate in GATES if not gate.because]


def test_what_explains_a_cause_is_on_its_page() -> None:
    """`doctor explain` tells which cause to look for first."""
    hostname = next(cause for cause in CAUSES if cause.slug == "tls-hostname-mismatch")

    assert "tls-expired" in explained_by(hostname)
    assert "dns-nxdomain" not in explained_by(hostname)
