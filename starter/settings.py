"""`midflight settings`: every setting, its value, where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import typer
from rich.console import RenderableType
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
    session.show([asdict(row) for row in rows], *_lines(rows))


def _lines(rows: list[SettingRow]) -> Iterator[RenderableType]:
    for row in rows:
        default = f"  (default {row.default})" if row.default and row.default != row.value else ""
        yield Text.assemble((row.name, "bold"), f" = {row.value or 'not set'}", (default, "dim"))
        yield Text(f"    {row.description}; takes effect {row.takes_effect}", style="dim")
