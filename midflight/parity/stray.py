"""Keys of the target's rows, also of rows that no document leads to.

Somebody may have written a row whose key column holds what the mapping never would: text that is no key, a number no
document can hold. It gets a stray key: a BSON symbol, which `midflight.core.keys` never makes, with the cell as text.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from midflight.core.column_types import parse_type
from midflight.core.keys import key_bytes
from midflight.core.mapping import Mapper
from midflight.core.outcome import Row

_SYMBOL = b"\x0e\0"


def key_of_row(mapper: Mapper, row: Row) -> bytes:
    """The key that a row of `TargetRows.scan_keys` says, such that `cell_of` leads back to the row."""
    cell = row[0]
    try:
        key = key_bytes(mapper.id_of(row))
        if mapper.row_key(key) == cell:
            return key
    except Exception:  # noqa: S110 (text that is none of ours fails anywhere on the way to a value)
        pass
    text = str(cell).encode()
    return _SYMBOL + (len(text) + 1).to_bytes(4, "little") + text + b"\0"


def cell_of(mapper: Mapper, key: bytes) -> Any | None:
    """The key column's value for a key, stray or not; None where there can be no such row."""
    if key[:2] != _SYMBOL:
        return mapper.row_key(key)
    text = key[6:-1].decode()
    if parse_type(mapper.collection.key.type).name != "numeric":
        return text
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
