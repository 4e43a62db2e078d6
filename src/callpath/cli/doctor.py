"""`callpath doctor`: why does the carrier not reach this URL, or why is there no audio?"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from callpath.cli.doctor_bundle import HELP as BUNDLE_HELP
from callpath.cli.doctor_bundle import check_bundle, save_bundle

if TYPE_CHECKING:
    from callpath.doctor.request import Controls, Override
    from callpath.doctor.verdict import Step

app = typer.Typer(help="Name the one cause why a media stream does not work.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    offline: bool = typer.Option(False, "--offline", help="Without a command: read what is here, ask nobody."),
    as_json: bool = typer.Option(False, "--json", help="Without a command: one JSON document on stdout."),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="Without a command: all evidence of the first problem."
    ),
) -> None:
    """Name the one cause why a media stream does not work. Alone: configuration, account, public URL, last call."""
    if context.invoked_subcommand is None:
        from callpath.cli.doctor_all import everything

        everything(offline=offline, as_json=as_json, verbose=verbose)


@app.command()
def url(
    url: str = typer.Argument(help="The stream_url, as the carrier gets it: wss://HOST/api/calls/ID/audio"),
    ca: Path | None = typer.Option(
        None, "--ca", exists=True, dir_okay=False, help="Trust these roots besides the system's (PEM)."
    ),
    resolve: list[str] = typer.Option(
        [], "--resolve", metavar="HOST:PORT:ADDRESS", help="Connect there, ask no DNS. May be repeated."
    ),
    resolver: str | None = typer.Option(None, "--resolver", metavar="ADDRESS[:PORT]", help="Ask this DNS server."),
    ipv4: bool = typer.Option(False, "--ipv4", help="Use IPv4 addresses only."),
    ipv6: bool = typer.Option(False, "--ipv6", help="Use IPv6 addresses only."),
    timeout: float = typer.Option(4.0, "--timeout", min=0.2, max=10, help="Seconds for one connection or handshake."),
    token: str | None = typer.Option(
        None, "--token", help="The stream_auth_token to show. For test-connection it is made from your settings."
    ),
    codec: str = typer.Option("PCMU", "--codec", help="The stream's encoding: PCMU, PCMA, L16, G722, OPUS, AMR-WB."),
    idle: float = typer.Option(0.0, "--idle", min=0, help="Also hold streams open so many seconds: do they drop?"),
    media: float = typer.Option(1.6, "--media", min=0.2, max=600, help="Seconds of audio to exchange."),
    insecure: bool = typer.Option(
        False, "--insecure", help="Go on past an untrusted certificate, and still report it."
    ),
    local: bool = typer.Option(
        False, "--local", help="A local test: do not examine the way from outside, ask no other host."
    ),
    listen_only: bool = typer.Option(
        False, "--listen-only", help="The server only listens: healthy although no audio comes back."
    ),
    known_call: bool = typer.Option(
        False, "--known-call", help="The id in the URL is that of a running call, so a refusal is a fault."
    ),
    thorough: bool = typer.Option(
        False, "--thorough", help="Up to 120 requests: guessed paths, POST and other protocols too."
    ),
    plan: bool = typer.Option(False, "--plan", help="Print what would be sent, and send nothing."),
    control: str | None = typer.Option(
        None, "--control", metavar="HOST[:PORT]|none", help="Compare failures with this host, not api.telnyx.com."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    report: Path | None = typer.Option(
        None, "--report", metavar="FILE.html|.md", help="Also write a report that is safe to share."
    ),
    bundle: Path | None = typer.Option(None, "--bundle", metavar="FILE.zip", help=BUNDLE_HELP),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Only the verdict, in one line."),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="All evidence, what did not match and was not checked."
    ),
) -> None:
    """Play the carrier from outside and name the root cause. Exit 0 healthy, 1 cause found, 2 usage, 4 not decided.

    Healthy means that audio came back (or, with --listen-only, that the stream stayed open). At most 12 requests are
    sent; --plan shows them."""
    from callpath.cli.environment import named_values
    from callpath.clock import SystemClock
    from callpath.doctor.engine import diagnose
    from callpath.doctor.evidence import evidence
    from callpath.doctor.report import WIDTH, html_page, markdown, one_line, step_line, terminal
    from callpath.doctor.request import Request

    if ipv4 and ipv6:
        raise typer.BadParameter("give one of them, or none for both", param_hint="--ipv4/--ipv6")
    if report is not None and report.suffix not in {".html", ".md"}:
        raise typer.BadParameter("the name must end in .html or .md", param_hint="--report")
    check_bundle(bundle)
    request = Request(
        url=url,
        token=token or _probe_token(url),
        ca_file=str(ca) if ca is not None else None,
        resolve=tuple(_override(text) for text in resolve),
        resolver=_resolver(resolver) if resolver is not None else None,
        family=4 if ipv4 else 6 if ipv6 else None,
        timeout_ms=timeout * 1000,
        codec=codec,
        media_s=media,
        idle_s=idle,
        insecure=insecure,
        local=local,
        listen_only=listen_only,
        known_call=known_call,
        thorough=thorough,
        proxy=_proxy(url),
        controls=_controls((named_values().get("CALLPATH_DOCTOR_CONTROL") or None) if control is None else control),
    )
    if plan:
        from callpath.doctor.plan import plan_text

        typer.echo(plan_text(request), nl=False)
        return
    progress = not (as_json or quiet)
    colour = sys.stdout.isatty() and not named_values().get("NO_COLOR")
    width = max(60, min(140, shutil.get_terminal_size((WIDTH, 24)).columns))

    def show(step: Step) -> None:
        if progress:
            typer.echo(step_line(step, colour=colour, width=width))
        elif as_json and verbose:
            typer.echo(step_line(step, colour=False), err=True)

    diagnosis = asyncio.run(diagnose(request, SystemClock(), show))
    if as_json:
        typer.echo(json.dumps(evidence(diagnosis, [token] if token else []), indent=1, ensure_ascii=False))
    elif quiet:
        typer.echo(one_line(diagnosis))
    else:
        typer.echo(terminal(diagnosis, colour=colour, verbose=verbose, width=width), nl=False)
    if report is not None:
        text = html_page(diagnosis, request.token) if report.suffix == ".html" else markdown(diagnosis, request.token)
        report.write_text(text, encoding="utf-8")
        typer.echo(f"report written to {report}", err=True)
    secrets = [request.token] if request.token else []
    save_bundle(bundle, diagnosis, evidence(diagnosis, secrets), token=request.token, secrets=secrets)
    raise typer.Exit(diagnosis.exit_code)


@app.command()
def explain(
    code: str | None = typer.Argument(None, help="A code (TLS001) or slug (tls-expired)."),
    everything: bool = typer.Option(False, "--all", help="Every cause: a list, or with --markdown a page each."),
    directory: Path | None = typer.Option(None, "--markdown", metavar="DIR", help="Write the pages here."),
) -> None:
    """Say what a code means, how it comes about and how to fix it, with a sample report."""
    from callpath.doctor.report import cause_pages, explained_plain
    from callpath.doctor.rules import CAUSES, known
    from callpath.doctor.samples import sample_report

    if everything and directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in cause_pages(CAUSES, sample_report).items():
            (directory / name).write_text(text, encoding="utf-8")
        return
    if everything:
        for cause in CAUSES:
            typer.echo(f"{cause.code:<12} {cause.slug:<36} {cause.title}")
        return
    if code is None:
        raise typer.BadParameter("name a code, or use --all", param_hint="CODE")
    chosen = known(code)
    if not chosen:
        raise typer.BadParameter(
            f"there is no cause {code}; `callpath doctor explain --all` lists them", param_hint="CODE"
        )
    for cause in chosen:
        width = max(60, min(100, shutil.get_terminal_size((80, 24)).columns))
        typer.echo(explained_plain(cause, asked=code, width=width, sample=sample_report(cause, width - 2)))


def _probe_token(url: str) -> str | None:
    """The token that a callpath server with our settings wants of a probe; None for any other URL."""
    from urllib.parse import urlsplit

    from callpath.cli.environment import named_values
    from callpath.server.probe import TEST_CONNECTION
    from callpath.server.tokens import CallTokens

    values = named_values()
    secret = values.get("CALLPATH_SECRET") or values.get("TELNYX_API_KEY")
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return CallTokens(secret).of(TEST_CONNECTION) if secret and f"/{TEST_CONNECTION}/" in path else None


def _proxy(url: str) -> str | None:
    """The environment's HTTP proxy for this URL's host."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    try:
        host = urlsplit(url).hostname or ""
        return None if not host or proxy_bypass(host) else getproxies().get("https")
    except ValueError:
        return None


def _controls(text: str | None) -> Controls | None:
    """Where failures are measured again: Telnyx's API unless another host is named; `none` asks nobody."""
    from callpath.doctor.request import Controls

    if text is None:
        return Controls()
    if text.lower() == "none":
        return None
    host, _, port = text.partition(":")
    if not host or (port and not port.isdigit()):
        raise typer.BadParameter(f"{text!r} is not HOST[:PORT]", param_hint="--control")
    return Controls(host=host, port=int(port or 443))


def _override(text: str) -> Override:
    from callpath.doctor.request import Override

    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    address = address.strip("[]")
    if not host or not port.isdigit() or not _is_address(address):
        raise typer.BadParameter(f"{text!r} is not HOST:PORT:ADDRESS", param_hint="--resolve")
    return Override(host, int(port), address)


def _resolver(text: str) -> tuple[str, int]:
    address, port = text, "53"
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    if not _is_address(address) or not port.isdigit():
        raise typer.BadParameter(f"{text!r} is not ADDRESS[:PORT]", param_hint="--resolver")
    return address, int(port)


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


from callpath.cli.doctor_account import account  # noqa: E402 (commands register on app)
from callpath.cli.doctor_call import call  # noqa: E402
from callpath.cli.doctor_deploy import deploy  # noqa: E402
from callpath.cli.doctor_judge import judge  # noqa: E402
from callpath.cli.doctor_logs import logs  # noqa: E402

app.command("call")(call)
app.command("logs")(logs)
app.command("account")(account)
app.command("deploy")(deploy)
app.command("judge")(judge)
