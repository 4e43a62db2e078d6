"""`callpath doctor judge`: what would this version say of evidence that was gathered before?"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer

from callpath.cli.environment import named_values, width


def judge(
    file: Path = typer.Argument(help='What a doctor command wrote with --json or --bundle; "-" reads standard input.'),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="One line: the cause."),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="All evidence, what did not match and was not checked."
    ),
) -> None:
    """Judge evidence again that a doctor command wrote with --json or --bundle. Nothing is asked or probed. Exit codes
    are those of the command that wrote it: 0 healthy, 1 a cause was found, 4 not decided."""
    from callpath.doctor.account import account_text
    from callpath.doctor.bundle import read_evidence
    from callpath.doctor.evidence import evidence, judge_again
    from callpath.doctor.facts import AccountFacts, CallFacts
    from callpath.doctor.report import one_line, terminal
    from callpath.errors import EvidenceError

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        diagnosis = judge_again(read_evidence(data))
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    except EvidenceError as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from None
    colour = sys.stdout.isatty() and not named_values().get("NO_COLOR")
    if as_json:
        typer.echo(json.dumps(evidence(diagnosis), indent=1, ensure_ascii=False))
    elif quiet:
        typer.echo(one_line(diagnosis))
    elif AccountFacts in diagnosis.facts and CallFacts not in diagnosis.facts:
        typer.echo(account_text(diagnosis, colour=colour, verbose=verbose), nl=False)
    else:
        typer.echo(terminal(diagnosis, colour=colour, verbose=verbose, width=width()), nl=False)
    raise typer.Exit(diagnosis.exit_code)
