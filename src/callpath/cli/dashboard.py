"""What `callpath serve` gives the dashboard: the settings, the doctor, and a second server for the browser phone."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import uvicorn

from callpath.api.app import App
from callpath.call.address import webhook_url
from callpath.config import Settings, is_loopback
from callpath.private_api import EmbeddedServer
from callpath.server.app import create_asgi
from callpath.server.probe import TEST_CONNECTION
from callpath.server.socket import MediaSockets
from callpath.server.tokens import CallTokens
from callpath.store.archive import open_archive
from callpath.timeline import Entry
from callpath.wire.media import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from callpath.dashboard.app import Dashboard
    from callpath.doctor.verdict import Diagnosis
    from callpath.simulator.simulator import Simulator

PhoneCodec = Literal["PCMU", "PCMA", "G722", "OPUS"]
PHONE_RATES_HZ: dict[PhoneCodec, Literal[8000, 16000]] = {"PCMU": 8000, "PCMA": 8000, "G722": 16000, "OPUS": 16000}


def open_dashboard(
    app: App,
    settings: Settings,
    *,
    settings_now: Callable[[], Settings],
    stopping: Callable[[], bool],
    values_now: Callable[[], Mapping[str, str]] = dict,
) -> Dashboard:
    """The dashboard of this server. `settings` as the user gave them, keys and public URL perhaps missing; `values_now`
    gives whatever else is named in the environment and .env: the host's tokens."""
    from callpath.cli.doctor_account import ask_account
    from callpath.clock import SystemClock
    from callpath.dashboard.app import Dashboard
    from callpath.dashboard.door import Door

    secret = settings.secret or settings.telnyx_api_key
    return Dashboard(
        Door(
            settings=settings,
            clock=SystemClock(),
            handler_name=app.name,
            serve_for=phone_server(app, settings),
            archive=open_archive(settings.recordings),
            settings_now=settings_now,
            probe_token=CallTokens(secret).of(TEST_CONNECTION) if secret and settings.token_in != "off" else None,
            stopping=stopping,
            diagnose_call=partial(diagnose_call, settings),
            diagnose_account=lambda on_step: ask_account(settings_now(), values_now(), on_step),
        )
    )


def diagnose_call(settings: Settings, entries: Sequence[Entry]) -> Diagnosis | None:
    """What the timeline alone says; the page's button has the URL tried, too. None where nothing is to be judged yet."""
    from callpath.cli.doctor_account import served_by
    from callpath.clock import SystemClock
    from callpath.doctor.facts import Facts
    from callpath.doctor.recorded import call_facts, judge_call

    if not entries:
        return None
    call = call_facts(entries[0].session, entries, looked_at_unix_ms=SystemClock().now_unix_ms())
    facts, served = Facts(call), served_by(settings)
    by_phone = is_loopback(urlsplit(call.state.stream_url or "").hostname or "")
    if served is not None and not by_phone:  # the browser phone's calls went to a server of their own
        facts.add(served)
    return judge_call(facts)


def phone_server(app: App, settings: Settings) -> Callable[[Simulator, PhoneCodec], AbstractAsyncContextManager[str]]:
    """How the same App is served to a Telnyx simulator: by a second server on a loopback port, with the simulator's keys
    and the same call log. Its calls are recorded, so that they can be heard again."""

    @asynccontextmanager
    async def serve_for(telnyx: Simulator, encoding: PhoneCodec) -> AsyncIterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            public_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            own = replace(
                settings,
                telnyx_api_key=telnyx.api_key,
                telnyx_public_key=telnyx.public_key,
                telnyx_api_base=telnyx.api_base,
                public_url=public_url,
                stream_codec=encoding,
                play_codec=encoding,
                play_rate_hz=PHONE_RATES_HZ[encoding],
                stream_with_answer=False,
                record=not app.raw,
                recordings="",  # the first server looks after the folder, too
            )
            asgi: Any = create_asgi(app, own, recovers=False)
            server = EmbeddedServer(
                uvicorn.Config(
                    asgi,
                    ws=MediaSockets,
                    ws_max_size=FRAME_BYTES_MAX,
                    ws_per_message_deflate=False,
                    log_config=None,
                    access_log=False,
                    timeout_graceful_shutdown=2,
                )
            )
            async with server.serving(listener):
                yield webhook_url(public_url)

    return serve_for


def settings_for_setup(settings: Settings, port: int) -> Settings:
    """`settings` with something in each place that a call server cannot do without, so that it starts without an account:
    no event of Telnyx's fits the key, but the dashboard and its phone work."""
    from callpath.wire.signature import PrivateKey, public_key_text

    return replace(
        settings,
        telnyx_api_key=settings.telnyx_api_key or "not-set",
        telnyx_public_key=settings.telnyx_public_key or public_key_text(PrivateKey.generate()),
        public_url=settings.public_url or f"http://127.0.0.1:{port}",
    )
