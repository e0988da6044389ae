"""Normal values are equal exactly if the values are."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import combinations
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from midflight.core.values import decode
from midflight.parity.forms.canon import digest
from midflight.parity.forms.normal import MISSING, NULL, normal
from midflight.parity.forms.places import Place, escaped, spread
from midflight.parity.records import Normal
from tests.property.strategies import decimals
from tests.property.strategies import values as bson_values
from tests.unit.parity.corpus import GROUPS


def fields_of(value: Any) -> dict[str, Normal]:
    fields: dict[str, Normal] = {}
    spread(value, Place()["f"], fields)
    return fields


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: repr(group[0])[:40])
def test_all_forms_of_one_value_are_equal(group: list[Any]) -> None:
    forms = [fields_of(value) for value in group]
    assert all(form == forms[0] for form in forms)
    assert len({digest(form) for form in forms}) == 1


def test_no_value_equals_another() -> None:
    forms = [fields_of(group[0]) for group in GROUPS]
    alike = [(a, b) for a, b in combinations(forms, 2) if a == b or digest(a) == digest(b)]
    assert alike == []


def test_missing_is_equal_to_nothing_else() -> None:
    assert MISSING == MISSING
    assert [group[0] for group in GROUPS if normal_of(group[0]) == MISSING] == []
    assert repr(MISSING) == "MISSING"


def normal_of(value: Any) -> Normal:
    return None if type(value) in (dict, list) else normal(value)


def test_null_is_told_from_every_text() -> None:
    assert normal(None) == NULL
    assert NULL != "null"
    assert NULL != "<null>"


@given(value=decimals)
def test_a_decimal_is_read_exactly_whatever_precision_its_reader_works_with(value: Decimal128) -> None:
    with localcontext(prec=5):
        found = normal(value)
    expected = value.to_decimal()
    assert found == ("nan",) if expected.is_nan() else found == expected


def test_long_and_int_are_one_kind_of_number() -> None:
    assert type(normal(Int64(5))) is int


def test_a_value_that_no_document_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        normal(1j)
    with pytest.raises(TypeError, match="no normal value"):
        digest({"f": 1j})


@given(left=bson_values, right=bson_values)
def test_digests_are_equal_exactly_where_fields_are(left: Any, right: Any) -> None:
    one, other = (decode(bson.encode({"": value})) for value in (_plain(left), _plain(right)))
    assert (digest(fields_of(one)) == digest(fields_of(other))) == (fields_of(one) == fields_of(other))


def _plain(value: Any) -> Any:
    """Without what the driver would make a reference of."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if name != "$ref"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@given(names=st.lists(st.text(max_size=4), max_size=3), others=st.lists(st.text(max_size=4), max_size=3))
def test_no_two_places_have_one_path(names: list[str], others: list[str]) -> None:
    if names and others:
        assert (Place().at(names).path == Place().at(others).path) == (names == others)


@given(name=st.text(max_size=4), index=st.integers(0, 9))
def test_no_name_is_taken_for_a_position_or_a_computed_column(name: str, index: int) -> None:
    assert escaped(name) != str(index)
    assert escaped(name) != f"={name}"


def test_new_names_for_ever_do_not_fill_the_memory() -> None:
    root = Place()
    for number in range(30_000):
        assert root[f"n{number}"].path == f"n{number}"
    assert len(root) == 20_000


def test_zero_has_one_digest() -> None:
    assert digest({"f": Decimal("-0.00")}) == digest({"f": 0}) == digest({"f": -0.0})
