"""The tables of a collection, derived from the plan: one order of tables and columns for everybody.

Mapping, COPY, DDL and the reader all rely on it: row tuples are in the order of `Table.columns`, and the lists of rows
of a mapped document are in the order of `tables()` (the root table first, then children depth first).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from midflight.core.plan import Child, CollectionMap, FieldMap, Reference, TransformMap


@dataclass(frozen=True, slots=True)
class Column:
    """A target column: `type` is the plan's type text, see `midflight.core.column_types`."""

    name: str
    type: str
    required: bool = False
    references: Reference | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A target table. `root_key` is the column that holds the document's key; `parent` is None for the root table."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    root_key: str
    parent: str | None = None


def tables(collection: CollectionMap) -> tuple[Table, ...]:
    """The root table, then the child tables depth first."""
    root = _root(collection)
    key = root.columns[0]
    return (root, *(t for child in collection.children for t in _children(child, root.name, key.type, ())))


def _root(collection: CollectionMap) -> Table:
    key = Column(collection.key.column, collection.key.type, required=True)
    rest = (Column(collection.rest, "jsonb"),) if collection.rest else ()
    constants = tuple(Column(c.column, c.type, required=True) for c in collection.constants)
    columns = (key, *_mapped(collection.fields, collection.transforms), *constants, *rest)
    return Table(collection.table, columns, (key.name,), key.name)


def _children(child: Child, parent: str, key_type: str, outer: tuple[Column, ...]) -> Iterator[Table]:
    place = Column(child.position, "text" if child.map else "integer", required=True)
    keys = (Column(child.parent_key, key_type, required=True), *outer, place)
    columns = (*keys, *_mapped(child.fields, child.transforms))
    yield Table(child.table, columns, tuple(c.name for c in keys), child.parent_key, parent)
    for inner in child.children:
        yield from _children(inner, child.table, key_type, (*outer, place))


def _mapped(fields: tuple[FieldMap, ...], transforms: tuple[TransformMap, ...]) -> Iterator[Column]:
    yield from (Column(f.column, f.type, f.required, f.references) for f in fields)
    yield from (Column(c.column, c.type, c.required) for t in transforms for c in t.columns)
