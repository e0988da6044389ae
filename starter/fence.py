"""`midflight fence`: who refuses what, in both stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import RenderableType
from rich.text import Text

from midflight.records import FenceView
from starter.session import AsJson, Domain, Person, Reason, Session, run, who
from starter.storekeeper import Books, TargetStore, books
from starter.tables import columns

app = typer.Typer(name="fence", help="Who refuses what, in both stores.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Who refuses what, in both stores."""


@app.command()
def status(domain: Domain, target: TargetStore = "", as_json: AsJson = False) -> None:
    """Every collection of the source and table of the target: what is refused, what passes, and why."""
    session = Session.begin(as_json)

    async def work() -> dict[str, list[FenceView]]:
        async with books(session, domain, target) as open_books:
            return await _views(open_books)

    found = run(work())
    data = {side: [asdict(view) for view in views] for side, views in found.items()}
    session.show(data, *(part for side, views in found.items() for part in (Text(side, style="bold"), _table(views))))


@app.command()
def install(
    domain: Domain, reason: Reason, person: Person = "", target: TargetStore = "", as_json: AsJson = False
) -> None:
    """Put the triggers back on the target's tables, where somebody took them off or made a table anew."""
    session, signed = Session.begin(as_json), who(person)

    async def work() -> list[FenceView]:
        async with books(session, domain, target) as open_books:
            await open_books.target.fence.install(open_books.plan)
            await open_books.target.ledger.record(domain, "fence_installed", signed, {"reason": reason})
            return await open_books.target.fence.status(open_books.plan)

    views = run(work())
    session.show([asdict(view) for view in views], _table(views))
    session.note("Rows written while a table had no triggers are not marked: touch them, or they do not go back.")


async def _views(open_books: Books) -> dict[str, list[FenceView]]:
    plan = open_books.plan
    names = [entry.collection for entry in plan.collections]
    async with open_books.stores.source(plan.source.store, plan.source.database) as source:
        at_source = await source.fence.status(names, plan.source.application_users)
    return {"source": at_source, "target": await open_books.target.fence.status(plan)}


def _table(views: Sequence[FenceView]) -> RenderableType:
    table = columns("place", "refuses", "passes", "why")
    for view in views:
        cells = (view.place, ", ".join(view.refuses) or "nothing", ", ".join(view.passes), view.detail)
        table.add_row(*(Text(cell) for cell in cells))
    return table
