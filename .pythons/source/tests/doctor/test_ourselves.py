"""A callpath server says itself why it refuses; the doctor repeats it instead of guessing."""

from __future__ import annotations

import pytest

from callpath.doctor.answers import refused
from callpath.doctor.ourselves import own_word, refused_by_callpath
from callpath.doctor.rules.sample import answer, upgrade

SAID = '{"error":"unknown_session","detail":"no such call"}'


def test_our_own_word_is_believed() -> None:
    """Its 404 is no missing route: the server was reached, and no other rule may guess about it."""
    facts = upgrade(answer(404, SAID, X_Callpath="0.1.0"))
    word = refused_by_callpath(facts, "unknown_session")

    assert word is not None
    assert (word.reason, word.detail) == ("unknown_session", "no such call")
    assert refused(facts) is None


@pytest.mark.parametrize(
    "exchange",
    [
        answer(404, SAID),
        answer(404, "Not Found", X_Callpath="0.1.0"),
        answer(404, "[1]", X_Callpath="0.1.0"),
        answer(502, '{"error":"x"}', X_Callpath="0.1.0"),
    ],
)
def test_what_is_not_our_word(exchange: object) -> None:
    """Another server may use the same words, and a proxy may keep our header on a page of its own."""
    assert own_word(exchange) is None  # type: ignore[arg-type]


def test_a_missing_path_is_still_compared_with_others() -> None:
    """Only slashes or case may differ, and then that is the better word."""
    facts = upgrade(answer(404, '{"error":"no_such_path","detail":"d"}', X_Callpath="0.1.0"))

    assert refused(facts) is not None
