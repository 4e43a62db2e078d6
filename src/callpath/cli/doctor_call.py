"""`callpath doctor call`: what was wrong with a call that was."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from callpath.cli.doctor_bundle import HELP as BUNDLE_HELP
from callpath.cli.doctor_bundle import check_bundle, save_bundle
from callpath.cli.environment import Exit, clear_errors, load_settings, named_values, width

if TYPE_CHECKING:
    from callpath.config import Settings
    from callpath.doctor.facts import CallFacts, Facts
    from callpath.doctor.verdict import Diagnosis, Source, Step
    from callpath.store.port import CallLog
    from callpath.wire.ids import SessionId

REFUSALS_READ = 200
REFUSALS_SHOWN = 5
NEAR_MATCHES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Liberties:
    """How far the doctor may go for a call."""

    offline: bool = False
    telnyx: bool = True
    backfill: bool = False


def call(
    identifier: str = typer.Argument(
        "", metavar="[ID]", help="Session id (or its beginning), leg id, or call_control_id."
    ),
    last: bool = typer.Option(False, "--last", help="The last call, or what was refused after it."),
    offline: bool = typer.Option(False, "--offline", help="Read the call log only: probe nothing, ask nobody."),
    no_telnyx: bool = typer.Option(False, "--no-telnyx", help="Do not ask Telnyx about the call."),
    backfill: bool = typer.Option(
        False, "--backfill", help="Add webhooks that Telnyx sent and we missed to the call's timeline."
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
    """Name what was wrong with a call that was. Exit 0 healthy, 1 cause found, 2 usage, 3 configuration, 4 not decided."""
    if bool(identifier) == last:
        raise typer.BadParameter("give an id, or --last", param_hint="ID")
    if report is not None and report.suffix not in {".html", ".md"}:
        raise typer.BadParameter("the name must end in .html or .md", param_hint="--report")
    check_bundle(bundle)
    if backfill and (offline or no_telnyx):
        raise typer.BadParameter("needs Telnyx: leave out --offline and --no-telnyx", param_hint="--backfill")
    liberties = Liberties(offline=offline, telnyx=not no_telnyx, backfill=backfill)
    with clear_errors():
        settings, _ = load_settings()
        require_call_log(settings)
        found = asyncio.run(diagnose_call(settings, identifier, liberties))
    if isinstance(found, list):
        near = "".join(f"\n  {line}" for line in found)
        typer.secho(
            f"callpath: no call fits {identifier!r}." + (f" Near:{near}" if near else " `callpath calls` lists them."),
            err=True,
            fg="red",
        )
        raise typer.Exit(Exit.USAGE)
    show(found, settings, as_json=as_json, quiet=quiet, verbose=verbose, report=report, bundle=bundle)
    raise typer.Exit(found.diagnosis.exit_code)


def require_call_log(settings: Settings) -> None:
    """Raises ConfigError where there is none: an empty one would be made, and "no call ever came" would be a lie."""
    from callpath.errors import ConfigError

    url = settings.log_url()
    file = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not file.exists():
        hint = (
            "Run the doctor where the server's data is, or set CALLPATH_DATA_DIR or DATABASE_URL as the server has it"
        )
        raise ConfigError("the call log", f"{file} is not there", hint)


@dataclass(frozen=True, slots=True)
class Examined:
    """A diagnosis, and the texts that no report of it may hold."""

    diagnosis: Diagnosis
    secrets: tuple[str, ...]


def show(
    found: Examined,
    settings: Settings,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    report: Path | None = None,
    bundle: Path | None = None,
) -> None:
    """Print it in the form that was asked for, and write the report and the bundle."""
    from callpath.doctor.evidence import evidence
    from callpath.doctor.report import html_page, markdown, one_line, terminal

    diagnosis = found.diagnosis
    colour = sys.stdout.isatty() and not named_values().get("NO_COLOR")
    secrets = (*found.secrets, settings.telnyx_api_key, settings.secret)
    if as_json:
        typer.echo(json.dumps(evidence(diagnosis, secrets), indent=1, ensure_ascii=False))
    elif quiet:
        typer.echo(one_line(diagnosis))
    else:
        typer.echo(terminal(diagnosis, colour=colour, verbose=verbose, width=width()), nl=False)
    if report is not None:
        write = html_page if report.suffix == ".html" else markdown
        report.write_text(write(diagnosis, None, secrets), encoding="utf-8")
        typer.echo(f"report written to {report}", err=True)
    save_bundle(bundle, diagnosis, evidence(diagnosis, secrets), secrets=secrets)


# --- gathering -------------------------------------------------------------------------------------------------------


async def diagnose_call(settings: Settings, identifier: str, liberties: Liberties) -> Examined | list[str]:
    """The diagnosis of a call, or of the last one; or, where no call has that id, the calls that are near to it."""
    from callpath.store.sql import open_call_log

    async with open_call_log(settings.log_url()) as log:
        session = await log.find(identifier) if identifier else await _last(log)
        if identifier and session is None:
            return await _near(log, identifier)
        return await examine_call(log, session, settings, liberties)


async def _last(log: CallLog) -> SessionId | None:
    """The call that began last; None where there is none, or where a webhook was refused after its last entry: then
    the last call is one that never came to be."""
    from callpath.store.port import CallQuery

    latest = await log.overviews(CallQuery(limit=1))
    _, refused = await log.rejected(REFUSALS_READ)
    webhooks = [row.at_unix_ms for row in refused if row.what == "webhook" and row.reason != "unsigned"]
    if not latest or (webhooks and max(webhooks) > latest[0].last_unix_ms):
        return None
    return latest[0].session


async def _near(log: CallLog, identifier: str) -> list[str]:
    import difflib

    from callpath.store.port import CallQuery

    known = [str(call.session) for call in await log.overviews(CallQuery(limit=200))]
    return difflib.get_close_matches(identifier, known, NEAR_MATCHES, 0.5)


async def examine_call(log: CallLog, session: SessionId | None, settings: Settings, liberties: Liberties) -> Examined:
    """Read the log, judge, ask whoever else may know, and judge again. `session` None: what was refused and no call."""
    from callpath.cli.doctor_account import served_by
    from callpath.clock import SystemClock
    from callpath.doctor.facts import Facts, RefusalFacts
    from callpath.doctor.recorded import call_facts, judge_call, wants_probe
    from callpath.doctor.verdict import Source

    clock = SystemClock()
    started_ms, started_unix_ms = clock.now_ms(), clock.now_unix_ms()
    entries = await log.read(session) if session is not None else []
    count, latest = await log.rejected(REFUSALS_READ)
    known = call_facts(session or "", entries, looked_at_unix_ms=started_unix_ms)
    facts = Facts(known, RefusalFacts(count=count, latest=tuple(latest)))
    turned_away = tuple(f"refused: {row.what} {row.reason}, {row.detail}" for row in latest[:REFUSALS_SHOWN])
    sources = [Source("call log", "read", f"{len(entries)} entries; {count} requests were ever refused", turned_away)]
    served = served_by(settings)
    if served is not None:
        facts.add(served)
        serves = (f"webhooks at {served.webhook_url}", f"audio at {served.audio_url}", f"token in {served.token_in}")
        sources.append(Source("settings", "read", f"this server is reached as {served.public_url}", serves))
    secrets = _secrets(known, settings)
    sources.append(await _ask_telnyx(log, facts, settings, liberties))
    steps: tuple[Step, ...] = ()
    if liberties.offline:
        sources.append(Source("stream URL", "not asked", "--offline"))
    elif wants_probe(facts, judge_call(facts)):
        steps = await _probe(facts, settings)
        sources.append(Source("stream URL", "read", f"probed from this machine, {len(steps)} steps"))
    else:
        why = "the socket came, was not due, or the cause is known without it"
        sources.append(Source("stream URL", "not asked", why))
    diagnosis = judge_call(
        facts,
        steps,
        sources=tuple(sources),
        started_unix_ms=started_unix_ms,
        duration_ms=clock.now_ms() - started_ms,
    )
    return Examined(diagnosis, secrets)


async def _ask_telnyx(log: CallLog, facts: Facts, settings: Settings, liberties: Liberties) -> Source:
    """Telnyx's own word of the call goes into `facts`; with --backfill, webhooks that were missed into the log, too."""
    from callpath.clock import SystemClock
    from callpath.doctor.facts import CallFacts
    from callpath.doctor.probes.telnyx import Telnyx, probe_telnyx_call
    from callpath.doctor.recorded import call_facts, missed_entries, telnyx_lines
    from callpath.doctor.verdict import Source
    from callpath.timeline import WebhookReceived
    from callpath.wire.ids import SessionId

    known = facts[CallFacts]
    why = "--offline" if liberties.offline else "" if liberties.telnyx else "--no-telnyx"
    why = (
        why or ("" if settings.telnyx_api_key else "TELNYX_API_KEY is not set") or ("" if known.entries else "no call")
    )
    if why:
        return Source("Telnyx", "not asked", why)
    clock = SystemClock()
    async with Telnyx(api_base=settings.telnyx_api_base, api_key=settings.telnyx_api_key, clock=clock) as telnyx:
        told = await probe_telnyx_call(
            telnyx,
            call_control_ids=[leg.call_control_id for leg in known.state.legs.values()],
            leg_ids=list(known.state.legs),
            session_id=known.session,
            have=frozenset(e.what.event_id for e in known.entries if isinstance(e.what, WebhookReceived)),
        )
    facts.add(told)
    if told.events is None:
        said = f"{told.refusals[0].status or 'no answer'} {told.refusals[0].detail}" if told.refusals else "no answer"
        return Source("Telnyx", "failed", said, telnyx_lines(told))
    words = f"{len(told.events)} events of the call; {len(told.missed)} webhooks that we do not have"
    if not (liberties.backfill and told.missed):
        return Source("Telnyx", "read", words, telnyx_lines(told))
    if told.status is not None and told.status.is_alive:
        return Source("Telnyx", "read", f"{words}; not back-filled, since the call is still up", telnyx_lines(told))
    entries = missed_entries(known, told)
    added = sum([await log.append(entry) for entry in entries])
    all_of_it = await log.read(SessionId(known.session))
    facts.add(call_facts(known.session, all_of_it, looked_at_unix_ms=known.looked_at_unix_ms))
    return Source("Telnyx", "read", f"{words}; {added} back-filled", telnyx_lines(told))


async def _probe(facts: Facts, settings: Settings) -> tuple[Step, ...]:
    from callpath.clock import SystemClock
    from callpath.doctor.facts import CallFacts
    from callpath.doctor.recorded import probe_way, url_of_call
    from callpath.server.app import stream_plan
    from callpath.server.probe import TEST_CONNECTION
    from callpath.server.prober import probe_session
    from callpath.server.tokens import CallTokens
    from callpath.wire.ids import SessionId

    known = facts[CallFacts]
    secret = settings.secret or settings.telnyx_api_key
    tokens = CallTokens(secret) if secret and settings.token_in != "off" else None
    in_path = stream_plan(settings).token_in_path
    url = url_of_call(known)
    return await probe_way(
        facts,
        SystemClock(),
        token=tokens.of(probe_session(SessionId(known.session))) if tokens else None,
        token_in="path" if in_path else "header",
        test_url=url.replace(known.session, TEST_CONNECTION).removesuffix("/***"),
        test_token=tokens.of(TEST_CONNECTION) if tokens else None,
    )


def _secrets(known: CallFacts, settings: Settings) -> tuple[str, ...]:
    """What this call's report must not hold: its parties, its tokens, what the application carried along."""
    from callpath.server.probe import TEST_CONNECTION
    from callpath.server.prober import probe_session
    from callpath.server.tokens import CallTokens
    from callpath.wire.ids import SessionId

    hidden: list[str] = []
    for leg in known.state.legs.values():
        for party in (leg.from_, leg.to):
            if party:
                hidden += [party, party.removeprefix("+"), party.replace("+", "%2B")]
        if leg.client_state:
            hidden.append(leg.client_state)
    secret = settings.secret or settings.telnyx_api_key
    if secret:
        session = SessionId(known.session)
        tokens = CallTokens(secret)
        hidden += [tokens.of(session), tokens.of(probe_session(session)), tokens.of(TEST_CONNECTION)]
    return tuple(hidden)
