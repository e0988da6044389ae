"""A plan's constants as parity reads them: what every row should say, told from the plan apart from the mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from midflight.core.column_types import parse_type
from midflight.core.plan import Constant
from midflight.errors import PlanError
from midflight.parity.forms.places import Place, spread
from midflight.parity.records import Normal


def constant_fields(constants: Iterable[Constant]) -> dict[str, Normal]:
    """Path (`=column`, as of computed columns) to normal value. PlanError for a value that is none of its type."""
    fields: dict[str, Normal] = {}
    for constant in constants:
        spread(_value(constant), Place().column(constant.column), fields)
    return fields


def _value(constant: Constant) -> Any:
    name = parse_type(constant.type).name
    try:
        return _VALUES[name](constant.value) if name in _VALUES else constant.value
    except (ValueError, ArithmeticError, TypeError):
        raise PlanError(
            f"The constant for column `{constant.column}` is no {constant.type}.",
            next_step="Change the value or the type.",
        ) from None


_VALUES: dict[str, Callable[[Any], Any]] = {
    "numeric": lambda value: Decimal(str(value)),
    "double precision": float,
    "timestamptz": datetime.fromisoformat,
    "date": date.fromisoformat,
    "uuid": lambda value: ("binary", 4, UUID(str(value)).bytes),
    "bytea": bytes.fromhex,
    "objectid": lambda value: ("objectId", value),
}
"""Plans can write texts, numbers, true and false only: how other types are written as those."""
