"""`midflight settings`: every setting, its value, where it comes from."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from midflight.settings import SettingRow
from starter.session import AsJson, Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("settings")(settings)


def settings(as_json: AsJson = False) -> None:
    """Every setting with its value; secrets are hidden."""
    session = Session.begin(as_json)
    rows = session.settings.table()
    session.show([asdict(row) for row in rows], _table(rows))


def _table(rows: list[SettingRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True)
    for name in ("value", "default", "meaning", "takes effect"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text) for text in (row.name, row.value, row.default, row.description, row.takes_effect)))
    return table
