"""Where causes meet: every cause has its place, and none explains itself by a detour."""

from __future__ import annotations

import graphlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.facts import CallFacts, DnsFacts, EdgeFacts, EdgeRow, Facts, MachineFacts, RefusalFacts
from callpath.doctor.precedence import EDGES, EXPLAINS, GATES, explained_by, explains
from callpath.doctor.recorded import judge_call
from callpath.doctor.rule import Example, Rule, SignSource
from callpath.doctor.rules import CAUSES, RULES, rules_of
from callpath.doctor.rules.sample_call import BEGIN_UNIX_MS
from callpath.doctor.verdict import Diagnosis
from callpath.store.port import RejectedRequest

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


# --- the examples through the whole engine ---------------------------------------------------------------------------

EXAMPLES = [(rule, example) for rule in RULES for example in rule.examples if example.fires is not None]
FIRING = [(rule, example) for rule, example in EXAMPLES if example.fires]
IDS = [f"{rule.sign}: {example.title}" for rule, example in FIRING]


def whole(rule: Rule, *facts: object) -> Diagnosis:
    """The diagnosis by every sign that judges such facts in earnest, not by this one alone."""
    every = Facts(*facts)
    if CallFacts in every:
        return judge_call(every)
    sources: tuple[SignSource, ...] = ("call", "edge") if rule.source == "call" else (rule.source,)
    return judge("", every, rules=rules_of(*sources), fallbacks=rules_of(*sources, fallback=True))


@pytest.mark.parametrize(("rule", "example"), FIRING, ids=IDS)
def test_each_example_wins_or_names_the_winner(rule: Rule, example: Example) -> None:
    """A sign that fires and loses to another cause sends people the wrong way, and its own examples do not show it."""
    diagnosis = whole(rule, *example.facts)
    finding = rule.check(example.facts)

    assert finding is not None
    if finding.kind == "note":
        assert rule.slug in {note.rule.slug for note in diagnosis.notes}
    else:
        assert diagnosis.verdict is not None
        assert (example.winner or rule.slug) == diagnosis.verdict.rule.slug


FAVICON = EdgeRow(
    at_unix_ms=BEGIN_UNIX_MS + 3_000, method="GET", path="/favicon.ico", status=404, user_agent="Mozilla/5.0"
)
FILM = EdgeRow(
    at_unix_ms=BEGIN_UNIX_MS + 3_000, method="GET", path="/media/film.mp4", status=401, user_agent="Mozilla/5.0"
)
FORM = EdgeRow(
    at_unix_ms=BEGIN_UNIX_MS + 3_000, method="POST", path="/admin/login/", status=302, user_agent="Mozilla/5.0"
)
OTHER_CALL = EdgeRow(
    at_unix_ms=BEGIN_UNIX_MS + 3_000,
    method="GET",
    path="/api/calls/another/audio",
    status=404,
    source_ip="192.76.120.130",
)
OWN = EdgeRow(
    at_unix_ms=BEGIN_UNIX_MS + 3_000, method="POST", path="/made-up", status=404, user_agent="callpath-doctor/0.1"
)
STRANGER = RejectedRequest(BEGIN_UNIX_MS + 3_000, "upgrade", "no_such_path", "told", "198.51.100.7", "/wp-login.php")


def with_rows(facts: Facts, *rows: EdgeRow) -> Facts:
    edge = facts.get(EdgeFacts)
    if edge is None:
        span = (BEGIN_UNIX_MS + 2_000, BEGIN_UNIX_MS + 4_000)
        return Facts(*facts, EdgeFacts(platform="nginx", rows=rows, from_unix_ms=span[0], until_unix_ms=span[1]))
    return Facts(*facts, replace(edge, rows=(*edge.rows, *rows)))


def with_resolver(facts: Facts) -> Facts:
    """A second resolver that says the same as the first."""
    looked = facts.get(DnsFacts)
    if looked is None or not looked.queries:
        return facts
    again = replace(looked.queries[0], server="192.0.2.99")
    return Facts(*facts, replace(looked, queries=(*looked.queries, again)))


def with_refusal(facts: Facts) -> Facts:
    known = facts.get(RefusalFacts)
    if known is None:
        return Facts(*facts, RefusalFacts(count=1, latest=(STRANGER,)))
    return Facts(*facts, replace(known, count=known.count + 1, latest=(*known.latest, STRANGER)))


UNRELATED: dict[str, Callable[[Facts], Facts]] = {
    "a favicon": lambda facts: with_rows(facts, FAVICON),
    "a film": lambda facts: with_rows(facts, FILM),
    "a form": lambda facts: with_rows(facts, FORM),
    "another call": lambda facts: with_rows(facts, OTHER_CALL),
    "the doctor's own probe": lambda facts: with_rows(facts, OWN),
    "a second resolver": with_resolver,
    "a scanner was refused": with_refusal,
    "a calm machine": lambda facts: Facts(*facts, MachineFacts(lag_ms_max=3.0)),
}


@pytest.mark.parametrize("unrelated", UNRELATED.values(), ids=UNRELATED)
def test_an_unrelated_fact_changes_no_verdict(unrelated: Callable[[Facts], Facts]) -> None:
    """A row of somebody's browser, a second resolver or a scanner must neither convict nor acquit anybody."""
    changed = []
    for rule, example in EXAMPLES:
        before, after = whole(rule, *example.facts), whole(rule, *unrelated(Facts(*example.facts)))
        if named(before) != named(after):
            changed.append((rule.sign, example.title, named(before), named(after)))

    assert [] == changed


def named(diagnosis: Diagnosis) -> tuple[str, bool | None]:
    return (diagnosis.verdict.rule.slug if diagnosis.verdict else "", diagnosis.healthy)
