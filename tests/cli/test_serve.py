"""`callpath serve`: what it refuses to start with, and what it starts."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
import uvicorn

from callpath.api.app import App
from callpath.cli.demo import _free_ports
from callpath.cli.serve import load_app
from callpath.errors import ConfigError
from callpath.simulator.simulator import Simulator
from tests.cli.conftest import Run
from tests.serving import PATIENT_MS, WAIT_S_MAX, process

RIGHT = {
    "PUBLIC_URL": "https://calls.example.com",
    "TELNYX_API_KEY": "KEY0123",
    "TELNYX_PUBLIC_KEY": base64.b64encode(bytes(32)).decode(),
}


@pytest.fixture
def free() -> int:
    """A port of this machine on which nobody listens."""
    return _free_ports(1)[0]


@pytest.fixture
def right(alone: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is set that a server needs."""
    for name, text in (RIGHT | {"HOST": "127.0.0.1", "PORT": str(free)}).items():
        monkeypatch.setenv(name, text)


@dataclass
class Served:
    """What the web server was told, and the address that it was to listen on."""

    config: uvicorn.Config
    address: tuple[str, int]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Served]]:
    """What was served. Each server returns at once, as if it had been stopped."""
    servers: list[Served] = []

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        (listener,) = sockets
        servers.append(Served(server.config, listener.getsockname()[:2]))
        listener.close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    before = structlog.get_config()
    yield servers
    structlog.configure(**before)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


# --- without an account ----------------------------------------------------------------------------------------------


def test_setup_starts_without_keys(run: Run, served: list[Served], alone: Path, free: int) -> None:
    """The first thing that anybody tries: on this machine only, and it says where to look."""
    result = run("serve", "--setup", "--port", str(free))

    assert (result.exit_code, [one.address for one in served]) == (0, [("127.0.0.1", free)])
    assert f"Dashboard: http://127.0.0.1:{free}" in result.output


@pytest.mark.usefixtures("right")
def test_a_public_server_says_that_its_dashboard_needs_a_token(
    run: Run, served: list[Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls are served all the same; with a token the log names the public address, without a dashboard nothing."""
    without = run("serve").output
    monkeypatch.setenv("CALLPATH_DASHBOARD_TOKEN", "long-enough-and-random")
    with_token = run("serve").output
    monkeypatch.setenv("CALLPATH_DASHBOARD", "false")
    off = run("serve").output

    assert "Dashboard: off: set CALLPATH_DASHBOARD_TOKEN" in without
    assert "Dashboard: https://calls.example.com" in with_token
    assert "Dashboard" not in off
    assert len(served) == 3


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("right")
@pytest.mark.parametrize("name", RIGHT)
def test_a_missing_setting_is_named(run: Run, served: list[Served], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """At start and by name, with a right value; not on the first call."""
    monkeypatch.delenv(name)
    result = run("serve")

    assert (result.exit_code, served) == (3, [])
    assert result.stderr.startswith(f"callpath: {name} is missing")
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("right")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PUBLIC_URL", "http://calls.example.com"),
        ("PUBLIC_URL", "calls.example.com"),
        ("TELNYX_API_KEY", "KEY0123\n"),
        ("TELNYX_PUBLIC_KEY", "KEY0123"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("CALLPATH_STREAM_TRACK", "both"),
        ("CALLPATH_WORKERS", "0"),
        ("DATABASE_URL", "mysql://db.example.com/calls"),
    ],
)
def test_a_wrong_setting_is_named(
    run: Run, served: list[Served], monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    """The same for one that cannot work."""
    monkeypatch.setenv(name, text)
    result = run("serve")

    assert (result.exit_code, served) == (3, [])
    assert result.stderr.startswith(f"callpath: {name} ")
    assert "Traceback" not in result.output


def test_a_call_log_that_cannot_be_opened(alone: Path) -> None:
    """A volume that is not mounted: one clear line instead of the web server's traceback. A process of its own, since
    uvicorn speaks to stderr."""
    (alone / "file").write_text("")
    environment = os.environ | RIGHT | {"CALLPATH_DATA_DIR": str(alone / "file"), "HOST": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-m", "callpath", "serve"], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert f"callpath: the folder of the call log {alone}/file/callpath.db cannot be made" in done.stderr


@pytest.mark.usefixtures("right")
def test_flags_go_before_the_environment(
    run: Run, served: list[Served], taken: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--port` for a second server beside the first."""
    monkeypatch.setenv("PORT", str(taken))
    result = run("serve", "tone", "--port", str(free), "--public-url", "http://localhost:8002")

    assert result.exit_code == 0, result.output
    assert [server.address for server in served] == [("127.0.0.1", free)]
    assert "http://localhost:8002/api/calls/webhook" in result.stdout


@pytest.mark.usefixtures("right", "served")
def test_a_thousand_idle_connections_leave_room_for_calls(run: Run) -> None:
    """The soft limit of a shell or container is 1,024 files; the server takes what the hard one allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard = min(before[1], 65_536) if before[1] != resource.RLIM_INFINITY else 65_536
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), before[1]))
    try:
        result = run("serve", "tone")
        after = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert (result.exit_code, after) == (0, (hard, before[1]))


@pytest.mark.usefixtures("right")
def test_a_port_that_is_taken(run: Run, served: list[Served], taken: int) -> None:
    """The old server still runs: exit code 3 and the setting to change, instead of a line of the event loop's."""
    result = run("serve", "--port", str(taken))

    assert (result.exit_code, served) == (3, [])
    assert f"PORT 127.0.0.1:{taken} cannot be listened on" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("right")
def test_it_says_which_urls_are_to_be_entered(run: Run, served: list[Served]) -> None:
    """The webhook URL is typed into the portal by hand: it is shown ready to copy."""
    result = run("serve")

    assert (result.exit_code, len(served)) == (0, 1)
    assert "https://calls.example.com/api/calls/webhook" in result.stdout
    assert "wss://calls.example.com/api/calls/{call_session_id}/audio" in result.stdout
    assert RIGHT["TELNYX_API_KEY"] not in result.output


@pytest.mark.usefixtures("right")
def test_the_web_server_is_set_up_for_audio(run: Run, served: list[Served]) -> None:
    """Compression would cost a core and add delay; a proxy that keeps connections longer than we do gets resets."""
    run("serve")
    (server,) = served

    assert server.config.ws_per_message_deflate is False
    assert server.config.timeout_keep_alive > 90
    assert server.config.ws_max_size >= 64 * 1024


# --- beside another server -------------------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_second_server_on_the_same_call_log(workers: str, tmp_path: Path) -> None:
    """Another port, another name of the folder, one process or several: it would hang up on the first one's callers. What
    only reads goes on working beside the first one."""
    data, link = tmp_path / "data", tmp_path / "link"
    data.mkdir()
    link.symlink_to(data)

    def other(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = RIGHT | {"CALLPATH_DATA_DIR": str(link), "HOST": "127.0.0.1", "PORT": "0"} | environment
        command = (sys.executable, "-m", "callpath", *command)
        return subprocess.run(
            command,
            env=os.environ | known,
            capture_output=True,
            text=True,
            timeout=WAIT_S_MAX,
            cwd=tmp_path,
            check=False,
        )

    async with Simulator() as telnyx, process(telnyx, data, handler="echo", CALLPATH_WORKERS=workers) as first:
        caller = await telnyx.call()
        await caller.stream_started(PATIENT_MS)
        seconds = [await asyncio.to_thread(other, "serve", "tone", CALLPATH_WORKERS=number) for number in ("1", "2")]
        listed = await asyncio.to_thread(other, "calls", "--json")
        judged = await asyncio.to_thread(other, "doctor", "call", "--last", "--offline", "--json")
        commands, streams = {command.name for command in caller.commands}, len(caller.call.streams)
        await caller.hangup()
        await caller.ended(PATIENT_MS)

    assert [1, 1] == [second.returncode for second in seconds]
    for second in seconds:
        of_it = "" if workers == "1" else " and its workers"
        assert f"is in use by the server with pid {first.pid}{of_it} on port {first.port}." in second.stderr
        assert "Traceback" not in second.stderr + second.stdout
    assert 1 == len(json.loads(listed.stdout)["calls"])
    assert json.loads(judged.stdout)
    assert ({"answer", "streaming_start"}, 1) == (commands, streams)


# --- the handler -----------------------------------------------------------------------------------------------------


@pytest.fixture
def modules(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, from which modules are found; what they leave in sys is taken out again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (alone / "bot_under_test.py").write_text(
        "from callpath import App\napp = App()\nbare = App()\nnumber = 7\n@app.call\nasync def handle(call): ...\n"
    )
    (alone / "bot_without_library.py").write_text("import a_library_that_is_not_there\n")
    return alone


@pytest.mark.parametrize("name", ["echo", "record", "tone"])
def test_built_in_handlers_go_by_their_names(name: str) -> None:
    """So that the first call needs no code."""
    app = load_app(name)

    assert isinstance(app, App)
    assert app.handler is not None


@pytest.mark.usefixtures("modules")
def test_ones_own_handler_is_found_from_the_working_directory() -> None:
    """As uvicorn and gunicorn do."""
    app = load_app("bot_under_test:app")

    assert app.handler is not None
    assert app.handler.__module__ == "bot_under_test"


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("levitate", "'levitate' is neither built in nor module:app"),
        ("", "'' is neither built in nor module:app"),
        ("bot_under_test:", "'bot_under_test:' is neither built in nor module:app"),
        (":app", "':app' is neither built in nor module:app"),
        (".bot:app", "'.bot:app' is neither built in nor module:app"),
        ("nobody_under_test:app", "cannot be imported: No module named 'nobody_under_test'"),
        ("bot_without_library:app", "cannot be imported: No module named 'a_library_that_is_not_there'"),
        ("bot_under_test:number", "bot_under_test:number is int, not a callpath.App"),
        ("bot_under_test:nothing", "bot_under_test has no 'nothing'"),
    ],
)
def test_what_is_no_handler(name: str, says: str) -> None:
    """It says what was found instead, and how a right one looks."""
    with pytest.raises(ConfigError) as caught:
        load_app(name)

    assert says in str(caught.value)
    assert "echo, record, tone" in caught.value.hint and "module:app" in caught.value.hint


@pytest.mark.usefixtures("modules", "right")
@pytest.mark.parametrize("name", ["levitate", "nobody_under_test:app", "bot_under_test:bare"])
def test_no_server_without_a_handler(run: Run, served: list[Served], name: str) -> None:
    """Exit code 3: what was given on the command line is wrong, calls are not."""
    result = run("serve", name)

    assert (result.exit_code, served) == (3, [])
    assert result.stderr.startswith("callpath: the ")
    assert "Traceback" not in result.output
