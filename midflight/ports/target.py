"""The ports of the target: the door, the schema, the fence, rows; and all that one connection offers.

Documents cross as BSON bytes, keys as canonical bytes (`midflight.core.keys`), rows as tuples (`core.tables`).
All raise `midflight.errors` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from midflight.core.outcome import Applied, Batch, Row, Ticket
from midflight.core.plan import CollectionMap, Plan
from midflight.ports.ledger import Ledger, Registry, ReverseStore
from midflight.records import FenceView, FieldCount, Finding, Guard, Held, LastChange, RowsAndGuards, RowSpan


class Door(Protocol):
    """The one way into the target: draw, (read,) apply. Protocol section 2."""

    async def draw(self, domain: str) -> Ticket:
        """A new token and the epoch, in one round trip. Raises AuthorityMoved unless the source is the authority."""

    async def apply(self, plan: Plan, ticket: Ticket, batch: Batch) -> Applied:
        """Apply what is newer than its guard row, with the checkpoint, in one transaction.

        Raises AuthorityMoved (authority or epoch changed) or Superseded (the checkpoint moved); then nothing was
        written. Outcomes that violate a constraint of the target are quarantined, the others go on.
        """


class Schema(Protocol):
    """Target tables, indexes and constraints from the plan."""

    async def inspect(self, plan: Plan, expected_bytes: int) -> list[Finding]:
        """Reachable, privileges, disk (as far as visible), tables absent or ours and of the right shape."""

    async def install_ledger(self) -> None:
        """Create or upgrade the `midflight` schema. Repeating is safe."""

    async def create_tables(self, plan: Plan) -> None:
        """Create what is missing, check what is there (TargetNotOurs). Repeating is safe."""

    async def create_indexes(self, plan: Plan) -> None:
        """The plan's indexes, concurrently; invalid leftovers are rebuilt. Repeating is safe."""

    async def create_foreign_keys(self, plan: Plan) -> list[str]:
        """Add foreign keys NOT VALID; returns the names of those not validated yet. Repeating is safe."""

    async def orphans(self, plan: Plan, constraint: str, at_most: int) -> dict[str, list[Any]]:
        """Root key values (by collection) of documents whose rows violate the named foreign key."""

    async def validate_foreign_key(self, plan: Plan, constraint: str) -> None:
        """Validate one; repeating is safe."""

    async def structure(self, plan: Plan) -> list[Finding]:
        """One finding for each table, index and foreign key of the plan, good and bad; nothing is changed."""

    async def pending(self, plan: Plan) -> int:
        """How many indexes and foreign keys of the plan are missing or not valid."""


class TargetFence(Protocol):
    """Triggers on the target tables: they refuse whom the authority row does not allow, and mark dirty keys."""

    async def install(self, plan: Plan) -> None:
        """Fence and dirty marks on every table of the plan. Repeating is safe."""

    async def remove(self, plan: Plan) -> None:
        """Take ours off again. Repeating is safe."""

    async def status(self, plan: Plan) -> list[FenceView]:
        """By table: what is refused and from whom."""


class TargetRows(Protocol):
    """Reads rows back, one consistent snapshot a call."""

    async def rows_of(
        self, schema: str, collection: CollectionMap, row_keys: Sequence[Any]
    ) -> dict[Any, tuple[list[Row], ...]]:
        """By root key value.

        The rows of every table of the collection, in the order of `tables()`, children by position.
        """

    async def tables_of(self, schema: str, collection: CollectionMap, row_keys: Sequence[Any]) -> list[list[Row]]:
        """The same rows by table, in the order of `tables()`, each table's in order of its primary key."""

    async def tables_within(
        self, schema: str, collection: CollectionMap, span: RowSpan, at_most: int
    ) -> list[list[Row]]:
        """All rows of the first `at_most` documents in the span, as `tables_of` has them."""

    async def rows_with_guards(
        self, plan: Plan, collection: CollectionMap, row_keys: Mapping[bytes, Any | None]
    ) -> RowsAndGuards:
        """Rows and guards of these keys, of one moment; `row_keys` has None for a key that fits no row."""

    async def guards_of(self, plan: Plan, collection: CollectionMap, keys: Sequence[bytes]) -> dict[bytes, Guard]:
        """The same guards without the rows."""

    async def held_within(
        self, plan: Plan, collection: CollectionMap, keys: RowSpan, rows: RowSpan, at_most: int
    ) -> Held | None:
        """What guards say of a span, and which rows are in it, of both the first `at_most`.

        None where more would have to be asked: keys that were refused, or the application's own writes.
        """

    async def last_change(self, domain: str, collection: str, key: bytes) -> LastChange | None:
        """What the door did last with this key; None where it never had it."""

    async def points(self, schema: str, query: str) -> list[tuple[Any, Any]]:
        """The rows of a query that may only read, with the schema as its search path. PlanError: not two columns."""

    async def scan_keys(self, schema: str, collection: CollectionMap, span: RowSpan, at_most: int) -> list[Row]:
        """In order of the key column: as much of each root row as `Mapper.id_of` needs."""

    async def key_bounds(self, schema: str, collection: CollectionMap, parts: int) -> list[Row]:
        """As `scan_keys`: fewer than `parts` root rows that cut the table in parts of about equal size."""

    async def sample_keys(self, schema: str, collection: CollectionMap, size: int, seed: int) -> list[Row]:
        """As `scan_keys`: `size` root rows, each with the same chance, the same ones for the same seed."""

    async def count_roots(self, schema: str, collection: CollectionMap) -> int:
        """How many root rows there are."""

    async def census(self, schema: str, collection: CollectionMap) -> dict[str, FieldCount]:
        """By path: how often each field that a column or the rest column holds is there, null, of which BSON type.

        Fields that a transform gives back are left out: no query can count them.
        """

    async def keys_changed_since(
        self, domain: str, collection: str, token: int, at_most: int, after: bytes | None = None
    ) -> dict[bytes, int]:
        """Keys whose guard row has a larger token, with it, in order of token and key; many may share a token.

        With `after` also those of this very token whose key is larger: how to go on from the last of a page.
        """

    async def quarantined_keys(self, domain: str, collection: str, keys: Sequence[bytes]) -> set[bytes]: ...

    async def last_token(self, domain: str) -> int:
        """A token no smaller than that of any guard row committed before this call."""


@dataclass(frozen=True, slots=True)
class Target:
    """One open connection to the target, seen through its ports."""

    door: Door
    schema: Schema
    ledger: Ledger
    rows: TargetRows
    reverse: ReverseStore
    registry: Registry
    fence: TargetFence
