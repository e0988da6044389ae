"""What two tables say of themselves, and how both are hashed and cut into buckets. Pure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from midflight.core.keys import key_bytes, key_value
from midflight.errors import PlanError
from midflight.parity.ports import Side

ROWS_A_BUCKET = 256
MOST_KEYS_A_ROW = 16
"""Whole-number keys further apart than this on average may lie in lumps: their hashes are spread evenly instead."""

RowKey = int | str | tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as its server knows it.

    `kinds` names the kind of each compared column; columns of one kind are hashed alike. `rows` is an estimate. `span`
    is the smallest and the largest key, where the key is one whole number. Servers with the same `engine` hash alike
    natively.
    """

    key: tuple[str, ...]
    kinds: Mapping[str, str]
    rows: int
    span: tuple[int, int] | None
    engine: str


@dataclass(frozen=True, slots=True)
class Cut:
    """How both servers hash rows and put them into buckets.

    Where keys are `dense`, a bucket has those whose number begins alike, all but `bits` bits; else those whose hash
    ends with the same `bits` bits. `native` is PostgreSQL's own hash, the other one is portable between versions.
    """

    key: tuple[str, ...]
    kinds: Mapping[str, str]
    dense: bool
    bits: int
    native: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one side says of a bucket's rows: their number, the sum and the xor of their hashes."""

    number: int
    rows: int
    total: int
    mixed: int


@dataclass(frozen=True, slots=True)
class Hashes:
    """One side's rows of one bucket: the hash of each by its key."""

    number: int
    rows: Mapping[RowKey, int]


class HashingSide(Side, Protocol):
    """A table that can hash its own rows. Entries are named by `key_of` their key columns."""

    async def shape(self, entity: str) -> Shape:
        """What there is to compare."""

    def buckets(self, entity: str, cut: Cut) -> AsyncGenerator[Bucket, None]:
        """Every bucket that has rows, in order of number; all of one moment."""

    def hashes(self, entity: str, cut: Cut, numbers: Sequence[int]) -> AsyncGenerator[Hashes, None]:
        """Those of these buckets that have rows, in order of number; all of one moment."""


def key_of(row_key: RowKey) -> bytes:
    """The key of an entry: of a number or a text as it is, of several as an array."""
    return key_bytes(list(row_key) if isinstance(row_key, tuple) else row_key)


def row_key_of(key: bytes) -> RowKey:
    """The key columns of `key_of`."""
    value = key_value(key)
    if isinstance(value, list):
        return tuple(_plain(one) for one in value)
    return _plain(value)


def _plain(value: int | str) -> int | str:
    return value if isinstance(value, str) else int(value)


def agree(source: Shape, target: Shape) -> Cut:
    """How to hash and cut both tables. PlanError where they have not the same keys and columns."""
    if source.key != target.key:
        raise PlanError(
            f"The tables' keys differ: {', '.join(source.key)} and {', '.join(target.key)}.",
            next_step="Give `key` for both sides.",
        )
    alone = sorted(source.kinds.keys() ^ target.kinds.keys())
    if alone:
        raise PlanError(f"Only one table has {', '.join(alone)}.", next_step="Name the columns to compare.")
    kinds = {name: _common(name, kind, target.kinds[name], source.key) for name, kind in source.kinds.items()}
    dense, bits = _fineness(source, target)
    return Cut(source.key, kinds, dense, bits, source.engine == target.engine)


def _common(name: str, kind: str, other: str, key: Sequence[str]) -> str:
    if kind == other:
        return kind
    if {kind, other} == {"whole", "numeric"} and name not in key:
        return "numeric"
    raise PlanError(
        f"Column {name} is {kind} in one table and {other} in the other.",
        next_step="Compare a common form of it, or leave it out of `columns`.",
    )


def _fineness(source: Shape, target: Shape) -> tuple[bool, int]:
    rows = max(source.rows, target.rows, 1)
    spans = [span for span in (source.span, target.span) if span is not None]
    if spans:
        keys = max(last for _, last in spans) - min(first for first, _ in spans) + 1
        if keys <= MOST_KEYS_A_ROW * rows:
            return True, (ROWS_A_BUCKET * keys // rows).bit_length() - 1
    return False, max(0, (rows // ROWS_A_BUCKET).bit_length())
