"""`callpath demo`: its verdicts. Both of its calls are taken by the end-to-end test at the foot of this page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from callpath.audio.resample import resample_file_audio
from callpath.audio.wav import read_wav
from callpath.cli.demo import CORRELATION_MIN, _broken_call, _free_ports, _good_call, _likeness, _ready, _timeline
from callpath.errors import CallpathError
from callpath.simulator.simulator import hello_wav
from callpath.store.sql import open_call_log
from callpath.timeline import Entry, FirstOutbound, SocketReceived
from tests.cli.conftest import Run
from tests.cli.test_calls import GOOD, good_call


async def written(folder: Path, entries: list[Entry]) -> Path:
    """A server's data directory with this timeline in it."""
    async with open_call_log(f"sqlite:///{folder / 'callpath.db'}") as log:
        for entry in entries:
            await log.append(entry)
    return folder


def test_pauses_of_a_busy_machine_are_no_other_sound() -> None:
    """A first impression must not hang on what else the machine does; another voice is still another voice."""
    said, rate = read_wav(hello_wav())
    speech = resample_file_audio(said, rate, 8000)
    pause = np.zeros(400, np.int16)
    torn = np.concatenate([np.append(speech[at : at + 3000], pause) for at in range(0, speech.size, 3000)])
    rng = np.random.default_rng(1)
    other = (speech * rng.normal(size=speech.size)).astype(np.int16)

    likeness, delay_ms = _likeness(speech, np.append(np.zeros(160, np.int16), speech))

    assert likeness > 0.999
    assert 20.0 == delay_ms
    assert _likeness(speech, torn)[0] >= CORRELATION_MIN
    assert _likeness(speech, other)[0] < 0.5
    assert 0.0 == _likeness(speech, np.zeros(0, np.int16))[0]


async def test_the_caller_heard_himself(tmp_path: Path) -> None:
    """What a good call is reported as."""
    result = await _good_call(await written(tmp_path, good_call()), 0.97, 141.26, tmp_path / "call-1.wav")

    assert result.ok
    assert result.session.session == GOOD
    assert result.figures == {
        "frames_in": 448,
        "frames_out": 440,
        "round_trip_ms": 141.3,
        "correlation": 0.97,
        "recording": str(tmp_path / "call-1.wav"),
    }


async def test_noise_is_not_taken_for_speech(tmp_path: Path) -> None:
    """As many frames as in a good call, but another sound: counting bytes would have called it a success."""
    result = await _good_call(await written(tmp_path, good_call()), CORRELATION_MIN - 0.01, 0.0, tmp_path / "x.wav")

    assert not result.ok
    assert result.verdict == "What came back is not what was said (0.89)."


async def test_silence_from_us_is_no_success(tmp_path: Path) -> None:
    """However well the caller's own sound fits itself."""
    silent = [entry for entry in good_call() if not isinstance(entry.what, FirstOutbound)]
    result = await _good_call(await written(tmp_path, silent), 1.0, 0.0, tmp_path / "x.wav")

    assert not result.ok
    assert "first outbound frame" in result.verdict


async def test_the_broken_call_must_break_where_it_was_broken(tmp_path: Path) -> None:
    """A call that fails earlier, or not at all, shows that the demo itself is out of order."""
    whole = await _broken_call(await written(tmp_path / "a", good_call()), 0.0)
    cut = [one for one in good_call() if one.at_unix_ms < good_call()[7].at_unix_ms]
    broken = await _broken_call(await written(tmp_path / "b", cut), 0.0)
    heard = await _broken_call(await written(tmp_path / "c", cut), 20.0)

    assert isinstance(good_call()[7].what, SocketReceived)
    assert (whole.ok, broken.ok, heard.ok) == (False, True, False)
    assert "WebSocket connection received" in broken.verdict


async def test_no_call_at_all_names_the_servers_log(tmp_path: Path) -> None:
    """One clear line, not a group of exceptions."""
    with pytest.raises(CallpathError, match=r"no webhook reached the call server; see .*server\.log"):
        await _timeline(await written(tmp_path, []))


async def test_a_server_that_dies_at_once_is_quoted(tmp_path: Path) -> None:
    """The demo would otherwise wait for twenty seconds and then say nothing."""

    class Dead:
        returncode = 3

    (tmp_path / "server.log").write_text("callpath: PORT is wrong")
    with pytest.raises(CallpathError, match="did not start; its log says:\ncallpath: PORT is wrong"):
        await _ready(Dead(), 1, tmp_path / "server.log")  # type: ignore[arg-type]  # only its exit code is looked at


def test_ports_are_free_and_differ() -> None:
    """The server's and the one where nobody listens."""
    ports = _free_ports(5)

    assert len(set(ports)) == 5
    assert all(1024 <= port <= 65535 for port in ports)


@pytest.mark.e2e
def test_both_calls_over_real_sockets(run: Run, alone: Path) -> None:
    """What a newcomer runs first, in a folder whose name has a blank; and it leaves the recording it speaks of."""
    result = run("demo", "--json", "--out", "my demo")
    document = json.loads(result.stdout)
    good, broken = document["calls"]

    assert (result.exit_code, document["ok"], good["ok"], broken["ok"]) == (0, True, True, True)
    assert good["figures"]["correlation"] >= CORRELATION_MIN
    assert good["call"]["missing_stage"] is None
    assert broken["call"]["missing_stage"] == "WebSocket connection received"
    assert broken["figures"] == {"heard_ms": 0.0}
    assert (alone / good["figures"]["recording"]).stat().st_size > 44
