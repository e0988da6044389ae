"""The layers of a collection's documents, as a census counts them: the document, then the elements of its children.

One layer fills one table. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from midflight.core.column_types import parse_type
from midflight.core.plan import Child, CollectionMap
from midflight.core.tables import Table, tables

ELEMENT = "."
NATURAL = {
    "text": "string",
    "varchar": "string",
    "boolean": "bool",
    "smallint": "int",
    "integer": "int",
    "bigint": "long",
    "numeric": "decimal",
    "double precision": "double",
    "timestamptz": "date",
    "date": "date",
    "uuid": "binData",
    "bytea": "binData",
    "objectid": "objectId",
}
"""The BSON type that a column gives back where no exact value is noted; `jsonb` and `any` say it themselves."""


@dataclass(frozen=True, slots=True)
class CountedField:
    """A field that has a column: where it is in its layer's documents, and the column's name and type."""

    path: str
    column: str
    type: str

    @property
    def natural(self) -> str | None:
        """The BSON type that the column gives back; None where the value itself says its type."""
        return NATURAL.get(parse_type(self.type).name)


@dataclass(frozen=True, slots=True)
class Layer:
    """The documents of a collection, or the elements of one of its arrays or maps (`children`: the way there)."""

    table: Table
    children: tuple[Child, ...]
    fields: tuple[CountedField, ...]
    homes: frozenset[str]
    """Top-level names that have a home: what is not among them is kept in the rest column."""

    def whole(self, path: str) -> str:
        """The path from the document on, elements as `*`."""
        steps = [f"{child.path}.*" for child in self.children]
        return ".".join(steps if path == ELEMENT else [*steps, path])


def layers(collection: CollectionMap) -> list[Layer]:
    """In the order of `midflight.core.tables.tables`."""
    key = CountedField("_id", collection.key.column, collection.key.type)
    parts: list[tuple[tuple[Child, ...], CollectionMap | Child]] = [((), collection), *_below(collection, ())]
    return [_layer(t, way, part, key) for t, (way, part) in zip(tables(collection), parts, strict=True)]


def _below(part: CollectionMap | Child, way: tuple[Child, ...]) -> Iterator[tuple[tuple[Child, ...], Child]]:
    for child in part.children:
        yield (*way, child), child
        yield from _below(child, (*way, child))


def _layer(table: Table, way: tuple[Child, ...], part: CollectionMap | Child, key: CountedField) -> Layer:
    fields = [CountedField(one.field, one.column, one.type) for one in part.fields]
    if not way:
        fields.insert(0, key)
    given = [path for transform in part.transforms if transform.back for path in transform.fields]
    named = (*(one.path for one in fields), *given, *(child.path for child in part.children))
    return Layer(table, way, tuple(fields), frozenset(path.partition(".")[0] or path for path in named))
