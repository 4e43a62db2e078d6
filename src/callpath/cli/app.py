"""The commands, each in a file of its own. Heavy imports wait until a command runs: --help must be quick."""

from __future__ import annotations

import typer

from callpath import __version__

app = typer.Typer(
    name="callpath",
    help="Telnyx calls that work: the call server, the doctor, and a Telnyx simulator to test with.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callpath {__version__}")
        raise typer.Exit


@app.callback()
def callpath(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Telnyx calls that work: the call server, the doctor, and a Telnyx simulator to test with."""


from callpath.cli import calls, config, demo, dial, doctor, migrate, recording, serve, simulate, simulate_load  # noqa: E402 (commands)

app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("dial")(dial.dial)
app.add_typer(calls.app, name="calls")
app.add_typer(recording.app, name="recording")
app.add_typer(doctor.app, name="doctor")
simulate.app.command("load")(simulate_load.load)
app.add_typer(simulate.app, name="simulate")
app.command("migrate")(migrate.migrate)
app.command("config")(config.config)
