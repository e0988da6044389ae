"""Column types: what a plan may write, and what it is told otherwise."""

from __future__ import annotations

import pytest

from midflight.core.cells import Codec, codec_of
from midflight.core.column_types import NAMES, ColumnType, parse_type
from midflight.errors import PlanError


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("text", ColumnType("text", "text")),
        ("varchar(20)", ColumnType("varchar", "varchar(20)", (20,))),
        ("numeric", ColumnType("numeric", "numeric")),
        ("numeric(12,2)", ColumnType("numeric", "numeric(12,2)", (12, 2))),
        ("numeric(12, 2)", ColumnType("numeric", "numeric(12, 2)", (12, 2))),
        ("double precision", ColumnType("double precision", "double precision")),
        ("objectid", ColumnType("objectid", "text")),
        ("any", ColumnType("any", "text")),
    ],
)
def test_a_type_knows_its_postgres_name_and_its_numbers(text: str, parsed: ColumnType) -> None:
    assert parse_type(text) == parsed


@pytest.mark.parametrize("name", NAMES)
def test_every_type_has_a_codec(name: str) -> None:
    assert isinstance(codec_of({"varchar": "varchar(9)"}.get(name, name)), Codec)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("int", "`integer`"),
        ("INTEGER", "`integer`"),
        ("datetime", "`timestamptz`"),
        ("numerc", "`numeric`"),
        ("bigint(8)", "no numbers"),
        ("varchar", "varchar(n)"),
        ("varchar(0)", "varchar(n)"),
        ("numeric(2,3)", "numeric(p,s)"),
        ("numeric(0,0)", "numeric(p,s)"),
        ("numeric(5)", "numeric(p,s)"),
        ("text; drop table x", "`text`"),
        ("", "Use one of"),
        ("ghoulish", "Use one of"),
    ],
)
def test_a_wrong_type_is_told_the_right_one(text: str, advice: str) -> None:
    with pytest.raises(PlanError, match="is not a column type") as refused:
        parse_type(text)
    assert advice in refused.value.next_step
