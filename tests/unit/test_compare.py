"""Where documents differ: names, never values."""

from __future__ import annotations

from typing import Any

import pytest

from midflight.core.compare import differing_fields


@pytest.mark.parametrize(
    ("left", "right", "fields"),
    [
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 2}, ("a",)),
        ({"a": 1}, {"a": 1.0}, ("a",)),
        ({"a": None}, {}, ("a",)),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ("a.c",)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ("(order)",)),
        ({"a": [1, 2]}, {"a": [2, 1]}, ("a",)),
    ],
)
def test_the_differing_fields_are_named(left: dict[str, Any], right: dict[str, Any], fields: tuple[str, ...]) -> None:
    assert differing_fields(left, right) == fields


def test_only_the_first_few_are_named() -> None:
    assert len(differing_fields({str(n): n for n in range(50)}, {})) == 5
