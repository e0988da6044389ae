"""On real servers: of a plan with columns of every type every cell is changed, each change in a document of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from psycopg import sql

from midflight.core.keys import key_bytes
from midflight.core.plan import CollectionMap
from midflight.parity.domain import parity_of
from midflight.parity.policy import Policy
from midflight.parity.records import Cause, Kind, Mismatch
from midflight.postgres.connection import open_runs
from midflight.sync import sync_keys
from tests.fixtures.applier import as_applier
from tests.fixtures.rig import Rig
from tests.unit.parity.test_every_column import GAPS, PLAIN, RICH, WAY_BACK, Stock, thing

UNTOUCHED = [f"untouched {number:04}" for number in range(400)]
"""As many as are damaged: no field may differ in most keys."""
SAYS_THE_SAME = {("lines", "position", 9): 2, ("tags", "tag", 9): 1, WAY_BACK: 0}
"""What the unit test declares, with the position of the row of which it is true."""
LATE = {Cause.STALE, Cause.LOST_UPDATE, Cause.LOST_DELETE, Cause.MAPPING_BUG}


@dataclass(frozen=True)
class Change:
    """One cell of one row. `place` are the columns of the row's primary key after the first, and what they say."""

    table: str
    column: str
    type: str
    cell: Any
    root_key: str
    place: dict[str, Any]

    @property
    def says_the_same(self) -> bool:
        last = SAYS_THE_SAME.get((self.table, self.column, self.cell))
        return last is not None and list(self.place.values())[-1] == last

    def statement(self) -> sql.Composed:
        """With the row key as `key`, and the cell as `cell`."""
        cell = sql.SQL("%(cell)s::jsonb" if self.type == "jsonb" else "%(cell)s")
        where = [sql.SQL("{} = %(key)s").format(sql.Identifier(self.root_key))]
        where += [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(at)) for name, at in self.place.items()]
        names = sql.Identifier("shop", self.table), sql.Identifier(self.column)
        return sql.SQL("update {} set {} = {} where {}").format(*names, cell, sql.SQL(" and ").join(where))


def changes(plan: CollectionMap) -> Iterator[Change]:
    """Those that the unit test of every column makes to one document's rows, as far as the tables take them."""
    stock = Stock(plan)
    for number, row, slot in stock.cells():
        table, held = stock.tables[number], stock.rows[number][row]
        column = table.columns[slot]
        place = dict(zip(table.primary_key[1:], held[1:], strict=False))
        for cell in stock.others(number, row, slot) if held[0] == stock.row_keys[0] else ():
            if cell is not None or not column.required:
                yield Change(table.name, column.name, column.type, cell, table.root_key, place)


def checked(found: list[Mismatch], damaged: dict[str, Change]) -> None:
    """Exactly the damaged keys are found, but for what says the same; and keys that rows were moved to."""
    keys = {one.key: one for one in found}
    expected = {key_bytes(name) for name, change in damaged.items() if not change.says_the_same}
    moved = {key for key, one in keys.items() if one.kind is Kind.EXTRA}
    missed = [damaged[name] for name in damaged if key_bytes(name) in expected - keys.keys()]
    assert missed == []
    assert keys.keys() - expected == moved
    assert moved == {key_bytes("another"), key_bytes(5)}
    assert LATE.isdisjoint(one.cause for one in found)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("plan", [RICH, PLAIN], ids=["with functions", "by bytes first"])
async def test_one_run_finds_every_cell_that_was_changed_and_no_other_key(rig: Rig, plan: CollectionMap) -> None:
    shop = replace(rig, plan=rig.plan.model_copy(update={"collections": (plan,)}))
    damaged = {f"damaged {number:04}": change for number, change in enumerate(changes(plan))}
    assert len(damaged) > 140
    assert {*SAYS_THE_SAME} == {*GAPS, WAY_BACK}
    async with shop.bridge() as bridge, open_runs(shop.postgres_dsn) as store:
        with shop.source() as source:
            source["things"].insert_many([thing(name) for name in (*damaged, *UNTOUCHED)])
        await bridge.target.schema.install_ledger()
        await bridge.target.ledger.register(shop.plan)
        await bridge.target.schema.create_tables(shop.plan)
        await sync_keys(bridge, {"things": [key_bytes(name) for name in (*damaged, *UNTOUCHED)]}, "backfill")
        with as_applier(shop.postgres_dsn, shop.plan.domain) as connection:
            for name, change in damaged.items():
                done = connection.execute(change.statement(), {"key": f'"{name}"', "cell": change.cell})
                assert done.rowcount > 0, change
        for exact in (False, True):
            parity = parity_of(bridge, store, policy=Policy(exact=exact))
            await parity.run(f"exact {exact}", levels=("full",), frozen=True)
            checked(await store.mismatches(shop.plan.domain, f"exact {exact}", at_most=10_000), damaged)
