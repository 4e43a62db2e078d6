"""`callpath doctor account`: is the Telnyx account set right, and the host?"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from callpath.config import Settings
    from callpath.doctor.account import AccountRequest, OnStep
    from callpath.doctor.facts import Facts, ServedFacts
    from callpath.doctor.probes.railway import Railway, RailwayService
    from callpath.doctor.probes.telnyx import Telnyx
    from callpath.doctor.verdict import Diagnosis, Step


def account(
    number: str = typer.Option("", "--number", metavar="+1…", help="The number that calls come to."),
    application: str = typer.Option("", "--application", metavar="ID", help="The Call Control application's id."),
    destination: str = typer.Option("", "--to", metavar="+1…", help="A number to be dialled: may it be?"),
    webhook: str = typer.Option(
        "", "--webhook", metavar="URL", help="Where webhooks are taken, if not by a callpath server at PUBLIC_URL."
    ),
    railway: bool | None = typer.Option(
        None,
        "--railway/--no-railway",
        help="Ask Railway, too. Default: where RAILWAY_TOKEN or RAILWAY_API_TOKEN is set.",
    ),
    service: str = typer.Option(
        "", "--service", metavar="ID", help="Railway's service, if RAILWAY_SERVICE_ID is not set."
    ),
    fix: bool = typer.Option(False, "--fix", help="Set right what can be, after showing it; prints how to undo it."),
    yes: bool = typer.Option(False, "--yes", help="With --fix: do not ask."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    report: Path | None = typer.Option(
        None, "--report", metavar="FILE.html|.md", help="Also write a report that is safe to share."
    ),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Only the verdict, in one line."),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="All evidence, what did not match and was not checked."
    ),
) -> None:
    """Ask Telnyx (and Railway) how everything is set. Exit 0 right, 1 something is wrong, 3 no key, 4 not decided."""
    from callpath.cli.environment import clear_errors, load_settings, named_values

    if report is not None and report.suffix not in {".html", ".md"}:
        raise typer.BadParameter("the name must end in .html or .md", param_hint="--report")
    for text, hint in ((number, "--number"), (destination, "--to")):
        if text and not any(character.isdigit() for character in text):
            raise typer.BadParameter(f"{text!r} is not a phone number", param_hint=hint)
    if webhook and not webhook.startswith(("https://", "http://")):
        raise typer.BadParameter(f"{webhook!r} is not a full https:// URL", param_hint="--webhook")
    if fix and not yes and not may_ask():
        raise typer.BadParameter(
            "there is no terminal to ask on; give --yes to change without asking", param_hint="--fix"
        )
    with clear_errors():
        settings, _ = load_settings()
        values = named_values()
        asking = _Asking(settings, values, railway=railway, service=service)
        code = asyncio.run(
            asking.run(
                asking.request(number, application, destination, webhook),
                _Shown(
                    as_json,
                    quiet,
                    verbose,
                    report,
                    sys.stdout.isatty() and not values.get("NO_COLOR"),
                    (*_written(number), *_written(destination), *_secrets(settings, values)),
                ),
                fix=fix,
                yes=yes,
            )
        )
    raise typer.Exit(code)


def may_ask() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()


def _served_at(webhook: str) -> ServedFacts:
    """Another program than a callpath server: only where it takes webhooks is known."""
    from callpath.doctor.facts import ServedFacts

    return ServedFacts(public_url=webhook, webhook_url=webhook, audio_url="", port=0)


def _written(number: str) -> tuple[str, ...]:
    """How a phone number may stand in a text; empty for none."""
    digits = "".join(character for character in number if character.isdigit())
    return (f"+{digits}", f"%2B{digits}", digits) if digits else ()


def _secrets(settings: Settings, values: Mapping[str, str]) -> tuple[str, ...]:
    names = ("RAILWAY_TOKEN", "RAILWAY_API_TOKEN")
    return tuple(filter(None, (settings.telnyx_api_key, settings.secret, *(values.get(name, "") for name in names))))


class _Shown:
    """How results are printed."""

    def __init__(
        self, as_json: bool, quiet: bool, verbose: bool, report: Path | None, colour: bool, secrets: tuple[str, ...]
    ) -> None:
        self.as_json, self.quiet, self.verbose, self.report, self.colour = as_json, quiet, verbose, report, colour
        self.secrets = secrets

    def step(self, step: Step) -> None:
        from callpath.doctor.report import step_line

        if not self.as_json and not self.quiet:
            typer.echo(step_line(step, colour=self.colour))
        elif self.as_json and self.verbose:
            typer.echo(step_line(step, colour=False), err=True)

    def result(self, diagnosis: Diagnosis, changes: list[dict[str, object]] | None) -> None:
        from callpath.doctor.account import account_text
        from callpath.doctor.evidence import evidence
        from callpath.doctor.report import html_page, markdown

        if self.as_json:
            whole = evidence(diagnosis, self.secrets) | ({} if changes is None else {"changes": changes})
            typer.echo(json.dumps(whole, indent=1, ensure_ascii=False))
        elif self.quiet:
            slugs = ", ".join(found.rule.slug for found in diagnosis.findings)
            typer.echo(slugs or ("healthy" if diagnosis.healthy else "not decided"))
        else:
            typer.echo(account_text(diagnosis, colour=self.colour, verbose=self.verbose), nl=False)
        if self.report is not None:
            write = html_page if self.report.suffix == ".html" else markdown
            self.report.write_text(write(diagnosis, None, self.secrets), encoding="utf-8")
            typer.echo(f"report written to {self.report}", err=True)

    def say(self, text: str) -> None:
        """What belongs to --fix; beside the JSON document it goes to stderr."""
        typer.echo(text, err=self.as_json or self.quiet)


class _Asking:
    """Which of the two can be asked, with which settings."""

    def __init__(self, settings: Settings, values: Mapping[str, str], *, railway: bool | None, service: str) -> None:
        from callpath.errors import ConfigError

        self._settings, self._values = settings, values
        self._service_id = service or values.get("RAILWAY_SERVICE_ID", "")
        has_token = bool(values.get("RAILWAY_TOKEN") or values.get("RAILWAY_API_TOKEN"))
        self._ask_railway = has_token if railway is None else railway
        if self._ask_railway and not has_token:
            raise ConfigError(
                "RAILWAY_TOKEN", "is missing", "Make a project token in the project's settings at Railway, under Tokens"
            )
        if railway and not self._service_id:
            raise ConfigError(
                "RAILWAY_SERVICE_ID", "is missing", "It stands in the service's URL at Railway; or give --service ID"
            )
        if not settings.telnyx_api_key and not self._ask_railway:
            raise ConfigError(
                "TELNYX_API_KEY",
                "is missing: without it Telnyx answers nothing",
                "Set it in the environment or in .env",
            )

    def request(self, number: str, application: str, destination: str, webhook: str) -> AccountRequest:
        from urllib.parse import urlsplit

        from callpath.cli.environment import export_for_libraries
        from callpath.doctor.account import AccountRequest
        from callpath.store.archive import open_archive
        from callpath.wire.signature import load_public_key

        settings, values = self._settings, self._values
        export_for_libraries()
        here = bool(values.get("RAILWAY_DEPLOYMENT_ID"))  # given to the running service, and to nobody else
        return AccountRequest(
            served=_served_at(webhook) if webhook else served_by(settings),
            number=number,
            application_id=application,
            destination=destination,
            public_key=load_public_key(settings.telnyx_public_key) if settings.telnyx_public_key else None,
            public_host=urlsplit(webhook or settings.public_url).hostname or "",
            listening_port=settings.port if here else None,
            shared_log=settings.database_url.startswith("postgres") if here or settings.database_url else None,
            archive=open_archive(settings.recordings),
        )

    @asynccontextmanager
    async def clients(
        self, say: Callable[[str], None]
    ) -> AsyncIterator[tuple[Telnyx | None, Railway | None, RailwayService | None]]:
        """Those that can be asked; `say` hears why Railway cannot."""
        from callpath.clock import SystemClock
        from callpath.doctor.probes.railway import ENDPOINT, Railway
        from callpath.doctor.probes.telnyx import Telnyx

        settings, values, clock = self._settings, self._values, SystemClock()
        async with AsyncExitStack() as clients:
            telnyx = railway = service = None
            if settings.telnyx_api_key:
                telnyx = await clients.enter_async_context(
                    Telnyx(api_base=settings.telnyx_api_base, api_key=settings.telnyx_api_key, clock=clock)
                )
            if self._ask_railway:
                railway = await clients.enter_async_context(
                    Railway(
                        clock=clock,
                        token=values.get("RAILWAY_TOKEN", ""),
                        api_token=values.get("RAILWAY_API_TOKEN", ""),
                        endpoint=values.get("RAILWAY_API_URL") or ENDPOINT,
                    )
                )
                service = await self._service(railway, say)
            yield telnyx, railway, service

    async def run(self, request: AccountRequest, shown: _Shown, *, fix: bool, yes: bool) -> int:
        from callpath.clock import SystemClock
        from callpath.doctor.account import diagnose_account

        clock = SystemClock()
        async with self.clients(lambda text: typer.echo(text, err=True)) as (telnyx, railway, service):
            facts, diagnosis = await diagnose_account(
                request, clock, telnyx=telnyx, railway=railway, service=service, on_step=shown.step
            )
            if not fix or telnyx is None:
                shown.result(diagnosis, None)
                return diagnosis.exit_code
            if not shown.as_json:
                shown.result(diagnosis, None)
            made = await _mend(telnyx, facts, shown, yes=yes)
            if any(change["done"] for change in made):
                shown.say("\nAsked again:")
                _, diagnosis = await diagnose_account(
                    request, clock, telnyx=telnyx, railway=railway, service=service, on_step=shown.step
                )
                if not shown.as_json:
                    shown.result(diagnosis, None)
            if shown.as_json:
                shown.result(diagnosis, made)
            return diagnosis.exit_code

    async def _service(self, railway: Railway, say: Callable[[str], None]) -> RailwayService | None:
        from callpath.doctor.probes.railway import RailwayService
        from callpath.errors import PlatformError

        project, environment = (
            self._values.get("RAILWAY_PROJECT_ID", ""),
            self._values.get("RAILWAY_ENVIRONMENT_ID", ""),
        )
        if not project or not environment:
            try:
                project, environment = await railway.token_scope()
            except PlatformError as error:
                say(f"Railway was not asked: {error}")
                return None
        if not self._service_id:
            say("Railway was not asked: RAILWAY_SERVICE_ID is not set (or give --service ID)")
            return None
        return RailwayService(project, environment, self._service_id)


async def ask_account(settings: Settings, values: Mapping[str, str], on_step: OnStep) -> Diagnosis:
    """What the command says without any options; it changes nothing. Raises ConfigError where there is no key."""
    from callpath.clock import SystemClock
    from callpath.doctor.account import diagnose_account
    from callpath.doctor.verdict import Step

    asking = _Asking(settings, values, railway=None, service="")

    def say(text: str) -> None:
        on_step(Step("Railway", "skipped", 0.0, text))

    async with asking.clients(say) as (telnyx, railway, service):
        request = asking.request("", "", "", "")
        _, diagnosis = await diagnose_account(
            request, SystemClock(), telnyx=telnyx, railway=railway, service=service, on_step=on_step
        )
    return diagnosis


async def _mend(telnyx: Telnyx, facts: Facts, shown: _Shown, *, yes: bool) -> list[dict[str, object]]:
    """Show each change, ask, make it, read it again, say how to undo it."""
    from callpath.doctor.repair import carry_out, plan, undo_command

    made: list[dict[str, object]] = []
    changes = plan(facts)
    if not changes:
        shown.say("\nThere is nothing here that --fix can change.")
    for change in changes:
        shown.say(f"\n--fix would change {change.what}:")
        for name, old, new in change.lines:
            shown.say(f"  {name}: {old} → {new}")
        undo = undo_command(telnyx.api_base, change)
        told: dict[str, object] = {"what": change.what, "path": change.path, "undo": undo, "done": False, "problem": ""}
        told["fields"] = [{"name": name, "old": old, "new": new} for name, old, new in change.lines]
        made.append(told)
        if yes and change.guessed:
            told["problem"] = "not made: nobody said which application is meant; name it with --application ID"
        elif yes or typer.confirm("Change it?", default=False, err=True):
            problem = await carry_out(telnyx, change)
            told["done"], told["problem"] = not problem, problem
        else:
            told["problem"] = "not made: you said no"
        if told["problem"]:
            shown.say(f"  {told['problem']}")
        if not told["problem"] or "accepted" in str(told["problem"]):
            shown.say("  changed, and read again: it is so now" if told["done"] else "  it may have been changed")
            shown.say(f"  undo it with:\n  {undo}")
    return made


def served_by(settings: Settings) -> ServedFacts | None:
    """What a server with these settings serves; None without a public URL."""
    from callpath.call.address import audio_url, webhook_url
    from callpath.doctor.facts import ServedFacts
    from callpath.wire.ids import SessionId

    if not settings.public_url:
        return None
    return ServedFacts(
        public_url=settings.public_url,
        webhook_url=webhook_url(settings.public_url),
        audio_url=audio_url(settings.public_url, SessionId("SESSION")).replace("SESSION", "{call_session_id}"),
        port=settings.port,
        token_in=settings.token_in,
    )
