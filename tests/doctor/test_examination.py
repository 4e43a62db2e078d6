"""Controls, the environment's proxy, the request budget and the time limit, against servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import certifi
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trustme

from callpath.clock import SystemClock
from callpath.doctor import examination
from callpath.doctor.engine import diagnose
from callpath.doctor.facts import ControlFacts, DnsFacts, UpgradeFacts
from callpath.doctor.request import Controls, Override, Request
from callpath.doctor.verdict import Diagnosis
from tests.doctor.answering import Handler, Names, closed_port, echo, frame, read_frame, saying, serving, upgrading

CLOCK = SystemClock()
URL = "wss://voice.example.com{port}/api/calls/test-connection/audio"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Zone(Names):
    """A name server with a table; any other name does not exist."""

    def __init__(self, **names: str) -> None:
        super().__init__(0)
        self._names = {name.replace("_", "."): address for name, address in names.items()}

    def datagram_received(self, content: bytes, sender: tuple[str, int]) -> None:
        question = dns.message.from_wire(content)
        answer = dns.message.make_response(question)
        name = question.question[0].name
        address = self._names.get(name.to_text(omit_final_dot=True))
        if address is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.question[0].rdtype == (28 if ":" in address else 1):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "AAAA" if ":" in address else "A", address))
        self._transport.sendto(answer.to_wire(), sender)


@asynccontextmanager
async def resolving(**names: str) -> AsyncIterator[tuple[str, int]]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Zone(**names), local_addr=("127.0.0.1", 0)
    )
    try:
        yield ("127.0.0.1", transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def found(*addresses: str) -> Callable[..., Awaitable[DnsFacts]]:
    """A resolver's answer whose addresses pass for public ones."""

    async def look(*_: object) -> DnsFacts:
        classes = tuple("public" for _ in addresses)
        return DnsFacts(name="voice.example.com", source="system", addresses=addresses, classes=classes)  # type: ignore[arg-type]

    return look


def outcome(diagnosis: Diagnosis) -> tuple[str, int]:
    verdict = diagnosis.verdict
    return (verdict.rule.code if verdict is not None else diagnosis.level or "", diagnosis.exit_code)


def controls(resolver: tuple[str, int], port: int = 443, ipv6_port: int = 1) -> Controls:
    return Controls(host="control.example", port=port, resolvers=(resolver, resolver), ipv6=("::1", ipv6_port))


# --- DNS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "public", "said"),
    [
        ({}, {}, ("MACHINE001", 4)),
        ({}, {"voice_example_com": "203.0.113.1"}, ("MACHINE001", 4)),
        ({"control_example": "127.0.0.1"}, {}, ("DNS001", 1)),
        ({"control_example": "127.0.0.1"}, {"voice_example_com": "203.0.113.1"}, ("DNS009", 4)),
    ],
)
async def test_a_name_is_only_missing_where_another_is_found(
    ours: dict[str, str], public: dict[str, str], said: tuple[str, int]
) -> None:
    """A machine without internet, with a dead resolver or behind a filter must not be taken for a missing record."""
    async with resolving(**ours) as resolver, resolving(**public) as other:
        request = Request(url=URL.format(port=""), resolver=resolver, controls=controls(other), timeout_ms=1000)

        assert said == outcome(await diagnose(request, CLOCK))


async def test_a_local_test_asks_no_other_host() -> None:
    """A laboratory has no internet, and a user who says so wants no request to leave."""
    async with resolving() as resolver:
        request = Request(url=URL.format(port=""), resolver=resolver, controls=controls(resolver), local=True)
        seen = await examination.gather(request, CLOCK)

    assert ControlFacts not in seen.facts
    assert [step.name for step in seen.steps] == ["URL", "DNS"]


# --- TCP -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("control_open", "said"), [(False, ("MACHINE002", 4)), (True, ("TCP001", 1))])
async def test_a_port_is_only_closed_where_another_opens(
    control_open: bool, said: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that lets nothing out refuses every connection."""
    async with (
        resolving(voice_example_com="127.0.0.1", control_example="127.0.0.1") as resolver,
        serving(saying(b"")) as port,
    ):
        monkeypatch.setattr(examination, "probe_dns", found("127.0.0.1"))
        known = controls(resolver, port if control_open else closed_port())
        request = Request(url=URL.format(port=f":{closed_port()}"), resolver=resolver, controls=known, timeout_ms=500)

        assert said == outcome(await diagnose(request, CLOCK))


async def test_a_machine_without_ipv6_accuses_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most home lines and containers: a perfect dual-stack endpoint would have "one dead address"."""
    async with (
        serving(upgrading(echo)) as port,
        resolving(control_example="127.0.0.1", voice_example_com="127.0.0.1") as resolver,
    ):
        request = Request(
            url=f"ws://voice.example.com:{port}/api/calls/test-connection/audio",
            controls=controls(resolver),
            resolver=resolver,
            timeout_ms=500,
            media_s=0.3,
        )

        monkeypatch.setattr(examination, "probe_dns", found("127.0.0.1", "::1"))
        diagnosis = await diagnose(request, CLOCK)

    tcp = next(step for step in diagnosis.steps if step.name == "TCP")
    assert [found.rule.code for found in diagnosis.findings if found.rule.code.startswith(("DNS", "TCP"))] == []
    assert "not checked, no way from this machine: ::1" in tcp.detail


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Example Inspection")


def context_of(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: trustme.CA | None, mozilla: trustme.CA | None
) -> None:
    """This machine's store, and what stands for Mozilla's list, hold one root each, or none."""
    (tmp_path / "none").mkdir(exist_ok=True)
    for name, root in (("system", system), ("mozilla", mozilla)):
        text = (
            root.cert_pem.bytes() if root is not None else trustme.CA().cert_pem.bytes() if name == "mozilla" else b""
        )
        (tmp_path / f"{name}.pem").write_bytes(text)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "mozilla.pem"))


@pytest.mark.parametrize(
    ("system", "mozilla", "control", "said"),
    [
        ("public", "public", "inspected", ("MACHINE005", 4)),
        ("inspected", "public", "inspected", ("MACHINE005", 4)),
        ("public", "public", "public", ("TLS004", 1)),
        ("inspected", "public", "public", ("TLS004", 1)),
        ("none", "public", "public", ("TLS004", 1)),
        ("none", "none", "inspected", ("MACHINE005", 4)),
    ],
)
async def test_a_chain_is_judged_by_two_stores_and_a_control(
    system: str,
    mozilla: str,
    control: str,
    said: tuple[str, int],
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The URL's certificate is by a private authority. Which of server, machine and network is to blame?"""
    monkeypatch.setattr(examination, "probe_dns", found("127.0.0.1"))
    roots = {"public": trustme.CA(organization_name="Example Public"), "inspected": authority, "none": None}
    trusts(monkeypatch, tmp_path, roots[system], roots[mozilla])
    by = roots[control]
    assert by is not None
    async with (
        resolving(voice_example_com="127.0.0.1", control_example="127.0.0.1") as resolver,
        serving(upgrading(echo), context_of(authority, "voice.example.com")) as port,
        serving(saying(b""), context_of(by, "control.example")) as control_port,
    ):
        request = Request(
            url=URL.format(port=f":{port}"), resolver=resolver, controls=controls(resolver, control_port), media_s=0.3
        )
        diagnosis = await diagnose(request, CLOCK)

    assert said == outcome(diagnosis)
    if said[0] == "MACHINE005":
        assert diagnosis.verdict is not None
        assert "Example Inspection" in diagnosis.verdict.finding.summary


@pytest.mark.parametrize("local", [False, True])
async def test_an_empty_store_says_nothing_about_a_certificate(
    local: bool, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A slim image without ca-certificates fails with every host."""
    trusts(monkeypatch, tmp_path, None, None)
    async with serving(saying(b""), context_of(authority, "voice.example.com")) as port:
        override = (Override("voice.example.com", port, "127.0.0.1"),)
        request = Request(url=URL.format(port=f":{port}"), resolve=override, local=local)

        assert ("MACHINE004", 4) == outcome(await diagnose(request, CLOCK))


async def test_mozillas_roots_stand_in_for_an_empty_store(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The rest of the way can be examined; the store is worth a note."""
    trusts(monkeypatch, tmp_path, None, authority)
    async with serving(upgrading(echo), context_of(authority, "voice.example.com")) as port:
        override = (Override("voice.example.com", port, "127.0.0.1"),)
        request = Request(url=URL.format(port=f":{port}"), resolve=override, media_s=0.4)
        diagnosis = await diagnose(request, CLOCK)

    assert ("audio", 0) == outcome(diagnosis)
    assert "MACHINE004" in {note.rule.code for note in diagnosis.notes}


# --- the environment's proxy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "used"), [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 407 No\r\n\r\n", False)])
async def test_the_proxy_of_the_environment(
    answer: bytes, used: bool, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A network that lets only its proxy out knows no names: the URL is examined through the proxy, which is named."""
    trusts(monkeypatch, tmp_path, authority, authority)
    asked: list[bytes] = []

    async with serving(upgrading(echo), context_of(authority, "voice.example.com")) as port:

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            if used:
                behind, before = await asyncio.open_connection("127.0.0.1", port)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_pipe(reader, before))
                    tasks.create_task(_pipe(behind, writer))

        async with serving(tunnel) as proxy_port, resolving() as resolver:
            request = Request(
                url=URL.format(port=""), resolver=resolver, controls=controls(resolver), media_s=0.4, timeout_ms=1000,
                proxy=f"http://user:secret@127.0.0.1:{proxy_port}",
            )  # fmt: skip
            diagnosis = await diagnose(request, CLOCK)

    assert asked[0].startswith(b"CONNECT voice.example.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in asked[0]
    if used:
        assert ("audio", 0) == outcome(diagnosis)
        note = next(note for note in diagnosis.notes if note.rule.code == "NET001")
        assert "secret" not in note.finding.summary
    else:
        assert ("MACHINE001", 4) == outcome(diagnosis)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await reader.read(65_536):
            writer.write(content)
    except OSError:
        pass
    writer.close()


# --- what is sent ----------------------------------------------------------------------------------------------------


def recording(answer: bytes, heads: list[bytes]) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)

    return handle


@pytest.mark.parametrize("status", [200, 301, 302, 400, 401, 403, 404, 405, 421, 426, 429, 500, 502, 503, 504, 505])
async def test_an_examination_is_cheap_and_signed(status: int) -> None:
    """Dozens of requests trip limiters, start paid sessions and fill logs that are then read as evidence."""
    heads: list[bytes] = []
    answer = b"HTTP/1.1 %d Said\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status
    async with serving(recording(answer, heads)) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/media?call=1", token="t", timeout_ms=500, local=True)
        seen = await examination.gather(request, CLOCK)

    traffic = seen.traffic()
    guessed = [head for head in heads if b" /api/media" in head or b" /ws " in head]
    assert traffic.requests <= 12
    assert traffic.requests == 1 if status == 429 else traffic.requests > 3
    assert len(heads) == traffic.requests
    assert [head for head in heads if b"callpath-doctor" not in head] == []
    assert [head for head in heads if not head.startswith(b"GET ")] == []
    assert bool(guessed) == (status == 404)
    assert traffic.left_out


async def test_its_own_rate_limit_stops_it() -> None:
    """A limiter of a few requests would else answer the tail of the burst, and pass for the cause."""
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        status = b"429 Too Many Requests" if len(heads) > 2 else b"404 Not Found"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async with serving(handle) as port:
        seen = await examination.gather(Request(url=f"ws://127.0.0.1:{port}/media", local=True, timeout_ms=500), CLOCK)

    assert seen.traffic().limited_at == 3
    assert len(heads) <= 6  # one round of a few at once was under way
    assert 429 != seen.facts[UpgradeFacts].carrier.status


async def test_another_request_that_works_is_narrowed_down() -> None:
    """Origin or User-Agent? A browser's upgrade differs in several things at once."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Origin:" not in head:
            writer.write(FORBIDDEN)
            return
        from tests.doctor.answering import accept_of

        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(head).encode() + b"\r\n\r\n"
        )

    async with serving(handle) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/media", local=True, timeout_ms=500)
        diagnosis = await diagnose(request, CLOCK)

    assert diagnosis.verdict is not None
    assert diagnosis.verdict.rule.slug == "ws-origin-check-403"


# --- a call id that belongs to no call -------------------------------------------------------------------------------


def closing(code: int) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        await read_frame(reader)
        writer.write(frame(8, code.to_bytes(2, "big")))
        await writer.drain()
        await reader.read()

    return upgrading(handle)


@pytest.mark.parametrize(
    "handler",
    [
        saying(FORBIDDEN),
        saying(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
        saying(b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n'),
        closing(1000),
        closing(1008),
        closing(1011),
        closing(4401),
    ],
    ids=["403", "500", "401", "1000", "1008", "1011", "4401"],
)  # fmt: skip
async def test_a_refused_made_up_call_is_no_fault(handler: Handler) -> None:
    """Good servers refuse unknown ids: the doctor's own id must not turn that into an accusation."""
    async with serving(handler) as port:
        made_up = await diagnose(Request(url=f"ws://127.0.0.1:{port}/calls/abc", local=True, timeout_ms=500), CLOCK)

    assert made_up.exit_code == 4
    assert made_up.verdict is not None
    assert made_up.verdict.finding.question


async def test_a_refused_known_call_is_a_fault() -> None:
    """The user says that the call is up: then a close after the start is what was asked about."""
    async with serving(closing(1011)) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/calls/abc", local=True, known_call=True, timeout_ms=500)

        assert (await diagnose(request, CLOCK)).exit_code == 1


# --- time ------------------------------------------------------------------------------------------------------------


async def test_the_whole_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is bounded by itself; their sum is bounded, too, and what was seen by then is judged."""
    monkeypatch.setattr(examination, "GRACE_MS", 0.0)

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(handle) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/media", local=True, budget_ms=300.0)
        diagnosis = await diagnose(request, CLOCK)

    assert diagnosis.steps[-1].name == "time"
    assert diagnosis.exit_code == 4


def pouring(*texts: bytes) -> Handler:
    """Says the first text and then the second without an end."""

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(texts[0])
        while not writer.is_closing():
            writer.write(texts[1])
            await writer.drain()
            await asyncio.sleep(0)

    return handle


@pytest.mark.parametrize(
    "handler",
    [
        pouring(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
        pouring(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20),
        pouring(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        upgrading(pouring(b"", frame(9, b"x" * 100) * 50)),
        upgrading(pouring(b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), b"x" * 65_536)),
        upgrading(pouring(b"\x01\x01a", b"\x00\x01a" * 500)),
    ],
    ids=["headers", "interim answers", "a body", "pings", "one frame", "fragments"],
)
async def test_a_peer_that_never_ends(handler: Handler) -> None:
    """Whatever the peer pours out: the examination ends by itself, and nothing of it is called healthy."""
    async with serving(handler) as port:
        request = Request(
            url=f"ws://127.0.0.1:{port}/media",
            local=True,
            timeout_ms=300,
            answer_timeout_ms=400,
            budget_ms=1500,
            media_s=0.3,
        )
        diagnosis = await asyncio.wait_for(diagnose(request, CLOCK), 25)

    assert diagnosis.exit_code in {1, 4}
    assert not any(item.crashed for item in diagnosis.not_checked)
