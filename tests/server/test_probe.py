"""The doctor's own call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from callpath.server.builtin import BUILTIN
from callpath.server.tokens import CallTokens
from callpath.store.port import CallQuery
from callpath.wire.ids import SessionId
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.serving import serving
from tests.telnyx import sample, sample_text

pytestmark = pytest.mark.e2e
PUBLIC: dict[str, Any] = {"public_url": "https://calls.example.com", "secret": "sixteen-or-more-characters"}


async def test_a_probe_is_told_what_arrived_and_hears_itself(tmp_path: Path) -> None:
    """What a proxy changed on the way is seen from both ends only with this."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        url = f"{served.socket_url}/api/calls/test-connection/audio?a=1"
        async with connect(url, additional_headers={"x-forwarded-proto": "https"}) as socket:
            told = json.loads(await socket.recv())["callpath"]
            await socket.send(sample_text("ws/t-connected.json"))
            await socket.send("garbage")
            await socket.send(sample_text("ws/t-media-inbound.json"))
            echoed = json.loads(await asyncio.wait_for(socket.recv(), 10))
            await socket.send(sample_text("ws/t-stop.json"))
            with pytest.raises(ConnectionClosedOK):
                await asyncio.wait_for(socket.recv(), 10)
        calls = await served.context.log.overviews(CallQuery(limit=10))

    assert (told["path"], told["query"], told["scheme"]) == ("/api/calls/test-connection/audio", "a=1", "wss")
    assert ["x-forwarded-proto", "https"] in told["headers"]
    assert echoed["media"]["payload"] == sample("ws/t-media-inbound.json")["media"]["payload"]
    assert calls == []


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("guess", 403)])
async def test_on_a_public_host_a_probe_needs_its_token(tmp_path: Path, token: str | None, status: int) -> None:
    """Else anybody could use it to reflect traffic, or to learn what stands behind the proxy."""
    async with serving(BUILTIN["echo"](), tmp_path, **PUBLIC) as served:
        headers = {AUTH_TOKEN_HEADER: token} if token else {}
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{served.socket_url}/api/calls/test-connection/audio", additional_headers=headers)
        count, (latest,) = await served.context.log.rejected(5)

    assert refused.value.response.status_code == status
    assert (count, "probe_token" in latest.reason) == (1, True)


async def test_the_token_lets_it_in_and_is_not_told_back(tmp_path: Path) -> None:
    """A report that is shared must not carry it."""
    token = CallTokens("sixteen-or-more-characters").of(SessionId("test-connection"))
    async with serving(BUILTIN["echo"](), tmp_path, **PUBLIC) as served:
        url = f"{served.socket_url}/api/calls/test-connection/audio"
        async with connect(url, additional_headers={AUTH_TOKEN_HEADER: token}) as socket:
            told = await socket.recv()

    assert token not in str(told)
