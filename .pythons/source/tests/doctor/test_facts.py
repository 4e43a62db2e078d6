"""Facts by type."""

from __future__ import annotations

import pytest

from callpath.doctor.facts import DnsFacts, FactMissing, Facts, TlsFacts, UrlFacts
from callpath.doctor.rules.sample import answer, certificate, shake, tls, url


def test_a_missing_fact_says_which() -> None:
    """The engine turns it into "not checked", with the way to get it."""
    with pytest.raises(FactMissing) as caught:
        Facts()[DnsFacts]

    assert caught.value.fact is DnsFacts
    assert Facts().get(DnsFacts) is None


def test_adding_replaces() -> None:
    """A probe that looks again supersedes itself."""
    facts = Facts(url(host="a"))
    facts.add(url(host="b"))

    assert facts[UrlFacts].host == "b"
    assert len(list(facts)) == 1


def test_headers_are_found_in_any_case() -> None:
    """Proxies change the spelling, never the meaning."""
    exchange = answer(404, Server="nginx", X_Powered_By="Express")

    assert exchange.header("server") == "nginx"
    assert exchange.has("X-POWERED-BY", "express")
    assert exchange.header("via") is None


def test_the_chain_of_a_failed_handshake_comes_from_the_unverified_one() -> None:
    """Without it nobody could say which certificate expired."""
    leaf = certificate(subject="CN=shown")
    facts = tls("untrusted", shapes=(shake("unverified", chain=(leaf,)),))
    assert facts[TlsFacts].chain[0].subject == "CN=voice.example.com"


def test_authority_carries_only_an_unusual_port() -> None:
    """`Host: x:443` is refused by some servers."""
    assert url().authority == "voice.example.com"
    assert url(port=8443).authority == "voice.example.com:8443"
    assert url(host="::1").authority == "[::1]"
    assert url(scheme="ws", port=80).authority == "voice.example.com"
