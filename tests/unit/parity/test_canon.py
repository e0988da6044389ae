"""The digest of an entry: nothing runs together, and it stays what it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from midflight.parity.forms.canon import CANON_VERSION, digest
from midflight.parity.forms.normal import NULL
from tests.unit.parity.corpus import WHEN


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": "x|", "b": "y"}, {"a": "x", "b": "|y"}),
        ({"a": "xb", "b": ""}, {"a": "x", "b": "b"}),
        ({"a": NULL}, {"a": "<null>"}),
        ({"a": NULL}, {}),
        ({"a": "1"}, {"a": 1}),
        ({"a": ("bool", True)}, {"a": 1}),
        ({"a": "s1:x"}, {"a": "x"}),
        ({"a": ("binary", 0, b"12")}, {"a": ("binary", 0, b"1"), "2": 1}),
        ({"ab": "c"}, {"a": "bc"}),
        ({"a": ("code", "x", None)}, {"a": ("code", "x", ("object",))}),
    ],
)
def test_neighbours_never_run_together(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert digest(left) != digest(right)


def test_the_order_of_fields_does_not_count() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_swapping_two_values_does_not_cancel_out() -> None:
    assert digest({"a": 1, "b": 2}) != digest({"a": 2, "b": 1})
    assert digest({"a": 1, "b": 1}) != digest({"a": 2, "b": 2})


def test_a_microsecond_counts() -> None:
    assert digest({"at": WHEN}) != digest({"at": WHEN.replace(microsecond=123_001)})


def test_a_large_number_is_digested_by_value() -> None:
    assert digest({"n": 10**100}) == digest({"n": Decimal("1E+100")})
    assert digest({"n": 10**100}) != digest({"n": 10**100 + 1})


def test_the_digest_of_this_version_stays_what_it_is() -> None:
    """Kept digests would all say `changed` if it did not: change CANON_VERSION with it."""
    known = {"_id": ("objectId", "65920100a1b2c3d4e5f60718"), "n": Decimal("12.50"), "at": WHEN, "t": "é", "x": NULL}
    assert (CANON_VERSION, digest(known).hex()) == (1, "7fd57894aa91564878c6c35999a31250")
