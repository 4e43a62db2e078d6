"""What one answer proves, and what it only repeats."""

from __future__ import annotations

import pytest

from callpath.doctor import answers
from callpath.doctor.facts import Facts
from callpath.doctor.rules.sample import answer, failed, tries, upgrade


def test_an_echoed_path_is_no_statement() -> None:
    """`Cannot GET /api/calls/test-connection/audio` says nothing of a missing connection header."""
    exchange = answer(
        404, "<pre>Cannot GET /calls/no-upgrade-header/connection</pre>", target="/calls/no-upgrade-header/connection"
    )

    assert not answers.upgrade_missed(exchange)
    assert "connection" not in answers.words_of(exchange)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (426, "Upgrade Required"),
        (426, "Failed to open a WebSocket connection: invalid Connection header: close."),
        (505, "Failed to open a WebSocket connection: unsupported HTTP version: HTTP/1.0."),
        (400, 'Can "Upgrade" only to "WebSocket".'),
        (400, "websocket: the client is not using the websocket protocol: 'upgrade' token not found"),
        (400, "Missing or invalid Sec-WebSocket-Key header"),
        (400, "No WebSocket UPGRADE hdr: None"),
    ],
)  # fmt: skip
def test_words_of_an_application_that_saw_no_upgrade(status: int, body: str) -> None:
    """Each of these is a library's own complaint; we did send the headers, so something took them away."""
    assert answers.upgrade_missed(answer(status, body))


@pytest.mark.parametrize(
    ("status", "body"), [(404, "Not Found"), (400, "Bad Request"), (403, "no"), (505, "HTTP Version Not Supported")]
)
def test_other_refusals_prove_nothing_about_headers(status: int, body: str) -> None:
    """A wrong name costs more than none."""
    assert not answers.upgrade_missed(answer(status, body))


def test_mixed() -> None:
    """The same request, both ways."""
    facts = upgrade(answer(404))
    facts.add(tries(answer(404), answer(101)))

    assert answers.mixed(facts)
    assert answers.refused(facts) is None


def test_alike_ignores_paths_and_numbers() -> None:
    """Request ids and the asked path differ in one and the same answer."""
    one = answer(404, "GET /a/b: request 4711 not found", target="/a/b")
    other = answer(404, "GET /c: request 4712 not found", target="/c")

    assert answers.alike(one, other)
    assert not answers.alike(one, answer(404, "nothing here"))
    assert not answers.alike(one, failed("eof"))
    assert answers.alike(answer(503, "<h1>503</h1>", target="/x/y"), answer(503, "<h1>503</h1>", target="/"))


def test_lower_case_headers_betray_a_proxy() -> None:
    """Express writes X-Powered-By; in lower case it came through something."""
    assert answers.lower_cased(answer(404, x_powered_by="Express", date="today"))
    assert not answers.lower_cased(answer(404, X_Powered_By="Express", Date="today"))
    assert not answers.lower_cased(answer(404))


def test_show_says_what_was_asked_and_answered() -> None:
    """One line of evidence, for people."""
    line = answers.show(answer(302, "moved", Location="https://x/", Server="nginx"))

    assert "302" in line
    assert "location: https://x/" in line
    assert "no answer within" in answers.show(failed("timeout"))


def test_a_path_works_only_if_not_every_path_does() -> None:
    """A server that upgrades anything says nothing about routes."""
    facts = upgrade(answer(403), answer(101, shape="other:/ws", target="/ws"), answer(101, shape="made-up-path"))

    assert answers.other_path_that_works(facts) is None
    assert isinstance(facts, Facts)
