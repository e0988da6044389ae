"""Two tables of PostgreSQL: every difference is found and named by column, and what is equal by value is no difference.

Hashed natively, and as servers of different versions have to; keys that lie close together, and keys that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from midflight.errors import PlanError
from midflight.parity.forms.normal import NULL
from midflight.parity.harness import Parity
from midflight.parity.policy import Policy
from midflight.parity.records import Cause, Entry, Kind, State, Verdict
from midflight.parity.tables import run as tables
from midflight.parity.tables.run import TablesCompared, compare_tables
from midflight.parity.tables.shapes import ROWS_A_BUCKET, Shape, agree, row_key_of
from midflight.postgres.table_side import TableSide
from midflight.records import KeyRange
from tests.unit.parity.memory import MemoryRuns

ROWS = 1_000
"""Enough for several buckets."""
SEEDED = 234
PLACES = range(11, ROWS, 23)
"""Rows for cases, in several buckets."""

Differ = Callable[..., Coroutine[Any, Any, TablesCompared]]


class OtherVersion(TableSide):
    """As if its server had another version: hashes must be the portable ones."""

    async def shape(self, entity: str) -> Shape:
        return replace(await super().shape(entity), engine="another")


@pytest.fixture(params=[TableSide, OtherVersion], ids=["native", "portable"])
async def differ(request: pytest.FixtureRequest, postgres_database: str) -> Differ:
    async def compare(**options: Any) -> TablesCompared:
        async with (
            TableSide(postgres_database, "before", entity="rows", **options) as source,
            request.param(postgres_database, "after", entity="rows", **options) as target,
        ):
            return await compare_tables(source, target, "rows")

    return compare


@pytest.fixture
def database(postgres_database: str) -> Any:
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        yield connection


def make(database: Any, columns: str, rows: str, *, after: str = "") -> None:
    """Two tables with the same rows, `g` from 1 to ROWS; `after` are the second one's columns if they are others."""
    for table, definition in (("before", columns), ("after", after or columns)):
        database.execute(sql.SQL("create table {} ({})").format(sql.Identifier(table), sql.SQL(definition)))
        query = sql.SQL("insert into {} select {} from generate_series(1, {}) g")
        database.execute(query.format(sql.Identifier(table), sql.SQL(rows), sql.Literal(ROWS)))


def put(database: Any, column: str, before: str, after: str, number: int = SEEDED) -> None:
    """One row gets one value in the one table, and another in the other."""
    for table, value in (("before", before), ("after", after)):
        query = sql.SQL("update {} set {} = {} where id = {}")
        names = sql.Identifier(table), sql.Identifier(column)
        database.execute(query.format(*names, sql.SQL(value), sql.Literal(number)))


def plant(database: Any, cases: dict[str, tuple[str, str, str]]) -> dict[int, list[str]]:
    """Each case in a row of its own; the columns by the rows' numbers."""
    for number, (column, before, after) in zip(PLACES, cases.values(), strict=False):
        put(database, column, before, after, number)
    return {number: [column] for number, (column, *_) in zip(PLACES, cases.values(), strict=False)}


def found(compared: TablesCompared) -> dict[Any, list[str]]:
    """The paths that differ, by key."""
    return {row_key_of(one.key): [field.path for field in one.fields] for one in compared.mismatches}


def keys(compared: TablesCompared) -> list[Any]:
    return sorted(found(compared))


def paths(compared: TablesCompared) -> list[str]:
    return [path for differing in found(compared).values() for path in differing]


def is_equal(compared: TablesCompared) -> bool:
    (counts,) = compared.run.entities
    assert counts.source == counts.target == counts.equal == ROWS
    return compared.run.verdict is Verdict.PASS and not compared.mismatches


WIDE = (
    "id int8 primary key, a text, b text, n numeric, d float8, at timestamptz, big int8, small int4, flag bool,"
    " note varchar(40), j jsonb, u uuid, raw bytea, day date, span interval, tags text[],"
    " local timestamp, fixed char(5)"
)
ROW = (
    "g, 'a' || g, 'b' || g, g * 1.10, g / 3.0, '2024-01-01'::timestamptz + g * interval '1 ms', g, g, g % 2 = 0,"
    " 'note', jsonb_build_object('k', g, 'list', jsonb_build_array(g, 'x')), md5(g::text)::uuid, '\\x00ff',"
    " '2024-01-01', '1 day', array['a', 'b'], '2024-01-01 12:00', 'abc'"
)

DIFFERENT = {
    "null beside its spelling": ("a", "null", "'<null>'"),
    "null beside the empty text": ("a", "null", "''"),
    "a trailing space": ("a", "'x'", "'x '"),
    "case": ("a", "'x'", "'X'"),
    "composed beside decomposed": ("a", "U&'caf\\00e9'", "U&'cafe\\0301'"),
    "one microsecond": ("at", "'2024-05-01 00:00:00.000001+00'", "'2024-05-01 00:00:00.000002+00'"),
    "infinity beside a date": ("at", "'infinity'", "'2024-05-01 00:00:00+00'"),
    "infinity beside minus infinity": ("at", "'infinity'", "'-infinity'"),
    "a date before Christ": ("at", "'0044-03-15 BC'", "'0044-03-15'"),
    "a local time": ("local", "'2024-05-01 00:00'", "'2024-05-01 01:00'"),
    "NaN beside a number": ("d", "'nan'", "0"),
    "NaN beside null": ("n", "'nan'", "null"),
    "NaN beside infinity": ("n", "'nan'", "'infinity'"),
    "a tiny double": ("d", "1e-17", "2e-17"),
    "the last bit of a double": ("d", "0.1::float8 + 0.2::float8", "0.3::float8"),
    "the sign of a numeric": ("n", "5.25", "-5.25"),
    "the last of many digits": ("n", "1.0000000000000000001", "1"),
    "bigints that fold to the same half": ("big", "0", "4294967297"),
    "zero beside null": ("small", "0", "null"),
    "false beside null": ("flag", "false", "null"),
    "bytes": ("raw", "'\\x0001'", "'\\x000100'"),
    "uuids": ("u", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    "days": ("day", "'2024-02-29'", "'2024-03-01'"),
    "intervals that PostgreSQL calls equal": ("span", "'1 day'", "'24 hours'"),
    "arrays": ("tags", "array['a,b']", "array['a', 'b']"),
    "json null beside null": ("j", "'null'", "null"),
}


async def test_every_difference_is_found_and_named_by_its_column(differ: Differ, database: Any) -> None:
    """Red with the record's own hash: it forgets signs and folds bigints, and takes 24 hours for a day."""
    make(database, WIDE, ROW)
    expected = plant(database, DIFFERENT)
    compared = await differ()
    assert found(compared) == expected
    assert compared.run.verdict is Verdict.FAIL
    assert {one.state for one in compared.mismatches} == {State.SETTLED}


INSIDE_JSON = {
    "a sign": ("j.a", '{"a": 1}', '{"a": -1}'),
    "an element": ("j.a.1.b", '{"a": [1, {"b": 2}]}', '{"a": [1, {"b": 3}]}'),
    "missing beside null": ("j.a", '{"b": 1}', '{"b": 1, "a": null}'),
    "a number beside its text": ("j.a", '{"a": 1}', '{"a": "1"}'),
    "true beside 1": ("j.a", '{"a": true}', '{"a": 1}'),
    "the last of many digits": ("j.a", '{"a": 1.0000000000000000001}', '{"a": 1}'),
}


async def test_a_difference_inside_json_is_named_by_its_place(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    plant(database, {name: ("j", f"'{before}'", f"'{after}'") for name, (_, before, after) in INSIDE_JSON.items()})
    expected = {number: [path] for number, (path, *_) in zip(PLACES, INSIDE_JSON.values(), strict=False)}
    assert found(await differ()) == expected


EQUAL = {
    "minus zero": ("d", "'-0'", "0"),
    "trailing zeros": ("n", "1.0", "1.00"),
    "NaN": ("d", "'nan'", "'nan'"),
    "trailing zeros in json": ("j", "'{\"a\": 1.0}'", "'{\"a\": 1}'"),
    "the order of names in json": ("j", '\'{"a": 1, "b": 2}\'', '\'{"b": 2, "a": 1}\''),
    "padding": ("fixed", "'ab'", "'ab   '"),
}


async def test_what_is_equal_by_value_is_no_difference(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    plant(database, EQUAL)
    assert is_equal(await differ())


async def test_text_that_moves_from_one_column_to_the_next_is_found_in_both(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    put(database, "a", "'x|'", "'x'")
    put(database, "b", "'y'", "'|y'")
    assert paths(await differ()) == ["a", "b"]


async def test_two_rows_that_swap_a_value_are_both_found(differ: Differ, database: Any) -> None:
    """Where a row's hash adds up its columns, as a record's own does, the sum over their bucket stays."""
    make(database, WIDE, ROW)
    database.execute("update after set a = case id when 10 then 'a11' else 'a10' end where id in (10, 11)")
    compared = await differ()
    assert keys(compared) == [10, 11]
    assert paths(compared) == ["a", "a"]


async def test_one_row_deleted_and_one_inserted_are_found_though_the_counts_agree(
    differ: Differ, database: Any
) -> None:
    make(database, WIDE, ROW)
    database.execute("delete from after where id = 100")
    database.execute("insert into after (id) values (101000)")
    compared = await differ()
    kinds = {row_key_of(one.key): one.kind for one in compared.mismatches}
    assert kinds == {100: Kind.MISSING, 101_000: Kind.EXTRA}
    (counts,) = compared.run.entities
    assert (counts.source, counts.target, counts.equal) == (ROWS, ROWS, ROWS - 1)


async def test_scattered_differences_are_found_by_reading_only_their_buckets_again(
    differ: Differ, database: Any
) -> None:
    make(database, WIDE, ROW)
    database.execute("update after set n = n + 1 where id in (7, 400, 401)")
    compared = await differ()
    assert keys(compared) == [7, 400, 401]
    details = compared.run.levels[0].details
    assert details["unlike_buckets"] == 2
    assert details["drilled"] <= 2 * ROWS_A_BUCKET


@pytest.mark.parametrize("spread", [1, 10, 1_000_003, -(2**40)])
async def test_whole_number_keys_may_lie_close_together_or_far_apart(
    differ: Differ, database: Any, spread: int
) -> None:
    make(database, "id int8 primary key, a text", f"g * ({spread})::int8, 'a' || g")
    assert is_equal(await differ())
    database.execute("update after set a = 'b' where id = %s", (77 * spread,))
    database.execute("delete from after where id = %s", (78 * spread,))
    assert keys(await differ()) == sorted([77 * spread, 78 * spread])


async def test_the_outermost_whole_numbers_are_keys_like_others(differ: Differ, database: Any) -> None:
    make(database, "id int8 primary key, a text", "g, 'a'")
    ends = [-(2**63), 2**63 - 1]
    for key in ends:
        database.execute("insert into before values (%s, 'x')", (key,))
    assert keys(await differ()) == ends


async def test_a_key_may_have_several_columns(differ: Differ, database: Any) -> None:
    make(database, "shop text, number int4, a text, primary key (shop, number)", "'shop ' || g % 7, g, 'a'")
    assert is_equal(await differ())
    database.execute("update after set a = 'b' where number = 500")
    database.execute("delete from after where number = 501")
    assert keys(await differ()) == [("shop 3", 500), ("shop 4", 501)]


@pytest.mark.parametrize("collation", ["C", "C.utf8", "ucs_basic", "unicode", "nocase"])
async def test_text_keys_are_told_apart_by_code_points_under_any_collation(
    differ: Differ, database: Any, collation: str
) -> None:
    """Under `nocase` the index finds keys of another case, and text hashes like text of another case."""
    if collation in ("unicode", "nocase"):
        need_icu(database)
    other = f'id text collate "{collation}" primary key, a text'
    make(database, "id text primary key, a text", "case when g % 2 = 0 then 'K' else 'ü' end || g, 'é'", after=other)
    assert is_equal(await differ())
    database.execute("update after set a = 'e' where id = 'K100'")
    database.execute("update after set id = 'k102' where id = 'K102'")
    assert keys(await differ()) == ["K100", "K102", "k102"]


def need_icu(database: Any) -> None:
    try:
        database.execute("create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL was built without ICU")


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("uuid", "md5(g::text)::uuid"),
        ("numeric", "g * 1.10"),
        ("timestamptz", "'2024-01-01'::timestamptz + g * interval '1 microsecond'"),
        ("date", "'2024-01-01'::date + g"),
        ("bytea", "decode(md5(g::text), 'hex')"),
        ("inet", "'10.0.0.0'::inet + g"),
        ("char(12)", "'k' || g"),
        ("mood", "('m' || g)::mood"),
    ],
)
async def test_a_key_may_be_of_any_type(differ: Differ, database: Any, definition: str, value: str) -> None:
    """Here every tenth row differs."""
    labels = sql.SQL(", ").join(sql.Literal(f"m{number}") for number in range(1, ROWS + 1))
    database.execute(sql.SQL("create type mood as enum ({})").format(labels))
    make(database, f"id {definition} primary key, a int4", f"{value}, g")
    assert is_equal(await differ())
    database.execute("update after set a = -a where a % 10 = 0")
    compared = await differ()
    assert len(compared.mismatches) == ROWS // 10
    assert set(paths(compared)) == {"a"}


async def test_columns_of_other_widths_are_equal_by_value(differ: Differ, database: Any) -> None:
    other = "id int4 primary key, n numeric(12, 4), w numeric, t varchar(30), f float4"
    make(
        database,
        "id int8 primary key, n numeric, w int4, t text, f float4",
        "g, g * 1.25, g, 't', g / 4.0",
        after=other,
    )
    assert is_equal(await differ())
    put(database, "w", "1", "-1")
    assert paths(await differ()) == ["w"]


async def test_only_named_columns_are_compared(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    put(database, "a", "'x'", "'y'")
    assert is_equal(await differ(columns=["b", "n"]))
    assert paths(await differ(columns=["a"])) == ["a"]


async def test_the_same_column_wrong_in_most_rows_is_a_bug_of_the_mapping(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    database.execute("update after set note = 'no'")
    compared = await differ()
    assert len(compared.mismatches) == ROWS
    assert {one.cause for one in compared.mismatches} == {Cause.MAPPING_BUG}


@pytest.fixture
def short_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is kept, and little is held in memory."""
    monkeypatch.setattr(tables, "MOST_MISMATCHES", 50)
    monkeypatch.setattr(tables, "KEYS_AT_ONCE", 100)


@pytest.mark.usefixtures("short_list")
async def test_what_is_beyond_the_list_is_counted_and_the_run_says_how_much_is_kept(
    differ: Differ, database: Any
) -> None:
    """Red while the rest was neither read nor counted: 50 keys differed, and the run had nothing to say."""
    make(database, WIDE, ROW)
    database.execute("update after set a = a || 'x' where id % 4 = 0 and id % 10 > 0")
    database.execute("delete from after where id % 20 = 0")
    database.execute("insert into after (id) select g from generate_series(100001, 100030) g")
    compared = await differ()
    (counts,), (level,) = compared.run.entities, compared.run.levels
    assert (counts.source, counts.target) == (ROWS, ROWS - 50 + 30)
    assert (counts.settled, counts.equal) == (200 + 50 + 30, ROWS - 250)
    assert len(compared.mismatches) == level.details["kept"] == 50
    assert (level.verdict, level.details["settled"]) == (Verdict.FAIL, 280)
    assert level.reason == "280 keys differ for good; the first 50 mismatches are kept, the others are only counted"


@pytest.mark.usefixtures("short_list")
async def test_a_bug_of_the_mapping_is_told_from_the_share_of_what_is_kept(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    database.execute("update after set note = 'no' where id > 300")
    compared = await differ()
    assert compared.run.entities[0].settled == ROWS - 300
    assert {one.cause for one in compared.mismatches} == {Cause.MAPPING_BUG}
    database.execute("update after set note = 'note' where id % 2 = 0 or id % 3 = 0")
    compared = await differ()
    assert len(compared.mismatches) == 50
    assert {one.cause for one in compared.mismatches} == {Cause.TRUNCATION}


@pytest.mark.usefixtures("short_list")
async def test_what_is_not_kept_and_may_only_be_late_stays_a_suspect(postgres_database: str, database: Any) -> None:
    make(database, WIDE, ROW)
    database.execute("update after set a = 'old' where id > 800")
    async with (
        TableSide(postgres_database, "before", entity="rows") as source,
        TableSide(postgres_database, "after", entity="rows") as target,
    ):
        compared = await compare_tables(source, target, "rows", barrier=NeverLate())
    (counts,) = compared.run.entities
    assert (counts.settled, counts.suspects, counts.equal) == (50, 150, 800)
    assert compared.run.verdict is Verdict.FAIL


async def test_a_list_that_is_whole_says_so_by_its_length(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    database.execute("update after set a = 'x' where id in (7, 400)")
    compared = await differ()
    (level,) = compared.run.levels
    assert (level.details["kept"], level.reason) == (2, "2 keys differ for good")


async def test_empty_tables_are_equal(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    for table in ("before", "after"):
        database.execute(sql.SQL("truncate {}").format(sql.Identifier(table)))
    assert (await differ()).run.verdict is Verdict.PASS


async def test_an_empty_table_misses_every_row(differ: Differ, database: Any) -> None:
    make(database, WIDE, ROW)
    database.execute("truncate after")
    compared = await differ()
    assert {one.kind for one in compared.mismatches} == {Kind.MISSING}
    assert len(compared.mismatches) == ROWS


async def test_a_suspect_that_the_target_catches_up_with_is_cleared(postgres_database: str, database: Any) -> None:
    make(database, WIDE, ROW)
    database.execute("update before set a = 'new' where id in (5, 6)")

    class CatchesUp:
        async def passed(self, within_seconds: float) -> bool:
            database.execute("update after set a = 'new' where id = 5")
            return True

    async with (
        TableSide(postgres_database, "before", entity="rows") as source,
        TableSide(postgres_database, "after", entity="rows") as target,
    ):
        compared = await compare_tables(source, target, "rows", barrier=CatchesUp())
    states = {row_key_of(one.key): one.state for one in compared.mismatches}
    assert states == {5: State.CLEARED, 6: State.SETTLED}
    assert compared.run.entities[0].cleared == 1


# --- as any side ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["id", "shop, id"])
async def test_a_table_is_read_in_ranges_that_hold_every_key_once(
    postgres_database: str, database: Any, key: str
) -> None:
    make(database, f"id int8, shop text, a text, primary key ({key})", "g, 'shop ' || g % 3, 'a'")
    async with TableSide(postgres_database, "before") as side:
        ranges = await side.ranges("before", 4)
        found = [entry.key for one in ranges for entry in await read(side, one, None)]
        walked = [key async for block in side.keys("before", above=None, at_most=300) for key in block]
        assert len(ranges) == 4
        assert found == walked
        assert len(set(found)) == ROWS == await side.count("before")
        assert [entry.key for entry in await read(side, KeyRange(), found[41])] == found[42:]


async def read(side: TableSide, keys: KeyRange, above: bytes | None) -> list[Entry]:
    return [entry async for block in side.read(side.entity, keys, above=above, at_most=200) for entry in block]


async def test_fetch_gives_the_asked_keys_that_exist(postgres_database: str, database: Any) -> None:
    make(database, "id text primary key, a int4", "'k' || g, nullif(g, 2)")
    async with TableSide(postgres_database, "before") as side:
        sampled = await side.sample("before", 10, 1)
        assert sampled == await side.sample("before", 10, 1) != await side.sample("before", 10, 2)
        (first,) = [entry.key for entry in await read(side, KeyRange(), None) if entry.fields["a"] == NULL]
        found = await side.fetch("before", [first, b"\x02\x00\x05\x00\x00\x00none\x00"])
        assert {key: entry.fields for key, entry in found.items()} == {first: {"id": "k2", "a": NULL}}
        assert set(await side.fetch("before", sampled)) == set(sampled)


# --- what cannot be compared ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ("id int8 primary key", {"table": "nowhere"}, "There is no table nowhere"),
        ("id int8 primary key", {"columns": ["nothing"]}, "has no column nothing"),
        ("id int8", {}, "no unique index over any columns"),
        ("id int8 primary key, a text", {"key": ["a"]}, "no unique index over a"),
        ("id int8 primary key, a text unique", {"key": ["a"]}, "may be NULL"),
    ],
)
async def test_a_table_that_cannot_be_compared_says_why(
    postgres_database: str, database: Any, columns: str, options: dict[str, Any], words: str
) -> None:
    database.execute(sql.SQL("create table before ({})").format(sql.SQL(columns)))
    with pytest.raises(PlanError, match=words):
        async with TableSide(postgres_database, **{"table": "before", **options}):
            pass


@pytest.mark.parametrize(
    ("key", "kinds", "words"),
    [
        ("other", {"id": "whole", "a": "text"}, "keys differ"),
        ("id", {"id": "whole"}, "Only one table has a"),
        ("id", {"id": "whole", "a": "uuid"}, "Column a is text in one table and uuid in the other"),
        ("id", {"id": "numeric", "a": "text"}, "Column id is whole"),
    ],
)
def test_tables_of_different_shape_are_refused(key: str, kinds: dict[str, str], words: str) -> None:
    one = Shape(("id",), {"id": "whole", "a": "text"}, 10, (1, 10), "18")
    with pytest.raises(PlanError, match=words):
        agree(one, replace(one, key=(key,), kinds=kinds))


async def test_two_tables_are_compared_by_the_tool_that_compares_any_two_sides(
    postgres_database: str, database: Any
) -> None:
    make(database, WIDE, ROW)
    expected = plant(database, DIFFERENT)
    store = MemoryRuns()
    async with (
        TableSide(postgres_database, "before", entity="rows") as source,
        TableSide(postgres_database, "after", entity="rows") as target,
    ):
        policy = Policy(batch_size=100, range_size=300)
        tool = Parity(source, target, NeverLate(), store, {}, domain="tables", entities=["rows"], policy=policy)
        record = await tool.run("r1", levels=("full",), frozen=True)
    assert record.verdict is Verdict.FAIL
    mismatches = await store.mismatches("tables", "r1")
    assert {row_key_of(one.key): [field.path for field in one.fields] for one in mismatches} == expected


class NeverLate:
    async def passed(self, within_seconds: float) -> bool:
        return True
