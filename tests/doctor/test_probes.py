"""Each probe against a server of a few literal bytes on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from callpath.clock import SystemClock
from callpath.doctor.engine import diagnose
from callpath.doctor.facts import Arrival, DnsFacts, Echo, TcpFacts, TlsFacts, UrlFacts
from callpath.doctor.probes import channel as channel_probe
from callpath.doctor.probes import tls as tls_probe
from callpath.doctor.probes.channel import PeerStoppedReading, open_channel
from callpath.doctor.probes.dns import probe_dns
from callpath.doctor.probes.idle import probe_idle
from callpath.doctor.probes.media import find_echo, opening, probe_media
from callpath.doctor.probes.shapes import CARRIER
from callpath.doctor.probes.tcp import probe_tcp
from callpath.doctor.probes.tls import probe_tls
from callpath.doctor.probes.upgrade import Door, ask_and_close
from callpath.doctor.probes.url import classify_address, classify_host, probe_url
from callpath.doctor.probes.websocket import Socket, probe_repeats
from callpath.doctor.request import Override, Request
from tests.doctor.answering import Names, echo, frame, read_frame, saying, serving, upgrading

CLOCK = SystemClock()


async def door_to(port: int, **options: object) -> Door:
    request = Request(url=f"ws://127.0.0.1:{port}/audio", timeout_ms=2000, **options)  # type: ignore[arg-type]
    url = probe_url(request)
    dns_facts = await probe_dns(request, url, CLOCK)
    return Door(request, url, await probe_tcp(request, url, dns_facts, CLOCK), None, CLOCK)


# --- URL -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.3.2.1", "loopback"), ("::1", "loopback"), ("10.1.2.3", "private"), ("172.31.0.1", "private"),
        ("172.32.0.1", "public"), ("192.168.1.1", "private"), ("100.100.1.1", "private"), ("169.254.1.1", "link-local"),
        ("fd00::1", "private"), ("fe80::1", "link-local"), ("::ffff:10.0.0.1", "private"), ("0.0.0.0", "unspecified"),
        ("203.0.113.5", "public"), ("198.18.0.1", "public"), ("2606:4700::1", "public"),
    ],
)  # fmt: skip
def test_classes_of_addresses(address: str, kind: str) -> None:
    """Taken for public, a private address would be probed from inside and called healthy."""
    assert kind == classify_address(address)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("localhost", "loopback"), ("app", "bare-name"), ("api.railway.internal", "internal-name"),
        ("printer.local", "internal-name"), ("voice.example.com", "public"), ("voice.example.com.", "public"),
    ],
)  # fmt: skip
def test_classes_of_names(host: str, kind: str) -> None:
    """A container's name works in every local test and for no call."""
    assert kind == classify_host(host)


def test_the_url_is_read_as_a_client_reads_it() -> None:
    """Path and query go on the wire as given, percent-escapes unchanged."""
    facts = probe_url(Request(url="wss://voice.example.com:8443/api/calls/v3%3Aab/audio?x=1#y"))

    assert ("voice.example.com", 8443, "/api/calls/v3%3Aab/audio?x=1") == (facts.host, facts.port, facts.target)
    assert facts.authority == "voice.example.com:8443"
    assert facts.fragment == "y"


@pytest.mark.parametrize(
    "raw", ["wss://", "wss://voice.example.com:port/", "wss://wss://voice.example.com/", "wss://a b{c/"]
)
def test_what_is_no_url(raw: str) -> None:
    """Nothing is tried, and the reason is kept."""
    assert probe_url(Request(url=raw)).problem


# --- DNS -------------------------------------------------------------------------------------------------------------


async def asked(rcode: int, *addresses: str) -> DnsFacts:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Names(rcode, *addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        port = transport.get_extra_info("sockname")[1]
        request = Request(url="wss://voice.example.com/", resolver=("127.0.0.1", port), timeout_ms=2000)
        return await probe_dns(request, probe_url(request), CLOCK)
    finally:
        transport.close()


async def test_dns_tells_its_failures_apart() -> None:
    """A name that does not exist, servers that fail, and a name without an address are mended by different people."""
    assert [query.outcome for query in (await asked(3)).queries] == ["nxdomain", "nxdomain"]
    assert [query.outcome for query in (await asked(2)).queries] == ["servfail", "servfail"]
    assert [query.outcome for query in (await asked(5)).queries] == ["refused", "refused"]
    assert [query.outcome for query in (await asked(0)).queries] == ["nodata", "nodata"]


async def test_dns_keeps_every_address_and_its_class() -> None:
    """One private address among public ones fails every second call."""
    facts = await asked(0, "10.0.0.5", "203.0.113.5")

    assert {("10.0.0.5", "private"), ("203.0.113.5", "public")} == set(zip(facts.addresses, facts.classes, strict=True))


async def test_an_override_asks_nobody() -> None:
    """As curl's --resolve."""
    request = Request(url="wss://voice.example.com/", resolve=(Override("voice.example.com", 443, "127.0.0.1"),))
    facts = await probe_dns(request, probe_url(request), CLOCK)

    assert (facts.source, facts.addresses, facts.queries) == ("override", ("127.0.0.1",), ())


# --- TCP, TLS --------------------------------------------------------------------------------------------------------


async def test_tcp_tells_open_from_refused() -> None:
    """Refused is a process that is down; anything else is a network."""
    async with serving(saying(b"")) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/")
        url = probe_url(request)
        facts = await probe_tcp(request, url, await probe_dns(request, url, CLOCK), CLOCK)
        assert [attempt.outcome for attempt in facts.attempts] == ["open"]
    facts = await probe_tcp(request, url, await probe_dns(request, url, CLOCK), CLOCK)

    assert [attempt.outcome for attempt in facts.attempts] == ["refused"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def shaken(authority: trustme.CA, tmp_path: Path, *names: str, **request_options: object) -> TlsFacts:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving(saying(b""), context) as port:
        request = Request(
            url=f"wss://voice.example.com:{port}/",
            resolve=(Override("voice.example.com", port, "127.0.0.1"),),
            timeout_ms=2000,
            **request_options,  # type: ignore[arg-type]
        )
        url = probe_url(request)
        tcp = await probe_tcp(request, url, await probe_dns(request, url, CLOCK), CLOCK)
        return await probe_tls(request, url, tcp, CLOCK)


async def test_a_trusted_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    """The private CA of --ca counts like a public one."""
    facts = await shaken(authority, tmp_path, "voice.example.com", ca_file=str(tmp_path / "ca.pem"))

    assert facts.carrier.outcome == "ok"
    assert facts.shapes == ()
    assert facts.chain[0].names == ("voice.example.com",)


async def test_another_name_and_an_unknown_root(authority: trustme.CA, tmp_path: Path) -> None:
    """OpenSSL's codes are kept: rules tell causes apart by them."""
    other = await shaken(authority, tmp_path, "www.example.net", ca_file=str(tmp_path / "ca.pem"))
    unknown = await shaken(authority, tmp_path, "voice.example.com")

    assert (other.carrier.outcome, other.carrier.verify_code) == ("untrusted", 62)
    assert (unknown.carrier.outcome, unknown.carrier.verify_code) == ("untrusted", 20)
    assert unknown.chain[0].names == ("voice.example.com",)


async def test_plain_http_on_the_port() -> None:
    """The answer to plain HTTP is the proof, not OpenSSL's complaint."""
    async with serving(saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as port:
        request = Request(url=f"wss://127.0.0.1:{port}/", timeout_ms=300)
        url = probe_url(request)
        tcp = await probe_tcp(request, url, await probe_dns(request, url, CLOCK), CLOCK)
        facts = await probe_tls(request, url, tcp, CLOCK)

    assert facts.carrier.outcome != "ok"
    assert facts.plain_answer.startswith(b"HTTP/1.1 404")


# --- HTTP ------------------------------------------------------------------------------------------------------------


async def test_every_byte_of_a_refusal_is_kept() -> None:
    """Who answered stands in the headers' spelling and in the body."""
    async with serving(saying(b"HTTP/1.1 403 No\r\nserver: x\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody")) as port:
        exchange = await ask_and_close(await door_to(port), CARRIER, 1000)

    assert (exchange.status, exchange.reason, exchange.body) == (403, "No", b"body")
    assert exchange.headers == (("server", "x"), ("X-A", "1"), ("Content-Length", "4"))
    assert not exchange.upgraded


async def test_chunks_and_interim_answers() -> None:
    """103 may stand before any answer; a chunked body is read without its frames."""
    async with serving(
        saying(
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
    ) as port:
        exchange = await ask_and_close(await door_to(port), CARRIER, 1000)

    assert (exchange.status, exchange.body) == (404, b"abcde")


@pytest.mark.parametrize(
    ("said", "outcome"), [(b"", "eof"), (b"SSH-2.0-x\r\n\r\n", "malformed"), (b"HTTP/1.1 OK\r\n\r\n", "malformed")]
)
async def test_what_is_no_answer(said: bytes, outcome: str) -> None:
    """Closed, another protocol, a broken status line: three different mistakes."""
    async with serving(saying(said)) as port:
        exchange = await ask_and_close(await door_to(port), CARRIER, 1000)

    assert outcome == exchange.outcome


async def test_a_wrong_accept_is_seen() -> None:
    """Lenient test clients do not look; a carrier's library does."""
    head = b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"
    async with serving(saying(head)) as port:
        exchange = await ask_and_close(await door_to(port), CARRIER, 1000)

    assert (exchange.status, exchange.accept_ok, exchange.upgraded) == (101, False, False)


def test_the_carriers_request_has_no_origin() -> None:
    """What browsers add would hide the commonest refusals."""
    request = Request(url="wss://voice.example.com/audio?x=1", token="t0ken")
    door = Door(request, probe_url(request), TcpFacts(attempts=()), None, CLOCK)
    head = door.head(CARRIER, "KEY").decode()

    assert head.startswith("GET /audio?x=1 HTTP/1.1\r\nHost: voice.example.com\r\n")
    assert "x-telnyx-streaming-auth-token: t0ken\r\n" in head
    for absent in ("Origin", "Mozilla", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"):
        assert absent not in head


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_an_echo_comes_back() -> None:
    """The proof of health: our own sound, found again."""
    async with serving(upgrading(echo)) as port:
        door = await door_to(port, media_s=0.6)
        exchange, channel, rest = await door.ask(CARRIER, 1000)
        assert channel is not None
        facts = await probe_media(door, exchange, Socket(channel, rest))

    assert facts.sent_frames == facts.planned_frames == len(facts.media) == 30
    assert facts.ending.by == "us"
    assert facts.echo_likeness > 0.9
    assert all(ms is not None for ms in facts.pong_ms)


async def test_an_early_close_keeps_code_and_reason() -> None:
    """1008 and 1011 are mended by different people."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        writer.write(frame(8, (1008).to_bytes(2, "big") + b"unknown session"))
        await reader.read(65536)

    async with serving(upgrading(refuse)) as port:
        door = await door_to(port, media_s=0.3)
        exchange, channel, rest = await door.ask(CARRIER, 1000)
        assert channel is not None
        facts = await probe_media(door, exchange, Socket(channel, rest))

    assert (facts.ending.by, facts.ending.code, facts.ending.reason) == ("peer", 1008, "unknown session")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\x81\x80\x00\x00\x00\x00", "masked"),
        (b"\xa1\x00", "reserved"),
        (b"\x83\x00", "opcode"),
        (b"\x80\x00", "continuation"),
        (b"\x81\x02\xff\xfe", "UTF-8"),
    ],
)
async def test_breaches_of_the_protocol_are_named(content: bytes, fault: str) -> None:
    """A library would close and say nothing of use."""

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        await reader.read(65536)

    async with serving(upgrading(misbehave)) as port:
        door = await door_to(port)
        _, channel, rest = await door.ask(CARRIER, 1000)
        assert channel is not None
        frames = [item async for item in Socket(channel, rest).frames()]
        channel.abort()

    assert [item.kind for item in frames] == ["broken"]
    assert fault in frames[0].fault


async def test_a_frame_that_never_ends_is_told_and_no_blocked_loop() -> None:
    """Behind it no pong can be seen: the server may answer every ping, and was told that its event loop is blocked."""

    async def trail_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(1, bytes(300))[:100])
        while await reader.read(65536):
            pass

    async with serving(upgrading(trail_off)) as port:
        door = await door_to(port, media_s=0.3)
        exchange, channel, rest = await door.ask(CARRIER, 1000)
        assert channel is not None
        facts = await probe_media(door, exchange, Socket(channel, rest))

    assert [fault for fault in facts.protocol_errors if "never comes" in fault]


async def test_repeats_see_a_backend_that_changes_its_mind() -> None:
    """Every second call fails, and one look would not tell."""
    turns = iter([True, False, True, False])
    good, bad = upgrading(echo), saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    async def alternate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (good if next(turns) else bad)(reader, writer)

    async with serving(alternate) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/audio")
        url = probe_url(request)
        door = Door(request, url, TcpFacts(attempts=()), None, CLOCK)
        door.addresses = ["127.0.0.1"]
        facts = await probe_repeats(door, 1000, opening(request, url), 5000)

    assert [attempt.fine for attempt in facts.tries] == [True, False, True, False]


async def test_holding_sees_who_hangs_up() -> None:
    """A stream that is cut while nobody speaks shows on hold music."""

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_frame(reader)
        await read_frame(reader)
        try:
            async with asyncio.timeout(0.1):
                while True:
                    await read_frame(reader)
        except TimeoutError:
            writer.transport.abort()

    async with serving(upgrading(impatient)) as port:
        facts = await probe_idle(await door_to(port, idle_s=0.2), 1000)

    assert {hold.ending.by for hold in facts.holds} == {"peer"}
    assert {hold.traffic for hold in facts.holds} == {"silent", "media", "media+ping"}


async def test_the_whole_way_on_a_sound_server() -> None:
    """No finding on a healthy endpoint: a false alarm costs a night."""
    async with serving(upgrading(echo)) as port:
        diagnosis = await diagnose(Request(url=f"ws://127.0.0.1:{port}/audio", media_s=0.4, local=True), CLOCK)

    assert diagnosis.healthy is True
    assert diagnosis.findings == ()
    assert diagnosis.level == "audio"
    assert diagnosis.traffic is not None
    assert diagnosis.traffic.requests <= 12


@pytest.mark.parametrize(
    ("options", "level", "exit_code"),
    [
        ({}, "inside", 4),
        ({"local": True}, "silent", 4),
        ({"local": True, "listen_only": True}, "listening", 0),
        ({"listen_only": True}, "inside", 4),
    ],
)
async def test_a_stream_on_which_nothing_is_heard(options: dict[str, bool], level: str, exit_code: int) -> None:
    """Whatever answers 101 and keeps still would else be called healthy: a CI gate on exit 0 would be worth nothing."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            opcode, content = await read_frame(reader)
            if opcode in {8, 9}:
                writer.write(frame(opcode if opcode == 8 else 10, content))

    async with serving(upgrading(swallow)) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/audio", media_s=0.4, **options)  # type: ignore[arg-type]
        diagnosis = await diagnose(request, CLOCK)

    assert (level, exit_code) == (diagnosis.level, diagnosis.exit_code)
    assert diagnosis.healthy is (True if exit_code == 0 else None)


def test_url_facts_default_to_public() -> None:
    """Facts written by hand in examples must not look like a laboratory."""
    assert UrlFacts(raw="").host_class == "public"


# --- what a peer can do to the doctor ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://a..b/", "an empty label"),
        ("http://x:99999/", "no port"),
        ("http://[foo/", "no address"),
        ("http://" + "a" * 70 + ".example/", "a label that is too long"),
        ("http://127.0.0.1/", "this machine"),
        ("http://169.254.169.254/latest/meta-data/", "a cloud's metadata"),
        ("http://1.1.1.1:8080/", "another port"),
        ("https://1.1.1.1/", "another scheme"),
        ("file:///etc/passwd", "no host"),
    ],
)
async def test_the_issuers_address_is_the_peers_own_word(location: str, why: str) -> None:
    """The examined server names that address: it must neither crash the doctor nor send it anywhere inside."""
    leaf = tls_probe._certificate(_signed("leaf.example", _authority("Some CA"), location)[0])

    assert leaf.issuer_urls == (location,)
    assert not await tls_probe._issuer_by_url(Request(url="wss://leaf.example/"), (leaf,)), why


@pytest.mark.parametrize(("sent", "found"), [("issuer", True), ("namesake", False), ("root", False), ("noise", False)])
async def test_the_fetched_issuer_must_have_signed(
    sent: str, found: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A private authority that publishes its certificate is no missing intermediate: its name alone proves nothing."""
    root = _authority("Root CA")
    issuer, namesake = _authority("Issuing CA", root), _authority("Issuing CA", _authority("Root CA"))
    leaf_der, _ = _signed("leaf.example", issuer, "http://pki.example/ca.der")
    (tmp_path / "root.pem").write_bytes(root[0].public_bytes(serialization.Encoding.PEM))
    answers = {"issuer": issuer[0], "namesake": namesake[0], "root": root[0]}

    async def fetch(_location: str, _timeout_ms: float) -> bytes:
        return answers[sent].public_bytes(serialization.Encoding.DER) if sent in answers else b"<html>"

    monkeypatch.setattr(tls_probe, "_fetch", fetch)
    request = Request(url="wss://leaf.example/", ca_file=str(tmp_path / "root.pem"))

    assert found == await tls_probe._issuer_by_url(request, (tls_probe._certificate(leaf_der),))


Signer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(name: str, by: Signer | None = None) -> Signer:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _unsigned(name, by[0].subject if by else _named(name), key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(by[1] if by else key, hashes.SHA256()), key


def _signed(name: str, by: Signer, issuer_url: str) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    location = x509.UniformResourceIdentifier(issuer_url)
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)
    builder = _unsigned(name, by[0].subject, key).add_extension(
        x509.AuthorityInformationAccess([access]), critical=False
    )
    return builder.sign(by[1], hashes.SHA256()).public_bytes(serialization.Encoding.DER), key


def _unsigned(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name)).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(start.replace(year=2036))
    )  # fmt: skip


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


async def test_a_peer_that_stops_reading_ends_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocked event loop fills every buffer in between; the doctor would wait for it for ever."""
    monkeypatch.setattr(channel_probe, "SEND_MS_MAX", 150.0)
    stopped = asyncio.Event()

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stopped.wait()

    async with serving(handle) as port:
        channel = await open_channel("127.0.0.1", port)
        with pytest.raises(PeerStoppedReading):
            await channel.send(b"x" * 30_000_000)
        channel.abort()
        stopped.set()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("app..example.com", "two dots in a row"),
        (".example.com", "begins with a dot"),
        ("a" * 64 + ".example.com", "63 is the maximum"),
        (".".join(["abcdefghi"] * 26), "253 is the maximum"),
        ("example.com:0", "port 0"),
    ],
)
async def test_a_name_that_no_resolver_can_be_asked_for(host: str, words: str) -> None:
    """A template with an empty variable makes such a name; the encoder of host names raises for it."""
    diagnosis = await diagnose(Request(url=f"wss://{host}/media", timeout_ms=300), CLOCK)

    assert diagnosis.verdict is not None
    assert diagnosis.verdict.rule.code == "URL004"
    assert words in diagnosis.verdict.finding.summary


def test_a_name_in_other_letters_is_asked_for_in_its_ascii_form() -> None:
    """A Host header of raw UTF-8 is refused, and a certificate is for the xn-- name."""
    assert probe_url(Request(url="wss://bücher.example/media")).host == "xn--bcher-kva.example"


# --- an echo, frame by frame -----------------------------------------------------------------------------------------

FRAMES = [b"\xff" * 160] * 10 + [bytes([n]) * 160 for n in range(70)]


def echoed(numbers: Iterable[int], *, delay_ms: float = 5.0, size: int = 1) -> Echo | None:
    """What came of our frames, where those came back, `size` of them in a message."""
    order = list(numbers)
    groups = [order[at : at + size] for at in range(0, len(order), size)]
    arrivals = [
        Arrival(20.0 * max(group) + delay_ms, "text", 300, "", "media", b"".join(FRAMES[n] for n in group))
        for group in groups
    ]
    return find_echo(FRAMES, arrivals, 0.0, 1600.0)


@pytest.mark.parametrize(
    ("numbers", "size", "came", "again", "early", "lost"),
    [
        (range(80), 1, 70, 0, 0, 0),
        (range(80), 2, 70, 0, 0, 0),
        (range(20, 80), 1, 60, 0, 0, 0),
        ([n for n in range(80) for _ in range(2)], 1, 70, 70, 0, 0),
        ([n + 1 - 2 * (n % 2) for n in range(80)], 1, 70, 0, 35, 0),
        (range(0, 80, 2), 1, 35, 0, 0, 34),
    ],
)
def test_what_became_of_each_frame(
    numbers: Iterable[int], size: int, came: int, again: int, early: int, lost: int
) -> None:
    """Silence is the same frame again and again, and proves nothing; where an echo begins is its own affair."""
    echo = echoed(numbers, size=size)

    assert echo is not None
    assert (came, again, early, lost) == (echo.came, echo.again, echo.early, echo.lost)


def test_an_echo_that_ends_leaves_audio_due() -> None:
    """A slow one does not: what is on its way is not missing."""
    ended, slow = echoed(range(35)), echoed(range(65), delay_ms=300.0)

    assert ended is not None and slow is not None
    assert (895.0, 0.0) == (ended.due_ms, slow.due_ms)


def test_what_is_no_echo_is_not_compared() -> None:
    """Speech of its own, a few of our frames beside it, other sizes: none is ours."""
    own = [Arrival(20.0 * n, "text", 300, "", "media", bytes([200 - n, n]) * 80) for n in range(60)]
    few = [Arrival(20.0 * n, "text", 300, "", "media", FRAMES[n]) for n in range(12, 20)]

    assert [None, None, None] == [find_echo(FRAMES, some, 0.0, 1600.0) for some in (own, own + few, [])]
    assert find_echo([], own, 0.0, 1600.0) is None
