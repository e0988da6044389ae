"""Checks the foreign keys of a plan, and finds the order in which they let tables be written."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator

from midflight.core.plan import Plan, Reference
from midflight.core.plan_problems import Problem, nearest, plan_error
from midflight.core.plan_scopes import PlacedColumn, Scope, known_type, scopes

FAMILIES = {"integer": "integers", "bigint": "integers", "smallint": "integers", "varchar": "text"}


def order_of_tables(plan: Plan) -> tuple[str, ...]:
    """The root tables, each after the tables that it or its child tables reference; PlanError names a cycle."""
    try:
        return tuple(graphlib.TopologicalSorter(_needs(scopes(plan))).static_order())
    except graphlib.CycleError as error:
        raise plan_error([_cycle(error)]) from error


def reference_problems(all_scopes: list[Scope]) -> Iterator[Problem]:
    """References to what is not there, cannot be referenced, has another type, or goes round in a circle."""
    by_table = {scope.table: scope for scope in all_scopes}
    for scope in all_scopes:
        for place, column, reference in _references(scope):
            yield from _reference(place, column, reference, by_table)
    try:
        graphlib.TopologicalSorter(_needs(all_scopes)).prepare()
    except graphlib.CycleError as error:
        yield _cycle(error)


def _references(scope: Scope) -> Iterator[tuple[str, PlacedColumn, Reference]]:
    for number, mapped in enumerate(scope.part.fields):
        if mapped.references:
            place = f"{scope.place}.fields[{number}]"
            yield f"{place}.references", PlacedColumn(place, mapped.column, mapped.type), mapped.references


def _reference(place: str, column: PlacedColumn, reference: Reference, by_table: dict[str, Scope]) -> Iterator[Problem]:
    scope = by_table.get(reference.table)
    if scope is None:
        what = f"no collection of this plan fills a table `{reference.table}`."
        yield Problem(f"{place}.table", what, nearest(reference.table, by_table))
        return
    columns = {other.name: other for other in scope.columns()}
    other = columns.get(reference.column)
    if other is None:
        what = f"table `{reference.table}` has no column `{reference.column}`."
        yield Problem(f"{place}.column", what, nearest(reference.column, columns))
        return
    if not _is_unique(scope, reference.column):
        what = f"column `{reference.column}` of `{reference.table}` has no unique key."
        yield Problem(f"{place}.column", what, "Reference the table's key, or add a unique index on that column alone.")
    if not _same_type(column.type, other.type):
        what = f"`{column.name}` is {column.type}, but `{reference.table}.{other.name}` is {other.type}."
        yield Problem(place, what, "Give both columns the same type.")


def _is_unique(scope: Scope, column: str) -> bool:
    if [key.name for key in scope.keys] == [column]:
        return True
    root = scope.collection.table
    return any(
        index.unique and index.columns == (column,) and (index.table or root) == scope.table
        for index in scope.collection.indexes
    )


def _same_type(one: str, other: str) -> bool:
    left, right = known_type(one), known_type(other)
    if left is None or right is None:
        return True
    return FAMILIES.get(left.name, left.name) == FAMILIES.get(right.name, right.name)


def _needs(all_scopes: list[Scope]) -> dict[str, list[str]]:
    """The root tables, each with the other root tables that must hold their rows first."""
    root_of = {scope.table: scope.collection.table for scope in all_scopes}
    needs: dict[str, list[str]] = {root: [] for root in root_of.values()}
    for scope in all_scopes:
        root = scope.collection.table
        named = [root_of[reference.table] for _, _, reference in _references(scope) if reference.table in root_of]
        needs[root] += [table for table in named if table != root]
    return needs


def _cycle(error: graphlib.CycleError) -> Problem:
    """The cycle, read as `a references b references a`."""
    names = " → ".join(reversed(error.args[1]))
    what = f"the references go round in a circle ({names}): no table can be written first."
    return Problem("collections", what, "Leave out one of these references.")
