"""The command line: every group of commands in one application."""

from __future__ import annotations

import typer

from midflight import __version__
from starter import application, fence, migrations, parity, plan, quarantine, report, servers, settings, steer

app = typer.Typer(
    name="midflight",
    help="Moves live MongoDB domains to PostgreSQL. Exit codes: docs/cli.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Moves live MongoDB domains to PostgreSQL. Exit codes: docs/cli.md."""


servers.register(app)
migrations.register(app)
steer.register(app)
report.register(app)
application.register(app)
settings.register(app)
app.add_typer(quarantine.app)
app.add_typer(fence.app)
app.add_typer(parity.app)
app.add_typer(plan.app)
