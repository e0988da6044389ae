"""A plan laid out flat: one scope a target table, with the place in the plan that every column and field comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from midflight.core.column_types import ColumnType, parse_type
from midflight.core.plan import Child, CollectionMap, Plan
from midflight.errors import PlanError


@dataclass(frozen=True, slots=True)
class PlacedColumn:
    """A column of a table, and the place in the plan that makes it. `type` is the plan's type text."""

    place: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Scope:
    """A collection's documents, or the elements of one array or map: what fills one table."""

    place: str
    part: CollectionMap | Child
    collection: CollectionMap
    keys: tuple[PlacedColumn, ...]
    """The primary key's columns."""

    @property
    def table(self) -> str:
        """The table that the scope fills."""
        return self.part.table

    @property
    def is_root(self) -> bool:
        """Whether this is the collection itself."""
        return isinstance(self.part, CollectionMap)

    def columns(self) -> Iterator[PlacedColumn]:
        """All columns of the table, key columns first."""
        yield from self.keys
        for number, mapped in enumerate(self.part.fields):
            yield PlacedColumn(f"{self.place}.fields[{number}]", mapped.column, mapped.type)
        for number, transform in enumerate(self.part.transforms):
            for inner, spec in enumerate(transform.columns):
                place = f"{self.place}.transforms[{number}].columns[{inner}]"
                yield PlacedColumn(place, spec.column, spec.type)
        if isinstance(self.part, CollectionMap):
            yield from _only_at_root(self.place, self.part)


def scopes(plan: Plan) -> list[Scope]:
    """The scopes of all collections; a collection comes before its children, depth first."""
    return [
        scope
        for number, collection in enumerate(plan.collections)
        for scope in _scopes(f"collections[{number}]", collection)
    ]


def known_type(text: str) -> ColumnType | None:
    """The parsed type; None for a text that is no type (which is reported where it stands)."""
    try:
        return parse_type(text)
    except PlanError:
        return None


def _scopes(place: str, collection: CollectionMap) -> Iterator[Scope]:
    key = PlacedColumn(f"{place}.key", collection.key.column, collection.key.type)
    yield Scope(place, collection, collection, (key,))
    for number, child in enumerate(collection.children):
        yield from _child_scopes(f"{place}.children[{number}]", child, collection, ())


def _child_scopes(
    place: str, child: Child, collection: CollectionMap, outer: tuple[PlacedColumn, ...]
) -> Iterator[Scope]:
    parent = PlacedColumn(f"{place}.parent_key", child.parent_key, collection.key.type)
    position = PlacedColumn(f"{place}.position", child.position, "text" if child.map else "integer")
    yield Scope(place, child, collection, (parent, *outer, position))
    for number, inner in enumerate(child.children):
        yield from _child_scopes(f"{place}.children[{number}]", inner, collection, (*outer, position))


def _only_at_root(place: str, collection: CollectionMap) -> Iterator[PlacedColumn]:
    for number, constant in enumerate(collection.constants):
        yield PlacedColumn(f"{place}.constants[{number}]", constant.column, constant.type)
    if collection.rest:
        yield PlacedColumn(f"{place}.rest", collection.rest, "jsonb")
