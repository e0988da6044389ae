"""Tells the fence's refusal from every other error, whatever driver or framework wrapped it."""

from __future__ import annotations

from collections.abc import Iterator

REFUSED = "MF001"
"""The SQLSTATE of the fence's refusal."""

_INSIDE = ("__cause__", "__context__", "orig")
"""Where an error keeps the error that it was raised from; `orig` is SQLAlchemy's."""


def refused_by_fence(error: BaseException) -> bool:
    """Whether the error is, or was raised from, a refusal by the fence of the target."""
    return any(REFUSED in (getattr(one, "sqlstate", None), getattr(one, "pgcode", None)) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (getattr(one, name, None) for name in _INSIDE)
        waiting += [each for each in inner if isinstance(each, BaseException)]
