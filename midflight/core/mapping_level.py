"""A level of nesting: the documents of a collection, or the elements of an array or map. One level fills one table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from midflight.core.cells import codec_of
from midflight.core.ejson import ORDER, escape, reordered
from midflight.core.mapping_node import Node
from midflight.core.mapping_parts import Draft, Given, Leaf, Misfit, Part, Stored
from midflight.core.mapping_transforms import BoundTransform
from midflight.core.outcome import Row
from midflight.core.plan import Child, CollectionMap
from midflight.core.residue import NOTHING_FOUND, Found, Residue, names_of
from midflight.core.values import MISSING
from midflight.errors import PlanError


class Level:
    """Documents or elements to rows, and back. `tables` numbers the tables as `midflight.core.tables` orders them."""

    def __init__(
        self, plan: CollectionMap | Child, tables: Iterator[int], first: dict[str, Part] | None = None
    ) -> None:
        self._node = Node("", plan.order)
        self._node.parts.update(first or {})
        self._whole: Part | None = None
        for slot, mapped in enumerate(plan.fields):
            self._place(mapped.field, Leaf(mapped.field, slot, mapped.column, codec_of(mapped.type), mapped.required))
        self.width = len(plan.fields)
        self._transforms = [self._bind(transform) for transform in plan.transforms]
        for child in plan.children:
            self._place(child.path, Elements(child, next(tables), Level(child, tables)))
        self._node.seal()

    def take(self, value: Any, draft: Draft) -> Residue | None:
        """Fill the draft from a document or element; what the columns do not say, None if they say it all."""
        fields = None
        if self._whole is not None:
            self._whole.take(value, draft)
        elif type(value) is dict:
            fields = self._node.take_fields(value, draft)
        elif value is None:
            self._node.take_fields({}, draft)
            draft.keep_exact(".", None)
        else:
            raise Misfit(".", value, self._node.columns(), "a sub-document is expected here")
        for transform in self._transforms:
            transform.take(value, draft)
        return draft.residue(fields)

    def give(self, stored: Stored) -> Any:
        """The document or element again."""
        for transform in self._transforms:
            if transform.goes_back:
                transform.give(stored)
        if self._whole is not None:
            value = self._whole.give(stored, None)
            return None if value is MISSING else value
        body = self._node.give_fields(stored, stored.found.fields)
        was_null = not body and stored.found.has_exact(".") and stored.found.exact(".") is None
        return None if was_null else body

    def _bind(self, plan: Any) -> BoundTransform:
        bound = BoundTransform(plan, self.width)
        self.width += len(plan.columns)
        if bound.goes_back:
            for path in bound.fields:
                self._place(path, Given(path, bound.columns))
        return bound

    def _place(self, path: str, part: Part) -> None:
        names = names_of(path)
        if not names:
            self._whole = part
            return
        node = self._node
        for depth, name in enumerate(names[:-1], 1):
            inner = node.parts.setdefault(name, Node(".".join(names[:depth])))
            if not isinstance(inner, Node):
                raise _two_homes(path)
            node = inner
        if names[-1] in node.parts:
            raise _two_homes(path)
        node.parts[names[-1]] = part


def _two_homes(path: str) -> PlanError:
    return PlanError(f"The field `{path}` has two homes in the plan.", next_step="Map each field once.")


class Elements:
    """An array or a map whose elements are the rows of a child table."""

    silent = False

    def __init__(self, plan: Child, table: int, level: Level) -> None:
        self._path = plan.path
        self._is_map = plan.map is not None
        self._kind: type[Any] = dict if self._is_map else list
        self._name = plan.table
        self._table = table
        self._level = level

    def take(self, value: Any, draft: Draft) -> Residue | None:
        """A row an element. Null and empty have no rows: they are kept as exact values."""
        if not (type(value) is self._kind or value is None):
            what = "a map of sub-documents" if self._is_map else "an array"
            raise Misfit(self._path, value, self._name, f"{what} is expected here")
        if not value:
            draft.keep_exact(self._path, value)
            return None
        kept = self._take_elements(value.items() if self._is_map else enumerate(value), draft)
        # The rows of a map come back in the order of their position.
        if self._is_map and sorted(value) != list(value):
            kept[ORDER] = list(value)
        if kept:
            draft.keep_elements(self._path, kept)
        return None

    def _take_elements(self, elements: Iterable[tuple[Any, Any]], draft: Draft) -> Residue:
        kept: Residue = {}
        rows, level = draft.rows[self._table], self._level
        for position, element in elements:
            inner = Draft(draft.rows, (*draft.keys, position), level.width)
            try:
                residue = level.take(element, inner)
            except Misfit as misfit:
                raise misfit.inside(f"{self._path}.{position}") from None
            rows.append((*inner.keys, *inner.cells))
            if residue is not None:
                kept[escape(str(position))] = residue
        return kept

    def give(self, stored: Stored, residue: Any) -> Any:  # noqa: ARG002  (its residue lies under $children)
        """The array or map again."""
        rows = stored.tables.of(self._table, stored.positions)
        if not rows:
            return self._give_empty(stored.found)
        kept = stored.found.elements(self._path)
        depth = len(stored.positions) + 1
        in_order = sorted(rows, key=lambda row: row[depth])
        if not self._is_map:
            return [self._give_element(row, depth, stored, kept) for row in in_order]
        by_name = {row[depth]: self._give_element(row, depth, stored, kept) for row in in_order}
        return {name: by_name[name] for name in reordered(list(by_name), kept.get(ORDER, ()))}

    def _give_element(self, row: Row, depth: int, stored: Stored, kept: Residue) -> Any:
        found = Found(kept.get(escape(str(row[depth])))) if kept else NOTHING_FOUND
        inner = Stored(stored.tables, tuple(row[1 : depth + 1]), row[depth + 1 :], found)
        return self._level.give(inner)

    def _give_empty(self, found: Found) -> Any:
        exact = found.exact(self._path) if found.has_exact(self._path) else MISSING
        return exact if exact is None or exact == self._kind() else MISSING

    def lacking(self) -> Leaf | None:
        """None: elements that are not there need no columns."""
        return None

    def columns(self) -> str:
        """Its table."""
        return self._name
