"""`callpath dial +15555550123`: have the running server call somebody, and tell by the exit code what came of it."""

from __future__ import annotations

import base64
import json
import textwrap
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer

from callpath.cli.environment import Exit, clear_errors, load_settings, width


class Outcome(IntEnum):
    """What the exit code of `callpath dial` says: the usual ones below 10, and what became of the call."""

    ANSWERED = 0
    HUMAN = 0
    MACHINE = 10
    FAX = 11
    SCREENING = 12
    BUSY = 13
    NO_ANSWER = 14
    REJECTED = 15
    UNREACHABLE = 16
    REFUSED = 17
    FAILED = 18
    UNKNOWN = 19
    NOT_ALLOWED = 20


SENTENCES = {
    "answered": "Answered.",
    "human": "A person answered.",
    "machine": "An answering machine answered.",
    "fax": "A fax answered.",
    "screening": "The phone asks who calls, before anybody answers.",
    "busy": "The line is busy.",
    "no_answer": "Nobody answered.",
    "rejected": "The call was declined.",
    "unreachable": "The number does not exist, or the phone is off.",
    "refused": "Telnyx refused to dial.",
    "failed": "The call failed.",
    "unknown": "It is not known what became of the call.",
}

STATES = {"dialling": "Telnyx is asked to dial …", "ringing": "It rings …"}

WAIT_S = 20
"""How long one request waits for the outcome; then the next one does."""

CTRL_C = 130


def dial(
    to: Annotated[str, typer.Argument(help="The number, as +15555550123, or sip:ID@HOST.")],
    say: Annotated[str | None, typer.Option(help="What Telnyx says to whoever answers.")] = None,
    play: Annotated[str | None, typer.Option(help="WAV file to play, or the URL of a file.")] = None,
    handler: Annotated[str | None, typer.Option(help="Handler of your App that takes the call.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Number that is shown (CALLPATH_DIAL_FROM).")] = None,
    detect: Annotated[bool, typer.Option("--detect", help="Tell people from machines; wait for the beep.")] = False,
    ring_s: Annotated[int, typer.Option("--ring", min=5, max=600, help="How many seconds it rings.")] = 30,
    key: Annotated[str | None, typer.Option(help="Two dials with one key are one call.")] = None,
    server: Annotated[str | None, typer.Option(help="URL of the server; else the one on this machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Have the running callpath server call somebody. Returns once it is known who answered.

    Exit code: 0 a person answered (or somebody, without --detect),
    10 machine, 11 fax, 12 screening, 13 busy, 14 no answer, 15 rejected,
    16 unreachable, 17 refused by Telnyx, 18 failed, 19 unknown,
    20 not allowed by this server. 2 usage, 3 settings, 4 no server.
    Ctrl-C hangs up.
    """
    if sum(one is not None for one in (say, play, handler)) > 1:
        raise typer.BadParameter("give one of --say, --play and --handler")
    with clear_errors():
        settings, _ = load_settings()
        if not settings.dial_token:
            from callpath.errors import ConfigError

            raise ConfigError(
                "CALLPATH_DIAL_TOKEN",
                "is missing here: the server asks for it",
                "Set it as on the server, with CALLPATH_DIAL_ALLOW=+1 (or your prefixes)",
            )
        url = (server or f"http://127.0.0.1:{settings.port}").rstrip("/")
        order: dict[str, Any] = {
            name: value
            for name, value in {
                "to": to,
                "from": from_,
                "say": say,
                "handler": handler,
                "detect": "premium" if detect else None,
                "ring_s": ring_s,
                "key": key,
            }.items()
            if value is not None
        }
        if play is not None:
            order |= _sound(play)
    document = _Client(url, settings.dial_token).dial(order)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)
    code = Outcome[document["outcome"].upper()]
    if code:
        raise typer.Exit(int(code))


def _sound(play: str) -> dict[str, str]:
    """A URL that Telnyx fetches, or the content of a file, which the server keeps."""
    if urlsplit(play).scheme in ("http", "https"):
        return {"play": play}
    from callpath.audio.wav import read_wav
    from callpath.errors import AudioError

    try:
        read_wav(Path(play))
        content = Path(play).read_bytes()
    except (AudioError, OSError) as error:
        _fail(f"--play: {getattr(error, 'strerror', None) or error}", Exit.USAGE)
    return {"audio": base64.b64encode(content).decode()}


def _print(document: dict[str, Any]) -> None:
    said = SENTENCES[document["outcome"]]
    if document["beep"] is not None:
        said += " Its beep was heard." if document["beep"] else " No beep was heard."
    if document["provisional"]:
        said += " The verdict may still change."
    typer.echo(said)
    told = [document["code"], document["cause"], document["sip_code"] and f"SIP {document['sip_code']}"]
    if any(told):
        typer.echo(f"  {', '.join(filter(None, told))}")
    if document["explanation"] or document["detail"]:
        text = document["explanation"] or document["detail"]
        typer.echo(textwrap.fill(text, min(80, width()), initial_indent="  ", subsequent_indent="  "))
    typer.echo(f"  callpath calls show {document['session'] or 'dial-' + document['id']}")


class _Client:
    """The API of one server. Whatever is wrong ends the command with one line."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}

    def dial(self, order: dict[str, Any]) -> dict[str, Any]:
        """Order the call, and wait for its outcome."""
        status, document = self._ask("POST", "/api/v1/calls", order)
        if status == 422 and document.get("error") == "refused":
            return _refused(document)
        if status not in (200, 202):
            self._explain(status, document)
        path = f"/api/v1/calls/{document['id']}"
        shown = ""
        try:
            while document["outcome"] is None:
                if (line := STATES.get(document["state"], "")) and line != shown:
                    typer.echo(line, err=True)
                    shown = line
                status, document = self._ask("GET", f"{path}/outcome?wait_s={WAIT_S}")
                if status != 200:
                    self._explain(status, document)
        except KeyboardInterrupt:
            self._ask("DELETE", path)
            _fail("hung up", CTRL_C)
        return document

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        import httpx2

        try:
            answer = httpx2.request(
                method, self._url + path, json=body, headers=self._headers, timeout=WAIT_S + 15, trust_env=False
            )
            document = answer.json()
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            _fail(
                f"no callpath server answers at {self._url}: {str(error) or type(error).__name__}. Start it with "
                "`callpath serve`, or name another one with --server",
                Exit.NETWORK,
            )
        except ValueError:
            _fail(f"{self._url} answers {answer.status_code}, and not as a callpath server does", Exit.NETWORK)
        if not isinstance(document, dict):
            _fail(f"{self._url} answers {answer.status_code}, and not as a callpath server does", Exit.NETWORK)
        return answer.status_code, document

    def _explain(self, status: int, document: dict[str, Any]) -> NoReturn:
        error, detail = document.get("error"), document.get("detail")
        if status == 401:
            _fail(f"the server at {self._url} has another CALLPATH_DIAL_TOKEN than this command", Exit.CONFIGURATION)
        code = {
            "not_allowed": Outcome.NOT_ALLOWED,
            "too_many_calls": Outcome.NOT_ALLOWED,
            "dialling_off": Exit.CONFIGURATION,
            "no_connection": Exit.CONFIGURATION,
        }.get(str(error), Exit.USAGE if status == 400 else Exit.PROBLEM)
        _fail(f"not dialled: {detail or status}", int(code))


def _refused(document: dict[str, Any]) -> dict[str, Any]:
    """The refusal, in the shape of an outcome."""
    empty = dict.fromkeys(("session", "answered_by", "beep", "cause", "sip_code"))
    kept = {name: document.get(name) for name in ("id", "code", "detail", "explanation")}
    return {**kept, **empty, "state": "ended", "outcome": "refused", "provisional": False}


def _fail(text: str, code: int) -> NoReturn:
    typer.secho(textwrap.fill(f"callpath: {text}", min(80, width()), break_long_words=False), err=True, fg="red")
    raise typer.Exit(int(code))
