"""Where two documents differ, by field; names only, never values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

AT_MOST = 5


def differing_fields(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of the first few fields that differ in presence, type or value.

    `(order)` if only their order differs.
    """
    found = tuple(islice(_walk(left, right, ""), AT_MOST))
    return found or (("(order)",) if list(left) != list(right) else ())


def _walk(left: Mapping[str, Any], right: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name in dict.fromkeys((*left, *right)):
        path = f"{prefix}{name}"
        if name not in left or name not in right:
            yield path
        elif isinstance(left[name], Mapping) and isinstance(right[name], Mapping):
            yield from _walk(left[name], right[name], f"{path}.")
        elif type(left[name]) is not type(right[name]) or left[name] != right[name]:
            yield path
