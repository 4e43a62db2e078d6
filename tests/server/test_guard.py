"""Those who connect and do not speak: cut, while everybody else is served."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callpath.server.builtin import BUILTIN
from callpath.server.guard import HEADER_BYTES_MAX, GuardedHttp
from callpath.server.webhooks import BODY_BYTES_MAX
from callpath.timeline import CommandSent, SocketRejected
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.serving import WAIT_S_MAX, serving

pytestmark = pytest.mark.e2e

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of a second in the place of fifteen, twenty and sixty."""
    for name in ("header_s_max", "body_s_max", "read_s_max"):
        monkeypatch.setattr(GuardedHttp, name, 0.2)


async def answer(port: int, *pieces: bytes) -> bytes:
    """All that comes until the server closes."""
    async with asyncio.timeout(WAIT_S_MAX):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            said = b""
            for piece in pieces:
                writer.write(piece)
                if piece == REQUEST:
                    said = await reader.readuntil(b"ok\n")
            return said + await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ((), b""),
        ((b"GET / HT",), b"HTTP/1.1 408 "),
        ((b"GET /healthz HTTP/1.1\r\nHost: x\r\n",), b"HTTP/1.1 408 "),
        ((REQUEST, b"\r\n"), b"HTTP/1.1 200 "),
        ((REQUEST, b"GET /"), b"HTTP/1.1 200 "),
    ],
    ids=["silent", "request line", "headers", "after a request: nothing", "after a request: half of one"],
)
async def test_who_does_not_speak_is_cut(tmp_path: Path, pieces: tuple[bytes, ...], status: bytes) -> None:
    """A thousand of them would use up the file descriptors, and calls could not come any more."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        text = await answer(served.port, *pieces)

    assert text.startswith(status)
    assert bool(text) == bool(pieces)


@pytest.mark.parametrize(("claimed", "reason"), [(1000, b"too_slow"), (10_000_000, b"too_large")])
async def test_a_body_that_does_not_end_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claimed: int, reason: bytes
) -> None:
    """It is answered, and then not listened to any more."""
    monkeypatch.setattr("callpath.server.webhooks.BODY_S_MAX", 0.2 if reason == b"too_slow" else 10.0)
    head = b"POST /api/calls/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % claimed
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        text = await answer(served.port, head, b"x" * min(claimed - 1, 2 * BODY_BYTES_MAX))

    assert reason in text or (reason == b"too_large" and text == b"reset")


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_trickles_is_cut_on_every_path(tmp_path: Path) -> None:
    """Where a route reads it, and where none does."""

    async def read(request: Request) -> Response:
        return Response(await request.body())

    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        served.asgi.router.routes.insert(0, Route("/reads", read, methods=["POST"]))
        said = [await answer(served.port, head % path) for path in (b"/reads", b"/healthz", b"/nowhere")]

    assert [b"HTTP/1.1 408 ", b"HTTP/1.1 405 ", b"HTTP/1.1 404 "] == [text[:13] for text in said]


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_read_is_cut(tmp_path: Path) -> None:
    """Answers that nobody takes pile up in memory, and the connection would be there for ever."""

    async def large(_request: Request) -> Response:
        return Response(b"x" * 50_000_000)

    async with serving(BUILTIN["tone"](), tmp_path) as served:
        served.asgi.router.routes.insert(0, Route("/large", large))
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        while served.asgi.state.connection_limiter:
            await asyncio.sleep(0.01)
        got = b""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                got += piece
        writer.close()

    assert got.startswith(b"HTTP/1.1 200 ")
    assert len(got) < 50_000_000


async def test_requests_without_end_behind_each_other_are_cut(tmp_path: Path) -> None:
    """Each waits for the one before it, and while they wait more of them are read: a hundred thousand a second."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        said = await answer(served.port, REQUEST.replace(b"\r\n\r\n", b"\r\na: b\r\n\r\n") * 2000)

    assert said == b"reset" or said.count(b"HTTP/1.1 200 ") < 100


async def test_halves_of_large_bodies_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand of a quarter of a megabyte would. A small one, which all of Telnyx's are, is read meanwhile; and when
    they are gone, so are their places."""
    monkeypatch.setattr("callpath.server.webhooks.LARGE_MAX", 2)
    head = b"POST /api/calls/webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    half, small = head % 30_000 + b"x" * 20_000, head % 2 + b"{}"
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        async with asyncio.timeout(WAIT_S_MAX), contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                _, writer = await asyncio.open_connection("127.0.0.1", served.port)
                stack.callback(writer.close)
                writer.write(half)
            while served.asgi.state.webhooks._large < 2:
                await asyncio.sleep(0.01)
            third, telnyx = await answer(served.port, half), await answer(served.port, small)
        async with asyncio.timeout(WAIT_S_MAX):
            while served.asgi.state.webhooks._large:
                await asyncio.sleep(0.01)

    assert third.startswith(b"HTTP/1.1 503 ")
    assert b"too_many_large" in third
    assert telnyx.startswith(b"HTTP/1.1 401 ")


WEBSOCKET = (
    b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


UNREADABLE = {
    "a long path": b"GET /api/calls/" + b"a" * 9000 + b"/audio HTTP/1.1\r\n" + WEBSOCKET + b"\r\n",
    "a long line": b"GET /api/calls/a/audio HTTP/1.1\r\n" + WEBSOCKET + b"x-long: " + b"y" * 9000 + b"\r\n\r\n",
    "many lines": b"GET /api/calls/a/audio HTTP/1.1\r\n" + WEBSOCKET + b"a: b\r\n" * 130 + b"\r\n",
    "a POST": b"POST /api/calls/a/audio HTTP/1.1\r\n" + WEBSOCKET + b"Content-Length: 1\r\n\r\nx",
}


async def test_an_upgrade_that_cannot_be_read_is_answered_and_closed(tmp_path: Path) -> None:
    """uvicorn does neither: such connections stay for as long as their clients like, and no time limit sees them."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        said = {name: await answer(served.port, request) for name, request in UNREADABLE.items()}

    assert dict.fromkeys(UNREADABLE, b"HTTP/1.1 400 ") == {name: text[:13] for name, text in said.items()}
    assert all(b"\r\nx-callpath: " in text and b'"error":"bad_upgrade"' in text for text in said.values())


async def test_an_endless_header_is_cut(tmp_path: Path) -> None:
    """It would fill the memory, fifteen seconds long."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        endless = b"x-filler: " + b"y" * 2 * HEADER_BYTES_MAX
        text = await answer(served.port, b"GET / HTTP/1.1\r\n" + endless)

    assert text.startswith(b"HTTP/1.1 431 ") or text == b"reset"


@pytest.mark.usefixtures("impatient")
async def test_a_call_is_not_touched(tmp_path: Path) -> None:
    """The guard is about headers: a socket that was upgraded may live for hours."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.heard_for(600)

        assert caller.failure is None


async def test_a_page_in_a_browser_opens_no_audio(tmp_path: Path) -> None:
    """With the token in the path, a page that learnt the URL could listen in with the visitor's network."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async with serving(BUILTIN["tone"](), tmp_path, no_socket_then="nothing") as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, CommandSent)
        assert served.context.tokens is not None
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"{served.socket_url}/api/calls/{session}/audio",
                additional_headers={AUTH_TOKEN_HEADER: served.context.tokens.of(session)},
                origin="https://evil.example",  # type: ignore[arg-type]
                user_agent_header="Mozilla/5.0",
            )
        entries = await served.until_kind(session, SocketRejected)

    (said,) = (entry.what for entry in entries if isinstance(entry.what, SocketRejected))
    assert (refused.value.response.status_code, said.reason) == (403, "browser_origin")
