"""The transforms that come with Midflight."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128, Int64

from midflight.core.transforms import MISSING, REGISTRY, Unfit, find_transform
from midflight.core.values import identical
from midflight.errors import PlanError

PAIRS = [
    ("split_words", "join_words", ("Ada King Lovelace",), ("Ada", "King Lovelace")),
    ("split_name", "join_name", ("Ada King Lovelace",), ("Ada King", "Lovelace")),
    ("split_name", "join_name", ("Ada",), ("Ada", None)),
    ("join_words", "split_words", ("Ada", "Lovelace"), ("Ada Lovelace",)),
    ("join_comma", "split_comma", (["a", "b"],), ("a,b",)),
    ("epoch_seconds", "to_epoch_seconds", (86_400,), (datetime(1970, 1, 2, tzinfo=UTC),)),
    ("epoch_millis", "to_epoch_millis", (Int64(-1),), (datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),)),
    ("iso_date", "to_iso_date", ("2024-02-29",), (date(2024, 2, 29),)),
    ("iso_instant", "to_iso_instant", ("2024-02-29T08:30:00Z",), (datetime(2024, 2, 29, 8, 30, tzinfo=UTC),)),
    ("iso_instant", "to_iso_instant", ("2024-02-29T08:30:00.250Z",), (datetime(2024, 2, 29, 8, 30, 0, 250_000, UTC),)),
]


@pytest.mark.parametrize(("forward", "back", "values", "cells"), PAIRS, ids=repr)
def test_forward_and_back_are_each_others_way(
    forward: str, back: str, values: tuple[Any, ...], cells: tuple[Any, ...]
) -> None:
    made = find_transform(forward)(*values)
    assert (made if len(cells) > 1 else (made,)) == cells
    again = find_transform(back)(*cells)
    assert all(map(identical, again if len(values) > 1 else (again,), values))


def test_cents_become_an_amount_and_cents_again() -> None:
    amount = find_transform("cents")(1234)
    assert amount.bid == Decimal128("12.34").bid
    assert find_transform("to_cents")(Decimal("12.34")) == find_transform("to_cents")(amount) == 1234


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("nothing", [None, MISSING])
def test_every_transform_takes_nothing_and_gives_nothing(name: str, nothing: Any) -> None:
    function = REGISTRY[name]
    made = function(*[nothing] * function.__code__.co_argcount)
    assert made is None or made is MISSING or made == (None, None)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("lower", 5, "takes a string"),
        ("join_comma", "a", "takes an array"),
        ("join_comma", ["a", 1], "takes a string"),
        ("epoch_seconds", "5", "takes a whole number"),
        ("epoch_seconds", 1.5, "takes a whole number"),
        ("epoch_seconds", True, "takes a whole number"),
        ("epoch_seconds", float("inf"), "takes a whole number"),
        ("epoch_millis", Int64(2**62), "years 1 to 9999"),
        ("epoch_millis", Int64(2**52), "years 1 to 9999"),
        ("iso_date", "2024-02-30", "calendar"),
        ("iso_date", "31.1.2024", "YYYY-MM-DD"),
        ("iso_instant", "2024-02-29T08:30:00", "time zone"),
        ("iso_instant", "2024-02-29T08:30:00.123456Z", "YYYY"),
        ("iso_instant", "2024-02-29T25:30:00Z", "calendar"),
        ("to_cents", Decimal("0.001"), "two decimal places"),
        ("cents", 0.5, "whole number"),
    ],
    ids=repr,
)
def test_what_a_transform_does_not_take_is_unfit(name: str, value: Any, reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        find_transform(name)(value)


def test_a_function_of_ones_own_is_found_by_module_and_name() -> None:
    assert find_transform("midflight.core.transforms:lower") is REGISTRY["lower"]


@pytest.mark.parametrize("name", ["lowr", "midflight.core.transforms:nothing", "no.such.module:f", ":f", "os:sep"])
def test_a_transform_that_does_not_exist_is_a_plan_error_with_advice(name: str) -> None:
    with pytest.raises(PlanError) as refused:
        find_transform(name)
    assert refused.value.next_step
