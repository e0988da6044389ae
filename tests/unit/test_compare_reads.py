"""Answers of the two stores are compared as a reader of both would: by what they say, not by how a driver says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import psycopg
import pymongo.errors
import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from midflight.gateway.compare import AT_MOST, Comparator, Difference, differences, plain, same

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class Member:
    name: str
    points: int


class Account(BaseModel):
    name: str
    points: int


class Old:
    def __init__(self, name: str, points: int) -> None:
        self.name, self.points = name, points


class Colour(Enum):
    RED = "red"


def between(source: Any, target: Any) -> list[tuple[str, str]]:
    return [(one.field, one.cause) for one in differences(plain(source), plain(target))]


EQUAL: list[tuple[Any, Any]] = [
    (1, 1.0),
    (Int64(3), Decimal("3.00")),
    (0.1, Decimal("0.1")),
    (Decimal128("19.90"), Decimal("19.9")),
    (math.nan, Decimal("nan")),
    (math.inf, Decimal("inf")),
    ([1, 2], (1, 2)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (NOON.replace(tzinfo=None), NOON),
    (NOON, NOON.astimezone(timezone(timedelta(hours=5)))),
    (Member("ada", 1), {"name": "ada", "points": Decimal(1)}),
    (Member("ada", 1), Account(name="ada", points=1)),
    (Old("ada", 1), Old("ada", 1)),
    (bytearray(b"x"), memoryview(b"x")),
    (Colour.RED, "red"),
    ({1, 2}, frozenset((2, 1))),
    (MappingProxyType({"a": []}), {"a": ()}),
    (ObjectId("65920100d3b07384d113edec"), ObjectId("65920100d3b07384d113edec")),
    (None, None),
]


@pytest.mark.parametrize(("source", "target"), EQUAL)
def test_what_says_the_same_is_equal(source: Any, target: Any) -> None:
    assert same(plain(source), plain(target))
    assert same(plain(target), plain(source))


DIFFERENT: list[tuple[Any, Any, list[tuple[str, str]]]] = [
    (1, 2, [("(value)", "different value")]),
    (1, True, [("(value)", "different type")]),
    ("1", 1, [("(value)", "different type")]),
    (2**53 + 1, float(2**53), [("(value)", "different value")]),
    ({"a": 1}, None, [("(value)", "missing at target")]),
    (None, {"a": 1}, [("(value)", "extra at target")]),
    ({"a": None}, {}, [("a", "missing at target")]),
    ({}, {"a": None}, [("a", "extra at target")]),
    ({"a": None}, {"a": 1}, [("a", "different value")]),
    ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, [("a.b.1.c", "different value")]),
    ([1, 2, 3], [3, 1, 2], [("(value)", "order")]),
    ({"lines": [{"s": 1}, {"s": 2}]}, {"lines": [{"s": 2}, {"s": 1}]}, [("lines", "order")]),
    ([1, 2], [1, 2, 3], [("2", "extra at target")]),
    ([1, 2, 3], [1, 9], [("1", "different value"), ("2", "missing at target")]),
    (NOON, NOON + timedelta(milliseconds=1), [("(value)", "different value")]),
    ([], {}, [("(value)", "different type")]),
    (list(range(200)), list(range(1, 201)), [(str(n), "different value") for n in range(AT_MOST)]),
]


@pytest.mark.parametrize(("source", "target", "found"), DIFFERENT)
def test_each_difference_is_named_by_field_and_cause(source: Any, target: Any, found: list[tuple[str, str]]) -> None:
    assert between(source, target) == found
    assert not same(plain(source), plain(target))


def test_a_long_answer_that_differs_everywhere_names_a_few_fields() -> None:
    assert len(between({str(n): n for n in range(50)}, {})) == AT_MOST


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(values)
def test_every_value_is_equal_to_itself(value: Any) -> None:
    assert same(plain(value), plain(value))


@given(values, values)
def test_equality_has_no_direction_and_agrees_with_the_differences(one: Any, other: Any) -> None:
    a, b = plain(one), plain(other)
    assert same(a, b) == same(b, a) == (differences(a, b) == ())


@given(values)
def test_what_the_caller_does_to_its_answer_does_not_reach_the_copy(value: Any) -> None:
    answer = {"inner": [value, {"deep": [1]}], "object": Member("ada", 1)}
    kept = plain(answer)
    before = repr(kept)
    answer["inner"][1]["deep"].append(2)  # type: ignore[index]
    answer["inner"].clear()  # type: ignore[attr-defined]
    answer["object"].points = 99  # type: ignore[attr-defined]
    assert repr(kept) == before


def test_an_answer_that_cannot_be_copied_says_so() -> None:
    with pytest.raises(TypeError):
        plain({"rows": (n for n in range(3))})


# --- the hooks' defaults ----------------------------------------------------------------------------------------------


def test_without_hooks_values_are_compared_structurally() -> None:
    comparator = Comparator[Any]()
    assert comparator.equal(comparator.clean((1,)), (1.0,))
    assert not comparator.equal((1,), (2,))
    assert not comparator.ignore((1,), (2,))


def test_errors_are_compared_by_the_name_of_their_class() -> None:
    assert Comparator[Any]().error_name(KeyError("x")) == "KeyError"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        psycopg.OperationalError(),
        psycopg.errors.AdminShutdown(),
        psycopg.InterfaceError(),
        pymongo.errors.ServerSelectionTimeoutError(),
        pymongo.errors.NotPrimaryError(),
    ],
)
def test_a_store_that_is_away_is_no_difference(error: Exception) -> None:
    assert Comparator[Any]().away(error)


@pytest.mark.parametrize(
    "error", [KeyError(), ValueError(), psycopg.errors.UndefinedColumn(), pymongo.errors.DuplicateKeyError("x")]
)
def test_an_error_of_the_application_or_of_a_statement_is_one(error: Exception) -> None:
    assert not Comparator[Any]().away(error)


def test_a_difference_is_a_field_and_a_cause() -> None:
    assert differences(1, 2) == (Difference("(value)", "different value"),)
