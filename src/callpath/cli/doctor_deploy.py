"""`callpath doctor deploy [DIR]`: the traps of each platform, read from its files before anything is deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from callpath.cli.doctor_bundle import HELP as BUNDLE_HELP
from callpath.cli.doctor_bundle import check_bundle, save_bundle
from callpath.cli.environment import clear_errors, load_settings

if TYPE_CHECKING:
    from callpath.doctor.facts import DeployFacts
    from callpath.doctor.verdict import Diagnosis


def deploy(
    folder: Path = typer.Argument(Path(), exists=True, file_okay=False, help="The project's folder."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    bundle: Path | None = typer.Option(None, "--bundle", metavar="FILE.zip", help=BUNDLE_HELP),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="One line for each finding."),
) -> None:
    """Read Dockerfile, railway.json, railway.ts, fly.toml, render.yaml, compose, Kubernetes and nginx files, and name
    what will go wrong with calls. Exit 0 nothing found, 1 something found, 4 nothing here to read."""
    from callpath.doctor.evidence import evidence, judge_facts
    from callpath.doctor.facts import Facts
    from callpath.doctor.probes.files import probe_files

    check_bundle(bundle)
    with clear_errors():
        settings, _ = load_settings({})
        facts = probe_files(folder, settings.drain_seconds)
    diagnosis = judge_facts(Facts(facts))
    if as_json:
        found = evidence(diagnosis)
        kept = ("schema_version", "kind", "facts", "steps", "healthy", "exit_code", "findings", "notes", "ruled_out")
        files = {"files": [plan.file for plan in facts.plans], "unread": [list(item) for item in facts.unread]}
        typer.echo(json.dumps({key: found[key] for key in kept} | files, indent=1, ensure_ascii=False))
    else:
        typer.echo(_text(diagnosis, facts, quiet), nl=False)
    save_bundle(bundle, diagnosis, evidence(diagnosis))
    raise typer.Exit(diagnosis.exit_code)


def _text(diagnosis: Diagnosis, facts: DeployFacts, quiet: bool) -> str:
    import textwrap

    def wrapped(text: str, indent: str, after: str | None = None) -> str:
        after = indent if after is None else after
        return textwrap.fill(text, 80, initial_indent=indent, subsequent_indent=after, break_on_hyphens=False)

    lines = []
    found = [*diagnosis.findings, *diagnosis.notes]
    if not quiet:
        lines.append(
            wrapped("Read: " + (", ".join(plan.file for plan in facts.plans) or "nothing that is known here"), "")
        )
        lines += [wrapped(f"Not understood: {file} ({why})", "") for file, why in facts.unread]
    for item in found:
        rule, finding = item.rule, item.finding
        if quiet:
            lines.append(f"{rule.slug}: {finding.summary}")
            continue
        mark = "!" if finding.kind == "note" else "✗"
        lines += ["", wrapped(f"{mark} {rule.title} ({rule.code})", "")]
        lines += [wrapped(line, "    ") for line in finding.evidence or (finding.summary,)]
        for number, line in enumerate((finding.fix or rule.fix).split("\n")):
            lines.append(wrapped(line, "    Fix: " if number == 0 else "         ", "         "))
    if not quiet:
        if diagnosis.healthy:
            rules = len(diagnosis.did_not_match)
            lines += ["", f"Nothing found that would cut or keep away calls ({rules} traps looked for)."]
        lines += ["", "What this cannot see: variables set on the platform's own pages."]
    return "\n".join(lines) + "\n"
