"""Times that PostgreSQL has and Python does not, as the reader of rows gives them: as text."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from bson import encode

from midflight.core.plan import Child, CollectionMap, ColumnSpec, Constant, TransformMap
from midflight.parity.compare import kind_of
from midflight.parity.forms.columns import OUTSIDE, reader_of
from midflight.parity.forms.image_form import ImageForm
from midflight.parity.forms.normal import MISSING
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.records import Kind
from tests.property.strategies import collection, field

FAR = ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"]
WHEN = datetime(2024, 2, 29, 12, 0, 0, 5_000, tzinfo=UTC)
LINES = Child(array="lines", table="lines", parent_key="thing", fields=(field("at", "timestamptz"),))
TIMED = collection(fields=(field("at", "timestamptz"), field("day", "date")), children=(LINES,))
OTHER = collection(
    transforms=(
        TransformMap(
            fields=("at",),
            columns=(ColumnSpec(column="at", type="timestamptz"),),
            forward="epoch_millis",
            back=f"{__name__}:anything",
        ),
        TransformMap(fields=("x",), columns=(ColumnSpec(column="day", type="date"),), forward="iso_date"),
    ),
    constants=(Constant(column="since", type="timestamptz", value="2024-01-31T12:00:00+00:00"),),
)


def anything(_: Any) -> str:
    """A way back that takes whatever it gets."""
    return "infinity"


def fields(plan: CollectionMap, *cells: Any, rest: str | None = None) -> dict[str, Any]:
    found = TargetForm(plan).fields([[('"k"', *cells, rest)], *([] for _ in plan.children)])
    return {path: value for path, value in found.items() if path != "_id"}


@pytest.mark.parametrize("kind", ["timestamptz", "date"])
@pytest.mark.parametrize("far", FAR)
def test_such_a_time_is_equal_to_nothing_that_the_source_may_say(kind: str, far: str) -> None:
    read = reader_of(kind).read
    assert read is not None
    assert read(far) == OUTSIDE
    assert OUTSIDE not in (far, None, MISSING, WHEN, ("date", 1), ("null",))
    assert {kind_of(value, read(far)) for value in (far, WHEN, ("date", 1))} == {Kind.UNREADABLE}
    assert kind_of(MISSING, read(far)) is Kind.EXTRA


def test_ordinary_times_are_read_as_ever() -> None:
    assert fields(TIMED, WHEN, WHEN.date()) == {"at": WHEN, "day": datetime(2024, 2, 29, tzinfo=UTC)}


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("exact", ['"infinity"', "null", '{"$missing": true}'])
def test_what_is_kept_beside_such_a_time_does_not_hide_it(far: str, exact: str) -> None:
    rest = f'{{"$exact": {{"at": {exact}}}}}'
    assert fields(TIMED, far, far, rest=rest) == {"at": OUTSIDE, "day": OUTSIDE}
    assert fields(OTHER, far, far, far, rest=rest) == {"at": OUTSIDE, "=day": OUTSIDE, "=since": OUTSIDE}


@pytest.mark.parametrize("far", FAR)
def test_a_document_with_such_a_time_has_no_image_and_the_others_have_theirs(far: str) -> None:
    day = date(2024, 2, 29)
    roots = [('"a"', WHEN, day, None), ('"b"', far, day, None), ('"c"', WHEN, far, None), ('"d"', WHEN, day, None)]
    lines = [('"a"', 0, WHEN), ('"d"', 0, WHEN), ('"d"', 1, far)]
    images = ImageForm(TIMED).images([roots, lines])
    whole = {"_id": "a", "at": WHEN, "day": datetime(2024, 2, 29, tzinfo=UTC), "lines": [{"at": WHEN}]}
    assert images == {'"a"': encode(whole)}
