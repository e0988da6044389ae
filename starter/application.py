"""What the application's library tells through the ledger: its instances, and where its reads differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from midflight.records import InstanceView
from starter.session import AsJson, Domain, Session, run
from starter.storekeeper import TargetStore, books
from starter.tables import columns

Values = Annotated[
    bool,
    typer.Option(
        "--values", help="The entity's key too, and the values of both sides where the application keeps them."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(instances)
    app.command()(mismatches)


def instances(domain: Domain, target: TargetStore = "", as_json: AsJson = False) -> None:
    """Processes of the application whose lease holds: the stage they obey, and their oldest write in flight."""
    session = Session.begin(as_json)

    async def work() -> tuple[int, list[InstanceView]]:
        async with books(session, domain, target) as open_books:
            row = await open_books.target.ledger.authority(domain)
            return row.revision, await open_books.target.registry.instances(domain)

    revision, found = run(work())
    data = [{**asdict(one), "obeys": one.acknowledges(revision)} for one in found]
    session.show(data, _instances(found, revision))


def mismatches(
    domain: Domain,
    at_most: Annotated[int, typer.Option(min=1, help="So many at most, the newest first.")] = 20,
    values: Values = False,
    target: TargetStore = "",
    as_json: AsJson = False,
) -> None:
    """Where dark reads differed: operation, fields and cause; keys and values only when asked for."""
    session = Session.begin(as_json)

    async def work() -> list[dict[str, Any]]:
        async with books(session, domain, target) as open_books:
            return await open_books.target.registry.mismatches(domain, at_most)

    found = [_told(one, values) for one in run(work())]
    session.show(found, _mismatches(found, values))


def _told(mismatch: dict[str, Any], values: bool) -> dict[str, Any]:
    hidden = () if values else ("entity", "sides")
    return {name: _text(value) for name, value in mismatch.items() if name not in hidden}


def _text(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _instances(found: Sequence[InstanceView], revision: int) -> RenderableType:
    if not found:
        return Text("No instance of the application's library holds a lease.")
    table = columns("instance", "obeys", "revision", "oldest write", "lease")
    for one in found:
        obeys = Text("yes") if one.acknowledges(revision) else Text("late", style="yellow")
        oldest = "" if one.oldest_seconds is None else f"{one.oldest_seconds:.1f} s"
        table.add_row(
            Text(one.instance), obeys, f"{one.seen_revision} of {revision}", oldest, f"{one.lease_left:.1f} s"
        )
    return table


def _mismatches(found: Sequence[dict[str, Any]], values: bool) -> RenderableType:
    if not found:
        return Text("No dark read differed.")
    names = ("at", "instance", "operation", *(("entity",) if values else ()), "fields", "cause")
    table = columns(*names, *(("sides",) if values else ()))
    for one in found:
        cells = [one.get(name) for name in (*names, *(("sides",) if values else ()))]
        table.add_row(*(Text(", ".join(cell) if isinstance(cell, list | tuple) else str(cell or "")) for cell in cells))
    return table
