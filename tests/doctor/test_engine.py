"""Judging facts that were written down, and examining servers that do nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from callpath.clock import SystemClock
from callpath.doctor import engine, examination
from callpath.doctor.engine import diagnose, judge
from callpath.doctor.facts import Arrival, DnsFacts, DnsQuery, Facts, MachineFacts, TcpAttempt, TcpFacts, UrlFacts
from callpath.doctor.request import Request
from callpath.doctor.rule import Example, Finding, Rule, Seen
from callpath.doctor.rules import rules_of
from callpath.doctor.rules.sample import (
    NGINX_404,
    answer,
    certificate,
    control,
    dns,
    ended,
    media,
    tcp,
    tls,
    tries,
    upgrade,
    url,
)
from callpath.doctor.verdict import Step


def _slugs(facts: Facts) -> list[str]:
    return [found.rule.slug for found in judge("wss://voice.example.com/", facts).findings]


def _healthy() -> Facts:
    facts = media(Arrival(900.0, "text", 260, '{"event":"media"', "media", b"\x7f\x00" * 80))
    facts.add(tries(answer(101), answer(101)))
    return facts


def test_a_good_stream_is_healthy() -> None:
    """A false alarm sends somebody to mend what works."""
    diagnosis = judge("wss://voice.example.com/", _healthy())

    assert diagnosis.healthy is True
    assert diagnosis.findings == ()
    assert diagnosis.exit_code == 0


def test_no_facts_is_not_healthy() -> None:
    """Nothing seen is not nothing wrong."""
    diagnosis = judge("wss://voice.example.com/", Facts())

    assert diagnosis.healthy is None
    assert diagnosis.exit_code == 4
    assert {item.rule.code for item in diagnosis.not_checked} == {rule.code for rule in rules_of("url")}


def test_one_cause_and_the_rest_under_it() -> None:
    """At 2 a.m. one line decides; a list of symptoms does not."""
    leaf = certificate(self_signed=True, not_after_unix_ms=0)
    diagnosis = judge("wss://voice.example.com/", tls("untrusted", leaf, verify_code=18, verify_message="self-signed"))

    assert diagnosis.verdict is not None
    assert diagnosis.verdict.rule.slug == "tls-self-signed"
    assert [(found.rule.slug, found.under) for found in diagnosis.findings] == [
        ("tls-self-signed", ""),
        ("tls-expired", "TLS003"),
    ]
    assert diagnosis.exit_code == 1


def test_an_unknown_fault_keeps_its_layer_and_names_no_cause() -> None:
    """The nearest entry of a catalogue is a wrong name."""
    diagnosis = judge("wss://voice.example.com/", upgrade(answer(418, "short and stout")))

    assert diagnosis.verdict is not None
    assert diagnosis.verdict.rule.layer == "http"
    assert not diagnosis.decided
    assert diagnosis.healthy is None
    assert diagnosis.exit_code == 4
    assert diagnosis.verdict.finding.question


def test_look_alikes_are_named_as_two() -> None:
    """A made-up id may be refused rightly: only a real call's id tells."""
    diagnosis = judge("wss://voice.example.com/", media(ending=ended(code=1008)))

    assert diagnosis.verdict is not None
    assert not diagnosis.decided
    assert len(diagnosis.verdict.finding.candidates) == 2


def test_a_rule_that_crashes_takes_no_other_along() -> None:
    """And a healthy endpoint is not called healthy by rules of which one fell over."""

    def crash(_: Facts) -> Finding | None:
        raise ZeroDivisionError

    rules = rules_of("url")
    broken = replace(rules[0], check=crash)
    diagnosis = judge("wss://voice.example.com/", _healthy(), rules=(broken, *rules[1:]))

    assert diagnosis.healthy is None
    assert [item.rule.code for item in diagnosis.not_checked if item.crashed] == [broken.code]


def test_mixed_answers_silence_what_one_answer_seems_to_say() -> None:
    """One 404 of two replicas is no missing route."""
    facts = upgrade(answer(404, NGINX_404))
    facts.add(tries(answer(101), answer(404, NGINX_404), answer(101)))

    assert _slugs(facts) == ["wrong-instance"]


def test_a_private_host_explains_the_refused_connection() -> None:
    """`localhost:3000` in stream_url is no server that is down."""
    facts = tcp("refused")
    facts.add(url("wss://localhost:3000/", host="localhost", host_class="loopback"))

    assert _slugs(facts) == ["url-private-host", "tcp-refused"]


def test_every_suspect_gets_its_words() -> None:
    """The three that are always accused, in every report."""
    for facts in (Facts(), _healthy(), upgrade(answer(404)), tcp("refused")):
        suspects = judge("wss://voice.example.com/", facts).suspects

        assert len(suspects) == 3
        assert all(suspect.words for suspect in suspects)


def test_a_port_that_is_not_published() -> None:
    """443 answers on the same address: the port in the URL is the mistake."""
    open_443 = (TcpAttempt("203.0.113.1", 443, "open", 9.0),)
    facts = Facts(
        UrlFacts(raw="wss://voice.example.com:3000/", host="voice.example.com", port=3000, port_given=True),
        TcpFacts(
            attempts=(TcpAttempt("203.0.113.1", 3000, "timeout", 4000.0),),
            usual_port=open_443,
            usual_port_speaks_tls=True,
        ),
    )

    assert _slugs(facts) == ["url-port-mismatch", "tcp-timeout-firewall-drop"]


# --- the bound on time -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def _mute() -> AsyncIterator[int]:
    """A server that takes connections and never says a word."""
    writers: list[asyncio.StreamWriter] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


async def _within(scheme: str, port: int) -> tuple[str | None, list[str]]:
    request = Request(
        url=f"{scheme}://127.0.0.1:{port}/api/calls/test-connection/audio",
        timeout_ms=60.0,
        answer_timeout_ms=60.0,
        budget_ms=200.0,
        insecure=True,
    )
    diagnosis = await diagnose(request, SystemClock())
    return (diagnosis.verdict.rule.slug if diagnosis.verdict else None, [step.name for step in diagnosis.steps])


async def test_hanging_at_tls() -> None:
    """Each wait has its own bound: small ones here add up to a second, the real ones to less than 30 s."""
    async with _mute() as port:
        slug, steps = await asyncio.wait_for(_within("wss", port), 20)

    assert slug == "tls-handshake-timeout"
    assert steps == ["URL", "DNS", "TCP", "TLS"]


async def test_hanging_at_http() -> None:
    """The upgrade is never answered, nor is anything else."""
    async with _mute() as port:
        slug, steps = await asyncio.wait_for(_within("ws", port), 20)

    assert slug == "http-no-answer"
    assert steps[-1] == "upgrade"


def test_the_bounds_add_up_to_less_than_thirty_seconds() -> None:
    """The promise of the command, computed from the constants: DNS, TCP and its second look, TLS with its shapes and
    one fetch, the answer, the shapes, one late try."""
    request = Request(url="wss://voice.example.com/")

    assert request.budget_ms <= 28_000
    assert request.answer_timeout_ms + 3 * examination.SHAPE_TIMEOUT_MS <= request.budget_ms


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_steps_are_told_as_they_are_taken() -> None:
    """Somebody watches this at a terminal."""
    told: list[str] = []
    show: Callable[[Step], None] = lambda step: told.append(step.name)  # noqa: E731
    await diagnose(Request(url=f"ws://127.0.0.1:{_free_port()}/", timeout_ms=500), SystemClock(), show)

    assert told == ["URL", "DNS", "TCP"]


def test_a_starved_machine_does_not_name_a_cause_by_time() -> None:
    """Pongs that come late to a doctor who is himself late say nothing about the server; a wrong name would."""
    facts = media(pong_ms=(20.0, 2500.0, 30.0))
    at_rest = judge("wss://voice.example.com/", facts)
    facts.add(MachineFacts(lag_ms_max=900.0))
    starved = judge("wss://voice.example.com/", facts)

    assert at_rest.verdict is not None and at_rest.verdict.finding.kind == "fault"
    assert starved.verdict is not None and starved.verdict.finding.kind == "open"
    assert starved.healthy is None
    assert "900 ms late" in starved.verdict.finding.question


def test_what_depends_on_the_call_is_a_sign_of_a_cause() -> None:
    """A code that was merged or renamed would silently accuse made-up calls again."""
    assert set() == engine.OF_THE_CALL - {rule.sign for rule in rules_of("url") + rules_of("url", fallback=True)}


# --- confidence ------------------------------------------------------------------------------------------------------


def test_high_needs_a_second_observation() -> None:
    """One answer may be a fluke; the same from another request, or again, is not."""
    once = judge("", upgrade(answer(404, NGINX_404)))
    twice = judge("", upgrade(answer(404, NGINX_404), answer(404, NGINX_404, shape="plain")))
    again = judge("", Facts(*upgrade(answer(404, NGINX_404)), tries(answer(404, NGINX_404), answer(404, NGINX_404))))

    assert [("medium", 1)] == [(found.finding.confidence, found.finding.observations) for found in once.findings[:1]]
    assert "high" == again.findings[0].finding.confidence
    assert twice.findings[0].finding.observations >= 1


OF_THE_URL = [(rule, example) for rule in rules_of("url") for example in rule.examples if example.fires]


@pytest.mark.parametrize(
    ("rule", "example"), OF_THE_URL, ids=[f"{rule.sign}: {example.title}" for rule, example in OF_THE_URL]
)
def test_no_rule_is_sure_after_one_look(rule: Rule, example: Example) -> None:
    """A team that is accused with "high" and finds it wrong uses the doctor once: a rule that leaves out where it looked
    may not claim it, whatever it writes."""
    for found in judge("", Facts(*example.facts), rules=[rule]).findings:
        finding = found.finding

        assert finding.confidence != "high" or finding.certain or finding.observations >= 2
        assert finding.observations >= len(finding.observed)


def test_one_look_is_enough_for_what_stands_in_the_url_and_for_a_callpath_server_alone() -> None:
    """A way round the second observation that any rule may take would be taken."""
    sure = {rule.sign for rule, example in OF_THE_URL if (found := rule.check(example.facts)) and found.certain}

    assert sure == {
        "URL001", "URL002", "URL003", "URL004", "URL005", "URL009",
        "CALLPATH001", "CALLPATH002", "CALLPATH003", "CALLPATH004",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "confidence", "observations"),
    [
        (("a text", "another text", "a third"), "medium", 0),
        ((Seen("it says no", "the answer"), Seen("in these words", "the answer")), "medium", 1),
        ((Seen("it says no", "the answer"), Seen("it says no", "try 2")), "high", 2),
        ((Seen("60 frames of 320 bytes", "messages", 60),), "high", 60),
    ],
)
def test_only_what_was_looked_at_apart_counts(evidence: tuple[str, ...], confidence: str, observations: int) -> None:
    """Two lines about one answer are one observation, and an explanation is none."""
    rule = replace(rules_of("url")[0], layer="http", check=lambda facts: Finding("no", evidence))
    finding = judge("", Facts(), rules=[rule]).findings[0].finding

    assert (confidence, observations) == (finding.confidence, finding.observations)


def test_a_try_counts_for_what_it_looked_at() -> None:
    """Tries open a stream and close it: that they were let in says nothing about the audio, and one whose handshake is in
    order nothing about a handshake that was not."""
    wav = Arrival(20.0, "text", 300, "", "media", b"RIFF\x00\x00\x00\x00WAVEfmt ")
    audio = judge("", Facts(*media(wav), tries(answer(101), answer(101)))).findings[0]
    forced = answer(101, Sec_WebSocket_Protocol="audio")
    once = judge("", Facts(*upgrade(forced), tries(answer(101), answer(101)))).findings[0]
    again = judge("", Facts(*upgrade(forced), tries(forced, forced))).findings[0]

    assert ("MEDIA003", "medium", ("the first message",)) == (
        audio.rule.code,
        audio.finding.confidence,
        audio.finding.observed,
    )
    assert ("WS005", "medium") == (once.rule.code, once.finding.confidence)
    assert ("high", 3) == (again.finding.confidence, again.finding.observations)


def test_the_control_is_a_second_observation() -> None:
    """A refused port says little of the server while nobody knows whether this machine can connect to anything."""
    alone = judge("", tcp("refused")).findings[0].finding
    beside = judge("", Facts(*tcp("refused"), control())).findings[0].finding

    assert ("medium", "high") == (alone.confidence, beside.confidence)
    assert "the same step on api.telnyx.com" in beside.observed


def test_what_is_read_itself_needs_no_second_look() -> None:
    """The URL, a file or a setting is not a sign of the fault, it is the fault."""
    diagnosis = judge("", Facts(url("wss://localhost/x", host="localhost", host_class="loopback")))

    assert ("url-private-host", "high") == (
        diagnosis.findings[0].rule.slug,
        diagnosis.findings[0].finding.confidence,
    )


def test_the_same_facts_give_the_same_verdict() -> None:
    """Whatever the order in which they were gathered."""
    facts = list(Facts(*upgrade(answer(404, NGINX_404), answer(200, shape="plain")), tries(answer(404, NGINX_404))))

    assert 1 == len({str(judge("", Facts(*order)).findings) for order in (facts, facts[::-1])})


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (url(), "machine-no-dns"),
        (url("wss://voice. example.com/media"), "url-whitespace-or-control"),
        (url("wss://localhost/media", host="localhost", host_class="loopback"), "url-private-host"),
    ],
)
def test_a_failed_control_takes_back_what_needs_the_network_alone(given: UrlFacts, verdict: str) -> None:
    """A blank in the URL is there whatever the resolver says."""
    looked = dns(DnsQuery("A", "nxdomain", "192.0.2.53", 12.0))[DnsFacts]
    found = judge("", Facts(given, looked, control(dns="nxdomain", tcp=None, tls=None, mozilla=None)))

    assert found.verdict is not None
    assert verdict == found.verdict.rule.slug
    assert "dns-nxdomain" in {item.rule.slug for item in found.findings}


@pytest.mark.parametrize("server", ["Werkzeug/3.0", "gunicorn", "Python/3.11 aiohttp/3.14.5", "uvicorn"])
@pytest.mark.parametrize("status", [200, 404, 405])
def test_an_ordinary_page_does_not_prove_that_a_server_has_no_websockets(server: str, status: int) -> None:
    """flask-sock, aiohttp and ASGI programs serve a stream beside pages: a wrong path would otherwise move the program to
    another server."""
    pages = [answer(status, "a page", shape=shape, Server=server) for shape in ("plain", "made-up-path-plain")]
    made_up = answer(status, "a page", shape="made-up-path", Server=server)
    diagnosis = judge("wss://voice.example.com/", upgrade(answer(status, "a page", Server=server), *pages, made_up))
    named = [found.rule.slug for found in diagnosis.findings if found.finding.kind == "fault"]

    assert (server, status) == ("uvicorn", 404) or "app-has-no-websocket" not in named
