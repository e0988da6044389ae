"""Checks the names a plan gives: schema, tables, columns, indexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from midflight.core.plan import CollectionMap, Plan
from midflight.core.plan_problems import Problem, nearest
from midflight.core.plan_scopes import Scope

SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
SYSTEM_DATABASES = {"admin", "config", "local"}


def name_problems(plan: Plan, all_scopes: list[Scope]) -> Iterator[Problem]:
    """Names that are reserved, taken twice, or unknown."""
    yield from _place_problems(plan)
    yield from _collections_twice(plan)
    yield from _tables(all_scopes)
    for scope in all_scopes:
        yield from _columns(scope)
        yield from _order(scope)
    for number, collection in enumerate(plan.collections):
        owned = [scope for scope in all_scopes if scope.collection is collection]
        yield from _indexes(f"collections[{number}]", collection, owned)
    yield from _indexes_alike(plan)


def _place_problems(plan: Plan) -> Iterator[Problem]:
    schema = plan.target.schema_
    if schema == "midflight":
        yield Problem("target.schema", "`midflight` is the schema of our own ledger.", "Choose another schema.")
    if schema == "information_schema" or schema.startswith("pg_"):
        yield Problem("target.schema", f"`{schema}` belongs to PostgreSQL.", "Choose another schema.")
    if plan.source.database in SYSTEM_DATABASES:
        what = f"`{plan.source.database}` belongs to MongoDB itself."
        yield Problem("source.database", what, "Name the database that holds your documents.")


def _collections_twice(plan: Plan) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, entry in enumerate(plan.collections):
        place = f"collections[{number}].collection"
        if entry.collection.startswith("system."):
            yield Problem(place, f"`{entry.collection}` belongs to MongoDB itself.", "Name one of your collections.")
        if entry.collection in first:
            what = f"`{entry.collection}` is mapped already at collections[{first[entry.collection]}]."
            yield Problem(place, what, "Keep one of them.")
        first.setdefault(entry.collection, number)


def _tables(all_scopes: list[Scope]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for scope in all_scopes:
        place, table = f"{scope.place}.table", scope.table
        if table.startswith(("midflight", "pg_")):
            yield Problem(place, f"names that start like `{table}` are reserved.", "Choose another name.")
        if table in first:
            yield Problem(place, f"table `{table}` is filled already by {first[table]}.", "Give each its own table.")
        first.setdefault(table, scope.place)


def _columns(scope: Scope) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for column in scope.columns():
        if column.name in SYSTEM_COLUMNS:
            what = f"`{column.name}` is a column that PostgreSQL keeps in every table."
            yield Problem(column.place, what, "Choose another name.")
        if column.name in first:
            what = f"column `{column.name}` of table `{scope.table}` is filled already by {first[column.name]}."
            yield Problem(column.place, what, "Give each its own column.")
        first.setdefault(column.name, column.place)


def _order(scope: Scope) -> Iterator[Problem]:
    """Names that `order` leaves out come after those in it, the key too: then no document would have that order."""
    order, place = scope.part.order, f"{scope.place}.order"
    if order and scope.is_root and "_id" not in order:
        yield Problem(place, "`_id` is missing.", "Let the order begin with `_id`, as documents do.")
    for name in order:
        if "." in name:
            yield Problem(place, f"`{name}` is not a top-level name.", f"Write `{name.split('.')[0]}`.")
    for name, count in Counter(order).items():
        if count > 1:
            yield Problem(place, f"`{name}` is named twice.", "Name it once.")


def _indexes(place: str, collection: CollectionMap, owned: list[Scope]) -> Iterator[Problem]:
    columns = {scope.table: {column.name for column in scope.columns()} for scope in owned}
    for number, index in enumerate(collection.indexes):
        table = index.table or collection.table
        if table not in columns:
            what = f"table `{table}` is not one of this collection's tables."
            yield Problem(f"{place}.indexes[{number}].table", what, nearest(table, columns))
            continue
        for name, count in Counter(index.columns).items():
            at = f"{place}.indexes[{number}].columns"
            if name not in columns[table]:
                yield Problem(at, f"table `{table}` has no column `{name}`.", nearest(name, columns[table]))
            if count > 1:
                yield Problem(at, f"column `{name}` is named twice.", "Name it once.")


def _indexes_alike(plan: Plan) -> Iterator[Problem]:
    """An index is named after its table and columns, and names are per schema: the second of two would be left out."""
    first: dict[tuple[str, bool], str] = {}
    for number, collection in enumerate(plan.collections):
        for inner, index in enumerate(collection.indexes):
            place = f"collections[{number}].indexes[{inner}]"
            name = "_".join((index.table or collection.table, *index.columns))
            if (name, index.unique) in first:
                what = f"this index would have the same name as {first[name, index.unique]}."
                yield Problem(place, what, "Leave one of them out, or rename a column.")
            first.setdefault((name, index.unique), place)
