"""A refusal by the fence is known as one, whoever wrapped it."""

from __future__ import annotations

import pytest

from midflight.postgres.refusals import refused_by_fence


class FromDriver(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("refused")
        self.sqlstate = sqlstate


class FromOlderDriver(Exception):
    pgcode = "MF001"


class FromSqlAlchemy(Exception):
    def __init__(self, orig: BaseException) -> None:
        super().__init__("wrapped")
        self.orig = orig


def test_a_drivers_own_refusal_is_known() -> None:
    assert refused_by_fence(FromDriver("MF001"))
    assert refused_by_fence(FromOlderDriver())


def test_a_refusal_inside_what_a_framework_raised_is_known() -> None:
    assert refused_by_fence(FromSqlAlchemy(FromDriver("MF001")))
    outer = ValueError("outer")
    outer.__cause__ = FromSqlAlchemy(FromDriver("MF001"))
    assert refused_by_fence(outer)


def test_a_refusal_that_was_being_handled_is_known() -> None:
    outer = KeyError("rollback failed")
    outer.__context__ = FromDriver("MF001")
    assert refused_by_fence(outer)


@pytest.mark.parametrize("error", [FromDriver("23505"), ValueError("MF001"), FromSqlAlchemy(FromDriver("40001"))])
def test_other_errors_are_other_errors(error: Exception) -> None:
    assert not refused_by_fence(error)


def test_errors_in_a_circle_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not refused_by_fence(first)
