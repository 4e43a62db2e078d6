"""Commands that people paste: they must be runnable as they stand."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.facts import Arrival, DnsFacts, DnsQuery, Facts, UrlFacts
from callpath.doctor.recorded import judge_call
from callpath.doctor.reproduce import command_for, command_for_cause, next_steps, reproduce
from callpath.doctor.rules import RULES
from callpath.doctor.rules.sample import NGINX_404, answer, certificate, dns, ended, media, nothing, tls, upgrade, url
from callpath.doctor.rules.sample_call import ACCEPTED, a_call, hung_up

OVERRIDE = DnsFacts(name="voice.example.com", source="override", addresses=("203.0.113.9",))


@pytest.mark.parametrize(
    ("facts", "layer", "begins"),
    [
        (Facts(url()), "tcp", "nc -vz -w 4 voice.example.com 443"),
        (Facts(url(), OVERRIDE), "tcp", "nc -vz -w 4 203.0.113.9 443"),
        (dns(DnsQuery("A", "nxdomain", "192.0.2.53:5353", 1.0)), "dns", "dig @192.0.2.53 -p 5353 voice.example.com A"),
        (Facts(url()), "tls", "openssl s_client -connect voice.example.com:443 -servername voice.example.com"),
        (upgrade(answer(404)), "routing", "curl -i -N --http1.1 --max-time 10 -H 'Connection: Upgrade'"),
        (Facts(*upgrade(answer(404)), OVERRIDE), "http",
         "curl -i -N --http1.1 --max-time 10 --resolve voice.example.com:443:203.0.113.9"),
        (media(), "codec", "websocat -v wss://voice.example.com/api/calls/"),
        (Facts(url(problem="no host")), "tcp", ""),
        (nothing(), "http", ""),
    ],
)  # fmt: skip
def test_each_layer_has_its_tool(facts: Facts, layer: str, begins: str) -> None:
    """A curl line says nothing about DNS, and openssl nothing about frames."""
    command = command_for(facts, layer)

    assert command.startswith(begins)
    assert bool(command) == bool(begins)
    assert not command or shlex.split(command, comments=True)


def test_what_stands_in_the_url_stays_one_word() -> None:
    """A query with & would start a job in the background, and a quote would wait for its end."""
    odd = url("wss://voice.example.com/a?x=1&y='2'", path="/a", query="x=1&y='2'")
    words = shlex.split(command_for(Facts(odd, *upgrade(answer(404), given=odd)), "http"))

    assert "https://voice.example.com/a?x=1&y='2'" == words[-1]


def test_candidates_have_titles_and_commands() -> None:
    """ "proxy-idle-timeout" is no sentence; what nobody has written down is shown as it is."""
    title, command = command_for_cause(Facts(url()), "proxy-idle-timeout")

    assert title[0].isupper()
    assert command.startswith("callpath doctor url --idle 130 ")
    assert ("odd thing", "") == command_for_cause(Facts(url()), "odd-thing")


def test_a_call_that_is_over_has_a_next_step_for_each_candidate() -> None:
    """It cannot be tried again; what the candidate means, and how it is told apart, is one command away."""
    diagnosis = judge_call(a_call([*ACCEPTED, (20_000, hung_up())]))
    steps = next_steps(diagnosis)

    assert len(steps) > 3
    assert all(command.startswith("callpath doctor explain ") for title, command in steps if title not in NO_SIGN)
    assert any(title in NO_SIGN for title, _ in steps)


NO_SIGN = {"A firewall admits the doctor and not Telnyx's addresses"}


def test_every_candidate_of_a_rule_is_a_cause_or_has_words() -> None:
    """ "firewall ip allowlist" is no sentence."""
    named = {
        slug
        for rule in RULES
        for example in rule.examples
        if example.fires and (finding := rule.check(example.facts)) is not None
        for slug in finding.candidates
    }

    assert {slug for slug in named if command_for_cause(Facts(), slug)[0] == slug.replace("-", " ")} == set()


def test_a_proven_cause_has_a_command_and_no_candidates() -> None:
    """And one that is open has both."""
    proven = judge("", upgrade(answer(404, NGINX_404)))
    untrusted = judge("", tls("untrusted", certificate(self_signed=True), verify_code=18))
    late = Arrival(990.0, "text", 300, "", "media", b"\xff")
    open_ = judge("", media(late, ending=ended("eof", at_ms=1000.0, after="media")))

    assert reproduce(proven).startswith("curl ")
    assert reproduce(untrusted).startswith("openssl ")
    assert [] == next_steps(proven)
    assert 2 == len(next_steps(open_))
    assert "" == reproduce(replace(proven, verdict=None))


def test_a_raw_ipv6_address_is_bracketed() -> None:
    """host:port of an IPv6 address would be read as one longer address."""
    six = UrlFacts(raw="", host="2001:db8::1", host_is_address=True)

    assert "openssl s_client -connect [2001:db8::1]:443 -showcerts" in command_for(Facts(six), "tls")
