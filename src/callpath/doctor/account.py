"""The account and the host: ask both how they are set, judge, and say it.

`diagnose_account` gathers facts from Telnyx, and from Railway where a token is there; the account's rules judge them. Other
than for a URL, several findings stand side by side: an account can be wrong in eight ways at once, and each has to be
fixed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from callpath.clock import Clock
from callpath.doctor.accounts import masked, named
from callpath.doctor.engine import judge
from callpath.doctor.facts import AccountFacts, Facts, PlatformFacts, ServedFacts
from callpath.doctor.probes.archive import probe_archive
from callpath.doctor.probes.railway import Railway, RailwayService, probe_platform
from callpath.doctor.probes.telnyx import Telnyx, probe_account
from callpath.doctor.report import WIDTH
from callpath.doctor.rules import rules_of
from callpath.doctor.verdict import Diagnosis, Found, Step, StepStatus
from callpath.store.archive import Archive
from callpath.wire.signature import PublicKey

OnStep = Callable[[Step], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRequest:
    """What is asked. `number` is the one that calls come to, `destination` one that is to be dialled.

    `listening_port` and `shared_log` are only known where the server itself runs.
    """

    served: ServedFacts | None = None
    number: str = ""
    application_id: str = ""
    destination: str = ""
    public_key: PublicKey | None = None
    public_host: str = ""
    listening_port: int | None = None
    shared_log: bool | None = None
    archive: Archive | None = None
    """Where recordings are kept, if not on the server's own disk."""


async def diagnose_account(
    request: AccountRequest,
    clock: Clock,
    *,
    telnyx: Telnyx | None = None,
    railway: Railway | None = None,
    service: RailwayService | None = None,
    on_step: OnStep = lambda _: None,
) -> tuple[Facts, Diagnosis]:
    """The facts, and what the rules say of them. Either of Telnyx and Railway may be left out."""
    started_ms, started_unix_ms = clock.now_ms(), clock.now_unix_ms()
    facts = Facts() if request.served is None else Facts(request.served)
    steps: list[Step] = []

    def report(found: Iterator[tuple[str, StepStatus, str]], since_ms: float) -> None:
        for name, status, detail in found:
            steps.append(Step(name, status, clock.now_ms() - since_ms, detail))
            on_step(steps[-1])

    if telnyx is not None:
        at_ms = clock.now_ms()
        account = await probe_account(
            telnyx,
            request.served,
            number=request.number,
            application_id=request.application_id,
            destination=request.destination,
            public_key=request.public_key,
        )
        facts.add(account)
        report(_account_steps(account), at_ms)
        if request.served is None:
            unknown = "PUBLIC_URL is not set: nothing can be compared with what this server serves"
            report(iter([("server", "warning", unknown)]), at_ms)
    if railway is not None and service is not None:
        at_ms = clock.now_ms()
        seen = await probe_platform(
            railway,
            service,
            public_host=request.public_host,
            listening_port=request.listening_port,
            shared_log=request.shared_log,
        )
        facts.add(seen)
        report(_platform_steps(seen), at_ms)
    if request.archive is not None:
        at_ms = clock.now_ms()
        kept = await probe_archive(request.archive)
        facts.add(kept)
        detail = f"{kept.url}: written, read and deleted" if not kept.code else kept.said
        report(iter([("recording", "failed" if kept.code else "ok", detail)]), at_ms)
    duration_ms = clock.now_ms() - started_ms
    return facts, judge_account(facts, tuple(steps), started_unix_ms=started_unix_ms, duration_ms=duration_ms)


def judge_account(
    facts: Facts, steps: tuple[Step, ...] = (), *, started_unix_ms: int = 0, duration_ms: float = 0.0
) -> Diagnosis:
    """The diagnosis of facts that were gathered before."""
    served = facts.get(ServedFacts)
    return judge(
        served.webhook_url if served is not None else "",
        facts,
        steps,
        started_unix_ms=started_unix_ms,
        duration_ms=duration_ms,
        rules=rules_of("account"),
        fallbacks=(),
        works=account_works,
    )


def account_works(facts: Facts) -> bool:
    """Whether enough was seen to call the account healthy: there is money, a number leads to an active application and is
    not forwarded, and its webhooks come to a URL that is known to be ours."""
    account = facts.get(AccountFacts)
    return (
        account is not None
        and bool(account.key_accepted)
        and account.application is not None
        and account.application.active is True
        and account.application.webhook_api_version == "2"
        and ServedFacts in facts
        and account.balance is not None
        and any(row.get("connection_id") == account.application.id for row in account.numbers)
        and len(account.voices) == len(account.numbers)
    )


def _account_steps(account: AccountFacts) -> Iterator[tuple[str, StepStatus, str]]:
    refused = {row.question: row for row in account.refusals}
    if not account.key_accepted:
        row = account.refusals[-1] if account.refusals else None
        yield "key", "failed", f"{row.status or 'no answer'}: {row.detail}" if row is not None else "not asked"
        return
    yield "key", "ok", "accepted"
    if account.balance is not None:
        yield "money", "ok", f"{account.balance.get('available_credit', '?')} {account.balance.get('currency', '')}"
    if account.number_found:
        row_status = (account.number or {}).get("status")
        leads = account.connection_kind or account.connection_id or "no connection"
        yield "number", "ok", f"{masked(account.number_asked)}: {row_status}, leads to {leads}"
    elif account.number_found is False:
        yield "number", "failed", f"{masked(account.number_asked)} is not in this account"
    elif account.numbers_listed:
        names = ", ".join(masked(row.get("phone_number")) for row in account.numbers)
        yield "numbers", "ok" if names else "warning", names or "none leads to the application"
    application = account.application
    if application is None:
        yield "app", "failed", f"none was found among {len(account.applications)}"
    else:
        how = {"asked": "as asked", "url": "by its webhook URL", "host": "by its host", "number": "by the number"}
        chosen = how.get(account.chosen_by, account.chosen_by)
        yield "app", "ok", f"{named(application)}, {chosen}: {'active' if application.active else 'not active'}"
        yield (
            "webhooks",
            "ok",
            f"version {application.webhook_api_version} to {application.webhook_event_url or 'nobody'}",
        )
    if account.deliveries is not None:
        failed = sum(1 for row in account.deliveries if row.status == "failed")
        yield "sent", "warning" if failed else "ok", f"{len(account.deliveries)} webhooks in a day, {failed} failed"
    if account.public_key_fits:
        yield "signing", "ok", "a recorded webhook verifies with TELNYX_PUBLIC_KEY"
    for question in (name for name, row in refused.items() if row.status != 404):
        yield (
            question[:8],
            "warning",
            f"{question}: {refused[question].status or 'no answer'} {refused[question].detail}",
        )


def _platform_steps(seen: PlatformFacts) -> Iterator[tuple[str, StepStatus, str]]:
    if seen.deployments is not None:
        newest = seen.deployments[0][0] if seen.deployments else "no deployment"
        count = f", {seen.replicas} replica{'s' if seen.replicas != 1 else ''}" if seen.replicas is not None else ""
        yield seen.platform, "ok", f"{newest}{count}"
    for row in seen.domains or ():
        yield "domain", "ok", f"{row.domain}: port {row.target_port or 'found by itself'} {row.certificate}".rstrip()
    for refusal in seen.refusals:
        yield seen.platform, "warning", refusal


# --- for people ------------------------------------------------------------------------------------------------------


def account_text(diagnosis: Diagnosis, *, colour: bool, verbose: bool = False) -> str:
    """Every finding with what fixes it, in the order in which to go about it; 80 columns."""
    return "\n".join(_account_text(diagnosis, colour, verbose)) + "\n"


def _account_text(diagnosis: Diagnosis, colour: bool, verbose: bool) -> Iterator[str]:
    faults = [found for found in diagnosis.findings if found.finding.kind != "open"]
    yield ""
    if diagnosis.healthy:
        yield _bold("Healthy: the account is set right.", colour)
        yield from _wrapped(
            "That is how it is set. Whether webhooks arrive was only seen where some were sent in the last "
            "day; whether audio does, `callpath doctor url` shows.",
            "  ",
        )
    elif not diagnosis.findings:
        yield _bold("Not decided: nothing wrong was found, but too little could be seen.", colour)
        for step in diagnosis.steps:
            if step.status != "ok":
                yield from _wrapped(f"- {step.detail}", "  ", "    ")
    elif not faults:
        yield _bold("Not decided.", colour)
    else:
        problems = "1 problem" if len(faults) == 1 else f"{len(faults)} problems"
        yield _bold(f"{problems} in the account settings.", colour)
    for number, found in enumerate(diagnosis.findings, 1):
        yield from _finding_text(number, found, colour, verbose)
    if diagnosis.notes:
        yield ""
        yield _bold("Worth knowing:", colour)
        for note in diagnosis.notes:
            yield from _wrapped(f"{note.finding.summary} ({note.rule.code})", "  ", "    ")
            for line in note.finding.evidence if verbose else ():
                yield from _wrapped(f"- {line}", "    ", "      ")
            if verbose:
                yield from _wrapped(f"If that is not meant: {note.finding.fix or note.rule.fix}", "    ")
    if verbose:
        yield ""
        quiet = ", ".join(rule.slug for rule in diagnosis.did_not_match)
        yield from _wrapped(f"Did not match: {quiet or 'nothing'}", "", "  ")
        not_checked = ", ".join(item.rule.slug for item in diagnosis.not_checked)
        yield from _wrapped(f"Not checked: {not_checked or 'nothing'}", "", "  ")
    elif diagnosis.not_checked:
        yield ""
        yield f"{len(diagnosis.not_checked)} causes could not be checked; -v lists them, and all evidence."


def _finding_text(number: int, found: Found, colour: bool, verbose: bool) -> Iterator[str]:
    finding, rule = found.finding, found.rule
    yield ""
    yield from _wrapped(_bold(f"{number}. {finding.title or rule.title}", colour), "", "   ")
    behind = f" · explained by {found.under}" if found.under else ""
    yield f"   {rule.code} {rule.slug} · confidence: {finding.confidence}{behind}"
    yield from _wrapped(f"{finding.summary}.", "   ")
    for line in finding.evidence if verbose else finding.evidence[:3]:
        yield from _wrapped(f"- {line}", "   ", "     ")
    if finding.question:
        yield from _wrapped(f"To find out: {finding.question}", "   ")
    else:
        yield from _wrapped(f"Fix: {finding.fix or rule.fix}", "   ", "        ")
    if verbose:
        yield from _wrapped(f"Why: {rule.why}", "   ", "        ")


def _bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text


def _wrapped(text: str, indent: str, hanging: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
        break_long_words=False,
    )
