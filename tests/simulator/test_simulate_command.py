"""The command line of the simulator: cli/simulate.py, simulate_load.py and simulate_report.py."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from callpath.audio.tone import tone
from callpath.audio.wav import read_wav_sides, write_wav
from callpath.cli.app import app as root
from callpath.cli.simulate import DEVELOPMENT_API_KEY, add_callees, app, read_options
from callpath.cli.simulate_load import _print as print_load
from callpath.cli.simulate_report import _ear
from callpath.errors import ConfigError
from callpath.simulator.callee import SCRIPTS
from callpath.simulator.ear import Hearing
from callpath.simulator.scenario import CallResult, judge
from callpath.simulator.simulator import Simulator
from tests.simulator.conftest import Foreign
from tests.soak.node import free_port

ANSWERS_401 = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_one_call_against_a_server_that_refuses(tmp_path: Path) -> None:
    """The report must name the reason, the exit code must say that it failed, and stdout must be JSON alone."""
    with subprocess.Popen([sys.executable, "-c", ANSWERS_401], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/hook"
        arguments = ["call", "--webhook", url, "--answer-within", "1", "--port", "0", "--json"]
        result = CliRunner().invoke(app, [*arguments, "--record", str(tmp_path / "call.wav")])
        server.kill()
    report = json.loads(result.stdout)

    assert 1 == result.exit_code
    assert "answered the webhook call.initiated with HTTP 401" in report["failure"]
    assert "HTTP 401" in report["failure"]
    assert ["call.initiated", "call.hangup"] == [webhook["event"] for webhook in report["webhooks"]]
    assert (tmp_path / "call.wav").exists()
    for name in ("TELNYX_API_BASE=http://127.0.0.1:", "TELNYX_API_KEY=KEY", "TELNYX_PUBLIC_KEY=", "DEVELOPMENT ONLY"):
        assert name in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--private-key-seed", "xyz"], "--private-key-seed is not 64 hex digits"),
        (["--fault", "typo"], "fault 'typo' is not known"),
        (["--say", "nothing.wav"], "nothing.wav"),
        (["--hangup-after", "soon"], "--hangup-after is 'soon', which is no duration"),
        (["--dtmf", "12x"], "--dtmf has 'x', which is no key"),
    ],
)
def test_bad_options_get_one_clear_line(arguments: list[str], problem: str) -> None:
    """No stack trace for a slip."""
    result = CliRunner().invoke(app, ["call", "--webhook", "http://127.0.0.1:9/", "--port", "0", *arguments])

    assert 3 == result.exit_code
    assert problem in result.stderr


def test_help_is_cheap() -> None:
    """`callpath --help` must not import a server to print a page."""
    code = "import sys, callpath.cli.simulate; print('uvicorn' in sys.modules or 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == result.stdout.strip()


def test_where_to_reach_a_program_is_checked() -> None:
    """http:// here would be another slip of the same kind that the simulator is there to find."""
    assert read_options("ws://127.0.0.1:6000", False).reach_at == "ws://127.0.0.1:6000"
    with pytest.raises(ConfigError, match="--reach-at"):
        read_options("http://127.0.0.1:6000", False)


# --- against a program that is not ours -------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_newcomer_hears_his_bot(talking_bot: Foreign, tmp_path: Path) -> None:
    """The whole of the how-to's second step: a call, a sentence of figures, a stereo WAV, exit code 0."""
    out = tmp_path / "out.wav"
    options = ["--hangup-after", "2500ms", "--dtmf", "1", "--expect-audio", "--record", str(out)]
    done = run("call", "--webhook", talking_bot.webhook, "--port", str(talking_bot.port), *options)

    assert 0 == done.exit_code, done.output
    assert "Every stage was reached." in done.stdout
    assert "talked on for" in done.stdout  # the recorded hello begins while the bot greets
    caller, bot = read_wav_sides(out)[0]
    assert caller.any() and bot.any()


def test_a_menu_without_a_stream_is_no_failure(menu_bot: Foreign, tmp_path: Path) -> None:
    """An IVR that lets Telnyx speak works as it should: nobody must be told that a stream is missing."""
    arguments = ["call", "--webhook", menu_bot.webhook, "--port", str(menu_bot.port), "--expect-audio"]
    result = CliRunner().invoke(app, [*arguments, "--record", str(tmp_path / "out.wav")])

    assert (0, True) == (result.exit_code, "No stream was asked for" in result.stdout), result.output
    assert read_wav_sides(tmp_path / "out.wav")[0][1].any()


def test_the_program_dials(echo_bot: Foreign, tmp_path: Path) -> None:
    """An outbound bot, made to dial by its own URL; JUnit says the same as the exit code."""
    address = ["--dial-url", echo_bot.dial, "--webhook", echo_bot.webhook, "--port", str(echo_bot.port)]
    options = ["--hangup-after", "1s", "--expect-audio", "--json", "--junit", str(tmp_path / "j.xml")]
    done = run("outbound", *address, *options)
    report = json.loads(done.stdout)

    assert 0 == done.exit_code, done.output
    assert "ok" == report["outcome"]
    assert report["ear"]["rtt_ms"]
    assert 'failures="0"' in (tmp_path / "j.xml").read_text()


def test_a_busy_number_is_no_failure(echo_bot: Foreign) -> None:
    """The program did what it should: it dialled. What it does with a busy number stands in the report."""
    address = ["--dial-url", echo_bot.dial, "--webhook", echo_bot.webhook, "--port", str(echo_bot.port)]
    done = run("outbound", *address, "--busy", "--json")
    report = json.loads(done.stdout)

    assert 0 == done.exit_code, done.output
    assert ["call.initiated", "call.hangup"] == [webhook["event"] for webhook in report["webhooks"]]


@pytest.mark.parametrize("says", [200, 502], ids=["handles it", "passes the error on"])
def test_a_dial_that_is_refused_as_asked_is_no_failure(says: int) -> None:
    """The program dialled. Many answer their own caller with an error then, which must not hide what happened."""
    port = free_port()
    refused: list[int] = []

    class Bot(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = {"connection_id": "2900000000000000001", "from": "+15555550199", "to": "+15555550123"}
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v2/calls",
                json.dumps(call | {"webhook_url": "http://127.0.0.1:9/"}).encode(),
                {"authorization": f"Bearer {DEVELOPMENT_API_KEY}", "content-type": "application/json"},
            )
            try:
                urllib.request.urlopen(request, timeout=10)
            except urllib.error.HTTPError as error:
                refused.append(error.code)
            self.send_response(says)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Bot) as bot:
        Thread(target=bot.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{bot.server_address[1]}/"
        done = run("outbound", "--dial-url", url, "--callee", "refused=D17", "--port", str(port))
        bot.shutdown()

    assert 0 == done.exit_code, done.output
    assert "turned away as asked" in done.stdout
    assert [403] == refused


def test_a_dial_url_that_does_not_answer() -> None:
    """A slip in the URL must not look like a program that does not dial."""
    done = run("outbound", "--dial-url", "http://127.0.0.1:9/", "--port", "0")

    assert 3 == done.exit_code
    assert "--dial-url could not be reached" in done.stderr


def test_nobody_dials(tmp_path: Path) -> None:
    """A stage that was not reached, not a hang."""
    done = run("outbound", "--within", "100ms", "--port", "0", "--junit", str(tmp_path / "j.xml"))

    assert 1 == done.exit_code
    assert "Nothing was dialled within 100 ms" in done.stdout
    assert 'failures="1"' in (tmp_path / "j.xml").read_text()


@pytest.mark.parametrize(
    ("expectation", "code", "element"),
    [("heard_ms > 100", 0, ""), ("rtt_ms < 1", 6, "failure"), ("response_gap_ms < 1", 6, "failure")],
)
def test_a_scenario_is_judged(echo_bot: Foreign, tmp_path: Path, expectation: str, code: int, element: str) -> None:
    """What a pipeline sees: the exit code, and one test case a call."""
    scenario = f"calls:\n  - name: one\n    steps: [{{press: '1'}}, {{listen: 700ms}}]\n    expect: ['{expectation}']\n"
    (tmp_path / "s.yaml").write_text(scenario.replace("steps: [", "steps: [{say: hello.wav}, "))
    write_wav(tmp_path / "hello.wav", tone(440, duration_ms=200), 8000)
    files = ["--junit", str(tmp_path / "j.xml"), "--record", str(tmp_path / "wavs"), "--json"]
    done = run(
        "scenario", str(tmp_path / "s.yaml"), "--webhook", echo_bot.webhook, "--port", str(echo_bot.port), *files
    )
    document = json.loads(done.stdout)

    if document["outcome"] != "inconclusive":  # a machine that is too slow to judge by
        assert code == done.exit_code, done.output
        assert ("<failure" in (tmp_path / "j.xml").read_text()) is bool(element)
    assert document["exit_code"] == done.exit_code
    assert (tmp_path / "wavs" / "001.wav").exists()
    assert document["figures"]["heard_ms"]["n"] == 1


def test_a_scenario_with_a_slip(tmp_path: Path) -> None:
    """Exit code 3 and the line, before anything is placed."""
    (tmp_path / "s.yaml").write_text("steps:\n  - sai: hello\n")
    done = run("scenario", str(tmp_path / "s.yaml"), "--webhook", "http://127.0.0.1:9/")

    assert 3 == done.exit_code
    assert "s.yaml:2: sai is no step. Did you mean say?" in done.stderr


def test_nothing_heard_and_nobody_there() -> None:
    """Two failures that need different people: exit codes 4 and, for a bot without a voice, 5."""
    done = run("call", "--webhook", "http://127.0.0.1:9/", "--port", "0", "--answer-within", "300ms")

    assert 4 == done.exit_code
    assert "could not be reached" in done.stdout


def test_a_load_from_the_command_line(echo_bot: Foreign) -> None:
    """Figures as JSON, and what the generator says of itself."""
    size = ["--calls", "3", "--ramp", "100ms", "--duration", "1200ms", "--json"]
    done = CliRunner().invoke(
        root, ["simulate", "load", "--webhook", echo_bot.webhook, "--port", str(echo_bot.port), *size]
    )
    document = json.loads(done.stdout)

    assert done.exit_code == document["exit_code"]
    assert document["load"]["pulses_back"] >= 3
    assert document["load"]["cpu_us_per_frame_pair"] > 0


def test_faults_and_figures_are_listed() -> None:
    """The table by which a server is judged."""
    rows = json.loads(run("faults", "--json").stdout)

    assert {"drops", "second_connection", "webhook_duplicated", "api_429"} <= {row["name"] for row in rows}
    assert all(row["server_must"] and row["doctor_says"] for row in rows)
    assert "A server must: Use each chunk once." in run("faults").stdout
    assert "p99" not in run("figures").stdout
    assert "barge_in_stop_ms" in run("figures").stdout


# --- what the report says ---------------------------------------------------------------------------------------------


def test_a_program_is_called_by_its_texml(tmp_path: Path) -> None:
    """Half of the public bots have a TeXML application, which no webhook reaches."""
    document = tmp_path / "menu.py"
    document.write_text(TEXML_SERVER)
    with subprocess.Popen([sys.executable, document], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/texml"
        done = run("call", "--texml", url, "--port", "0", "--answer-within", "1s", "--hangup-after", "500ms")
        server.kill()

    assert 0 == done.exit_code, done.output
    assert f"TeXML    {url} 200" in done.stdout
    assert "verb     speak" in done.stdout


TEXML_SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Menu(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<Response><Say>Hello there</Say><Pause length='5'/></Response>")

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Menu)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Give the program's --webhook URL, or --texml"),
        (["--webhook", "http://127.0.0.1:1", "--texml", "http://127.0.0.1:1"], "Give only one"),
    ],
)
@pytest.mark.parametrize("command", ["call", "load"])
def test_somebody_must_be_called(command: str, arguments: list[str], problem: str) -> None:
    """Neither of the two would call nobody, both would leave it to chance."""
    done = CliRunner().invoke(root, ["simulate", command, *arguments])

    assert 2 == done.exit_code
    assert problem in " ".join(done.output.replace("│", " ").split())


def test_a_texml_address_must_be_a_url() -> None:
    """A file's name is a likely slip."""
    done = run("call", "--texml", "menu.xml", "--port", "0")

    assert (3, True) == (done.exit_code, "--texml" in done.stderr), done.output


def test_equal_causes_of_a_load_count_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Their sentences hold the calls' own URLs, and three hundred lines say less than one."""
    calls = tuple(
        CallResult(
            name=f"call {n}",
            outcome="failed",
            sentences=(f"The media WebSocket was not opened: ws://127.0.0.1/{n} answered HTTP 404 instead of 101.",),
            figures={},
            report={},
            caller=None,
            code="not-opened",
        )
        for n in range(3)
    )
    about = {
        "frames_out": 0,
        "frames_in": 0,
        "pulses": 0,
        "pulses_back": 0,
        "dropped": 0,
        "cpu_us_per_frame_pair": None,
    }
    print_load(judge("load", calls, ()), about | {"late_p50_ms": 0, "late_p99_ms": 0, "late_max_ms": 0})
    printed = capsys.readouterr().out

    assert "3 x The media WebSocket was not opened: ws://127.0.0.1/0" in printed
    assert "no frame was sent" in printed
    assert 1 == printed.count("not opened")


@pytest.mark.parametrize(("holes", "said"), [(1, "1 hole of 20 ms in all"), (2, "2 holes of 40 ms in all")])
def test_one_hole_is_one(holes: int, said: str) -> None:
    """A report is read by people."""
    ear = asdict(Hearing(holes=holes, hole_ms=20.0 * holes))

    assert said in _ear(ear)


def test_callees_are_listed_and_chosen() -> None:
    """Every script by its name, and a slip is named before anything is started."""
    listed = run("callees")
    as_json = json.loads(run("callees", "--json").stdout)
    wrong = run("outbound", "--callee", "lazy", "--port", "0")
    both = run("outbound", "--callee", "hello", "--busy", "--port", "0")
    number = run("call", "--webhook", "http://127.0.0.1:9/", "--callee", "+15555550101=lazy", "--port", "0")

    assert all(name in listed.stdout for name in SCRIPTS)
    assert list(SCRIPTS) == list(as_json)
    assert [(3, True)] * 2 == [(done.exit_code, "lazy" in done.stderr) for done in (wrong, number)]
    assert (3, True) == (both.exit_code, "does not go with --busy" in both.stderr)


def test_a_number_or_every_number_has_its_callee() -> None:
    """A script may have an equals sign of its own."""
    telnyx = Simulator("http://127.0.0.1:9/")
    add_callees(telnyx, ["+15555550101=menu=12#", "sip:desk@pbx.example.com=busy", "rejects=488"])

    assert {"+15555550101", "sip:desk@pbx.example.com", "*"} == telnyx.callees.keys()
    assert ["12#"] == list(telnyx.callees["+15555550101"].menu)
    assert "488" == telnyx.callees["*"].sip_code
