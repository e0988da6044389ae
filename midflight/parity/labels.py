"""Labels of an invariant's points: text that is the same for the same thing, whichever side says it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from midflight.core.values import UTC, Binary, Decimal128


def label_of(value: Any) -> str:
    """Numbers by value, ids in hexadecimal, times in UTC; everything else as Python writes it."""
    if isinstance(value, Decimal128):
        return label_of(value.to_decimal())
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, Binary) and value.subtype == 4 and len(value) == 16:
        return str(UUID(bytes=bytes(value)))
    return value.isoformat() if isinstance(value, date) else str(value)


def _number(value: float | Decimal) -> str:
    whole = value == value and abs(value) != float("inf") and value == int(value)
    return str(int(value)) if whole else str(value)
