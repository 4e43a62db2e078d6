"""`callpath doctor` alone: configuration, account, public URL, last call; a line each, then the first problem in full."""

from __future__ import annotations

import asyncio
import json
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import typer

from callpath.cli.environment import Exit, load_settings
from callpath.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from callpath.config import Settings
    from callpath.doctor.verdict import Diagnosis

Status = Literal["ok", "problem", "not decided", "not asked"]
WIDTH = 80
_WHERE_FROM = """
Fix:
  TELNYX_API_KEY     Telnyx portal, Keys & Credentials, API Keys: KEY…
  TELNYX_PUBLIC_KEY  the same page, Public Key: 44 characters, ends in =
  PUBLIC_URL         where the world reaches this server: https://HOST

Export them, or write them into a file .env here; then run this again.
Without an account: `callpath simulate` plays Telnyx on this machine, and prints
the settings for it.
"""
MARKS = {"ok": "✓", "problem": "✗", "not decided": "?", "not asked": "-"}


@dataclass(slots=True)
class Part:
    """One of the four, and how it went. `told` is the whole of it for people."""

    name: str
    status: Status
    words: str
    code: int = 0
    told: str = ""
    document: dict[str, Any] = field(default_factory=dict)


def everything(*, offline: bool, as_json: bool, verbose: bool) -> None:
    """Ask all that can be asked, and stop where it makes no sense to go on."""
    parts: list[Part] = []

    def say(part: Part) -> None:
        parts.append(part)
        if not as_json:
            words = part.words if len(part.words) <= 60 else part.words[:59] + "…"
            typer.echo(f"  {MARKS[part.status]} {part.name:<14}{words}")

    try:
        settings, _ = load_settings()
    except ConfigError as error:
        say(Part("configuration", "problem", str(error), Exit.CONFIGURATION, f"{error}\n"))
    else:
        missing = [
            name
            for name, value in (
                ("PUBLIC_URL", settings.public_url),
                ("TELNYX_API_KEY", settings.telnyx_api_key),
                ("TELNYX_PUBLIC_KEY", settings.telnyx_public_key),
            )
            if not value
        ]
        if missing:
            words = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
            told = textwrap.fill(f"{words}. `callpath serve` cannot take calls without.", WIDTH) + f"\n{_WHERE_FROM}"
            say(Part("configuration", "problem", words, Exit.CONFIGURATION, told))
        else:
            say(Part("configuration", "ok", "all that a call needs is set"))
        for part in asyncio.run(_ask(settings, offline=offline, verbose=verbose)):
            say(part)
    first = next((part for part in parts if part.status in {"problem", "not decided"}), None)
    if as_json:
        rows = [
            {"name": part.name, "status": part.status, "words": part.words, "diagnosis": part.document or None}
            for part in parts
        ]
        code = first.code if first is not None else 0
        typer.echo(json.dumps({"schema_version": 1, "exit_code": code, "parts": rows}, indent=1, ensure_ascii=False))
    elif first is None:
        typer.echo("\nNothing is wrong, as far as could be asked.")
    else:
        typer.echo(f"\nThe first problem, {first.name}:\n")
        typer.echo(first.told, nl=False)
    raise typer.Exit(first.code if first is not None else 0)


async def _ask(settings: Settings, *, offline: bool, verbose: bool) -> list[Part]:
    parts = [await _account(settings, offline=offline, verbose=verbose)]
    parts.append(await _public_url(settings, offline=offline, verbose=verbose))
    parts.append(await _last_call(settings, offline=offline, verbose=verbose))
    return parts


async def _account(settings: Settings, *, offline: bool, verbose: bool) -> Part:
    from callpath.cli.doctor_account import served_by
    from callpath.clock import SystemClock
    from callpath.doctor.account import AccountRequest, account_text, diagnose_account
    from callpath.doctor.probes.telnyx import Telnyx
    from callpath.errors import CallpathError
    from callpath.wire.signature import load_public_key

    if offline or not settings.telnyx_api_key:
        return Part("account", "not asked", "--offline" if offline else "TELNYX_API_KEY is not set")
    try:
        public_key = load_public_key(settings.telnyx_public_key) if settings.telnyx_public_key else None
    except CallpathError as error:
        return Part("account", "problem", str(error), Exit.CONFIGURATION, f"{error}\n")
    request = AccountRequest(served=served_by(settings), public_key=public_key)
    clock = SystemClock()
    async with Telnyx(api_base=settings.telnyx_api_base, api_key=settings.telnyx_api_key, clock=clock) as telnyx:
        _, diagnosis = await diagnose_account(request, clock, telnyx=telnyx)
    return _part("account", diagnosis, account_text(diagnosis, colour=False, verbose=verbose))


async def _public_url(settings: Settings, *, offline: bool, verbose: bool) -> Part:
    from urllib.parse import urlsplit

    from callpath.call.address import audio_url
    from callpath.clock import SystemClock
    from callpath.config import is_loopback
    from callpath.doctor.engine import diagnose
    from callpath.doctor.report import terminal
    from callpath.doctor.request import Request
    from callpath.server.probe import TEST_CONNECTION
    from callpath.server.tokens import CallTokens

    if offline or not settings.public_url:
        return Part("public URL", "not asked", "--offline" if offline else "PUBLIC_URL is not set")
    secret = settings.secret or settings.telnyx_api_key
    token = CallTokens(secret).of(TEST_CONNECTION) if secret and settings.token_in != "off" else None
    url = audio_url(settings.public_url, TEST_CONNECTION)
    request = Request(url=url, token=token, local=is_loopback(urlsplit(url).hostname or ""))
    diagnosis = await diagnose(request, SystemClock())
    return _part("public URL", diagnosis, terminal(diagnosis, colour=False, verbose=verbose))


async def _last_call(settings: Settings, *, offline: bool, verbose: bool) -> Part:
    from callpath.cli.doctor_call import Examined, Liberties, diagnose_call, require_call_log
    from callpath.doctor.report import terminal

    try:
        require_call_log(settings)
    except ConfigError as error:
        return Part("last call", "not asked", str(error))
    try:
        found = await diagnose_call(settings, "", Liberties(offline=offline))
    except StoreError as error:
        return Part("last call", "problem", str(error), Exit.PROBLEM, f"{error}\n")
    assert isinstance(found, Examined), "without an id there is nothing to be near to"
    return _part("last call", found.diagnosis, terminal(found.diagnosis, colour=False, verbose=verbose))


def _part(name: str, diagnosis: Diagnosis, told: str) -> Part:
    from callpath.doctor.report import one_line
    from callpath.doctor.verdict import document

    code = diagnosis.exit_code
    status: Status = "ok" if code == 0 else "problem" if code == 1 else "not decided"
    return Part(name, status, one_line(diagnosis), code, told, document(diagnosis))
