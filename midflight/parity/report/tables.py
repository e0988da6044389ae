"""Tables of the page: text to the left, numbers to the right, the first cell names its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midflight.parity.records import Verdict
from midflight.parity.report.charts import sign
from midflight.parity.report.markup import Markup, tag
from midflight.parity.report.wording import number


@dataclass(frozen=True, slots=True)
class Number:
    """A cell with a count."""

    count: int


Cell = str | Number


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Markup:
    """A table; a column is one of numbers where its first cell is."""
    right = [isinstance(cell, Number) for cell in rows[0]] if rows else [False] * len(head)
    titles = [
        tag("th", title, scope="col", class_="number" if is_right else None)
        for title, is_right in zip(head, right, strict=True)
    ]
    body = [tag("tr", _first(row[0]), [_cell(cell) for cell in row[1:]]) for row in rows]
    named = tag("caption", caption) if caption else None
    whole = tag("table", named, tag("thead", tag("tr", titles)), tag("tbody", body))
    return tag("div", whole, class_="wide")


def verdict_mark(verdict: Verdict) -> Markup:
    """The verdict's shape, for beside its word."""
    return tag("svg", sign(verdict, 8.0, 8.0, 6.0), viewBox="0 0 16 16", aria_hidden="true")


def _first(cell: Cell) -> Markup:
    return tag("th", _said(cell), scope="row")


def _cell(cell: Cell) -> Markup:
    return tag("td", _said(cell), class_="number" if isinstance(cell, Number) else None)


def _said(cell: Cell) -> str:
    return number(cell.count) if isinstance(cell, Number) else cell
