"""What an edge's rows say about one call."""

from __future__ import annotations

from callpath.doctor.edges import covers, failed_upgrades, posts, show_row, upgrades
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def test_the_upgrades_of_this_call() -> None:
    """Another call's row must not speak for this one."""
    facts = seen_at_edge(row("POST"), row("GET", 404), row("GET", 502, path="/api/calls/another/audio"))

    assert [404] == [found.status for found in upgrades(facts)]
    assert [200] == [found.status for found in posts(facts)]


def test_a_try_that_worked_forgives_those_that_failed() -> None:
    """Telnyx may try again, and get through."""
    assert () == failed_upgrades(seen_at_edge(row("GET", 502), row("GET", 101, duration=9_000)), 502)


def test_a_log_that_ends_too_early_covers_nothing() -> None:
    """No row is no evidence while the row may still be written."""
    assert covers(seen_at_edge(row("POST")))
    assert not covers(seen_at_edge(row("POST"), until_ms=900))


def test_a_row_in_words() -> None:
    """The edge's own words are the evidence."""
    assert "edge: GET /x → 502, after 12 ms, upstream errors: connection refused, upstream 10.0.0.7:8080" == show_row(
        row("GET", 502, path="/x", errors=("connection refused",))
    )
