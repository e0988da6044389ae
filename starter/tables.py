"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text


def columns(*names: str) -> Table:
    """An empty table with these columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def facts(known: Mapping[str, Any]) -> RenderableType:
    """Names and values."""
    table = Table.grid(padding=(0, 2))
    for name, value in known.items():
        table.add_row(Text(f"  {name.replace('_', ' ')}", style="dim"), Text("-" if value is None else str(value)))
    return table
