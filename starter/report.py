"""`midflight report`: how a move went, for the record."""

from __future__ import annotations

import typer

from starter import render
from starter.history import write_report
from starter.session import AsJson, Domain, Session, run
from starter.storekeeper import TargetStore


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(domain: Domain, target: TargetStore = "", as_json: AsJson = False) -> None:
    """Phases with times, parity, gates with who approved what, counts, the audit trail."""
    session = Session.begin(as_json)
    written = run(write_report(session, domain, target))
    session.show(written.model_dump(mode="json"), *render.report(written))
