"""The seeded documents: always the same, messy, flawed as promised; and the check recognises each flaw by itself."""

from __future__ import annotations

from random import Random

import bson
import pytest

from demo.check.columns import Flaw
from demo.check.expected import rows_of
from demo.domains import SHAPES
from demo.domains.shape import Shape, is_flawed, left_to_people, with_fields

NUMBERS = range(0, 5_000)


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


def test_a_document_is_always_the_same(shape: Shape) -> None:
    assert [shape.document(n) for n in range(50)] == [shape.document(n) for n in range(50)]


def test_no_two_documents_share_a_key_also_those_inserted_later(shape: Shape) -> None:
    numbers = range(shape.size + 2_000)
    assert len({bson.encode({"_id": shape.key(n)}) for n in numbers}) == len(numbers)


def test_exactly_the_flawed_documents_do_not_fit(shape: Shape) -> None:
    for number in NUMBERS:
        document = shape.document(number)
        if is_flawed(number):
            with pytest.raises(Flaw):
                rows_of(shape.name, document)
        else:
            rows_of(shape.name, document)


def test_every_way_to_spoil_a_document_is_recognised(shape: Shape) -> None:
    for spoiler in shape.spoilers:
        spoiled = with_fields(shape.sound(1), spoiler(Random(1)))
        with pytest.raises(Flaw):
            rows_of(shape.name, spoiled)


def test_people_get_sound_documents_to_put_in_place_of_flawed_ones(shape: Shape) -> None:
    mendable = [n for n in NUMBERS if left_to_people(n) and not isinstance(shape.key(n), str)]
    for number in mendable:
        rows_of(shape.name, shape.sound(number))


def test_merchants_have_keys_of_at_least_six_types() -> None:
    raw = [bson.encode({"_id": SHAPES["merchants"].key(n)}) for n in range(100)]
    assert len({document[4] for document in raw}) >= 6


def test_one_document_holds_a_nul() -> None:
    holders = [s.name for s in SHAPES.values() for n in range(s.size) if "\x00" in str(s.document(n).get("email"))]
    assert holders == ["members"]
