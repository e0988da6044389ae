"""Normal values: what parity compares, by `==`. Two values of the two stores are equal exactly if their normals are.

Numbers are compared by value (5 == 5.0 == Decimal("5.00"), -0.0 == 0.0, NaN equals NaN), texts by code points, dates as
instants. What Python would take for equal and is not (True and 1) is a tuple that begins with the name of its type.
Nothing is rounded, cut, trimmed or put in another case.
"""

from __future__ import annotations

from typing import Any

from midflight.parity.records import Normal


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""There is no such field. Equal only to itself."""

NULL: Normal = ("null",)
NAN: Normal = ("nan",)
EMPTY_ARRAY: Normal = ("empty", "array")
EMPTY_OBJECT: Normal = ("empty", "object")


def normal(value: Any) -> Normal:
    """The normal value of a BSON value as the driver decodes it, or of a transform's result. TypeError for others."""
    raise NotImplementedError
