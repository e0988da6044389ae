"""Tells a refusal by the source, such as the fence's, from every other error, whatever wrapped it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymongo.errors import OperationFailure

VALIDATION = 121
UNAUTHORIZED = 13
_REFUSALS = frozenset({VALIDATION, UNAUTHORIZED})


def refused_by_fence(error: BaseException) -> bool:
    """Whether the error is, or was raised from, a refusal as the fence gives it: by validator, or for want of a role.

    The customer's own validators and roles refuse with the same codes: look at the route before you repeat anything.
    """
    return any(not _REFUSALS.isdisjoint(_codes(one)) for one in _chain(error))


def _codes(error: BaseException) -> set[Any]:
    if not isinstance(error, OperationFailure):
        return set()
    # A bulk write has a code of its own, and those of its writes inside.
    writes = (error.details or {}).get("writeErrors") or ()
    return {error.code, *(each.get("code") for each in writes)}


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "error", None))
        waiting += [each for each in inner if isinstance(each, BaseException)]
