"""`midflight quarantine`: the documents that could not be represented."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from midflight.core.keys import key_text
from midflight.records import QuarantineEntry
from midflight.sync import Bridge, sync_keys
from starter import render
from starter.exits import ExitCode, Refused
from starter.session import AsJson, Domain, Person, Session, run, stop, who
from starter.storekeeper import Books, TargetStore, books
from starter.tables import facts

AT_MOST = 1_000_000
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The entry's number, as `list` shows it.")]
Waived = Annotated[bool, typer.Option("--waived", help="Waived ones too.")]

app = typer.Typer(name="quarantine", help="The documents that could not be represented.", no_args_is_help=True)


@app.command("list")
def list_entries(
    domain: Domain,
    collection: Annotated[str, typer.Option(help="Only this collection.")] = "",
    waived: Waived = False,
    at_most: Annotated[int, typer.Option(min=1, help="So many at most.")] = 100,
    target: TargetStore = "",
    as_json: AsJson = False,
) -> None:
    """What is in quarantine, and why."""
    session = Session.begin(as_json)

    async def work() -> list[QuarantineEntry]:
        async with books(session, domain, target) as open_books:
            return await open_books.target.ledger.quarantined(
                domain, collection=collection or None, only_open=not waived, at_most=at_most
            )

    entries = run(work())
    session.show([_data(entry) for entry in entries], render.quarantine(entries))


@app.command()
def show(
    domain: Domain,
    number: Number,
    show_key: Annotated[
        bool, typer.Option("--show-key", help="Show the document's key, which may be personal.")
    ] = False,
    target: TargetStore = "",
    as_json: AsJson = False,
) -> None:
    """One entry."""
    session = Session.begin(as_json)

    async def work() -> QuarantineEntry:
        async with books(session, domain, target) as open_books:
            return await _entry(open_books, domain, number)

    entry = run(work())
    data = _data(entry) | ({"key": key_text(entry.key)} if show_key else {})
    session.show(data, facts(data))


@app.command()
def waive(
    domain: Domain,
    number: Number,
    reason: Annotated[str, typer.Option(help="Why this document may stay out; it is recorded.", show_default=False)],
    person: Person = "",
    target: TargetStore = "",
    as_json: AsJson = False,
) -> None:
    """Accept, by name, that a document stays out of the target. A change of it asks anew."""
    session, signed = Session.begin(as_json), who(person)

    async def work() -> QuarantineEntry:
        async with books(session, domain, target) as open_books:
            await _entry(open_books, domain, number)
            entry = await open_books.target.ledger.waive(domain, number, signed, reason)
            details = {"number": number, "collection": entry.collection, "reason": reason}
            await open_books.target.ledger.record(domain, "quarantine_waived", signed, details)
            return entry

    session.show(_data(run(work())), f"Entry {number} of {domain} is waived by {signed}.")


@app.command()
def retry(domain: Domain, number: Number, target: TargetStore = "", as_json: AsJson = False) -> None:
    """Send the document through again, after it was mended in the source."""
    session = Session.begin(as_json)

    async def work() -> QuarantineEntry | None:
        async with books(session, domain, target) as open_books:
            entry = await _entry(open_books, domain, number)
            await _again(open_books, entry)
            return await _still_refused(open_books, entry)

    left = run(work())
    message = f"Entry {number} of {domain} went through." if left is None else _still(left)
    session.show({"number": number, "through": left is None, "entry": _data(left) if left else None}, message)
    stop(ExitCode.OK if left is None else ExitCode.PROBLEM_FOUND)


async def _entry(open_books: Books, domain: str, number: int) -> QuarantineEntry:
    for entry in await open_books.target.ledger.quarantined(domain, only_open=False, at_most=AT_MOST):
        if entry.number == number:
            return entry
    raise Refused(
        f"Domain {domain} has no quarantine entry {number}.",
        next_step=f"It may be cleared already; `midflight quarantine list {domain}` shows what is left.",
    )


async def _again(open_books: Books, entry: QuarantineEntry) -> None:
    plan = open_books.plan
    async with open_books.stores.source(plan.source.store, plan.source.database) as source:
        await sync_keys(Bridge(source, open_books.target, plan), {entry.collection: [entry.key]}, "repair")


async def _still_refused(open_books: Books, entry: QuarantineEntry) -> QuarantineEntry | None:
    """The entry of the same document, if it is still (or again) in quarantine."""
    domain, ledger = open_books.plan.domain, open_books.target.ledger
    left = await ledger.quarantined(domain, collection=entry.collection, only_open=False, at_most=AT_MOST)
    return next((one for one in left if one.key == entry.key), None)


def _still(entry: QuarantineEntry) -> str:
    place = f"{entry.collection}.{entry.field}" if entry.field else entry.collection
    return (
        f"Still in quarantine as entry {entry.number}: {place}: {entry.reason}. "
        "Mend the document in the source and retry, or waive it."
    )


def _data(entry: QuarantineEntry) -> dict[str, Any]:
    """Everything but the key, which may be personal."""
    return {
        "number": entry.number,
        "collection": entry.collection,
        "field": entry.field,
        "value_type": entry.value_type,
        "column": entry.column,
        "reason": entry.reason,
        "path": entry.path,
        "first_seen": entry.first_seen.isoformat(),
        "last_seen": entry.last_seen.isoformat(),
        "waived_by": entry.waived_by,
        "waived_reason": entry.waived_reason,
    }
