"""Rows read back: grouped by document, children by position, keys by their bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from midflight.core.keys import key_bytes
from midflight.core.outcome import Mapped
from midflight.records import RowSpan
from tests.integration.door_kit import DOMAIN, Shop, gone, open_shop, order, refused, shop

VALUES: dict[str, tuple[str, Any]] = {
    "a_text": ("text", "é\n\U0001f600"),
    "a_varchar": ("varchar(5)", "abc"),
    "a_boolean": ("boolean", True),
    "a_smallint": ("smallint", -32768),
    "an_integer": ("integer", 2**31 - 1),
    "a_bigint": ("bigint", -(2**63)),
    "a_numeric": ("numeric", Decimal("12345678901234567890.000100")),
    "a_short": ("numeric(6,2)", Decimal("1.50")),
    "a_double": ("double precision", 0.1),
    "a_time": ("timestamptz", datetime(2024, 2, 29, 12, 0, 0, 123000, tzinfo=UTC)),
    "a_date": ("date", date(1969, 12, 31)),
    "a_uuid": ("uuid", UUID(int=7)),
    "some_bytes": ("bytea", b"\0\xff"),
    "a_json": ("jsonb", '{"a": [1, null]}'),
    "an_oid": ("objectid", "0" * 24),
    "anything": ("any", '{"$numberLong": "1"}'),
}
WIDE = {
    "collection": "wide",
    "table": "wide",
    "key": {"column": "id", "type": "bigint"},
    "fields": [{"field": name, "column": name, "type": kind} for name, (kind, _) in VALUES.items()],
    "rest": None,
}
MAPS = {
    "collection": "maps",
    "table": "maps",
    "key": {"column": "id", "type": "text"},
    "children": [
        {
            "map": "entries",
            "table": "map_entries",
            "parent_key": "map_id",
            "position": "name",
            "fields": [{"field": "n", "column": "n", "type": "integer"}],
        }
    ],
}


@pytest.fixture
async def here(postgres_database: str) -> AsyncIterator[Shop]:
    async with open_shop(postgres_database) as opened:
        yield opened


async def test_every_type_comes_back_as_it_went_in(postgres_database: str) -> None:
    async with open_shop(postgres_database, shop(WIDE)) as here:
        full = (1, *(value for _, value in VALUES.values()))
        empty = (2, *(None for _ in VALUES))
        await here.apply({"wide": [Mapped(key_bytes(row[0]), ([row],)) for row in (full, empty)]})
        wide = here.plan.collection("wide")
        found = await here.target.rows.rows_of("public", wide, [1, 2])
        assert found == {1: ([full],), 2: ([empty],)}
        assert [type(v) for v in found[1][0][0]] == [int, *(type(value) for _, value in VALUES.values())]
        assert await here.target.rows.rows_of("public", wide, [2]) == {2: ([empty],)}
        assert [row[0] for row in await here.target.rows.scan_keys("public", wide, RowSpan(), 10)] == [1, 2]
        assert [row[0] for row in await here.target.rows.scan_keys("public", wide, RowSpan(after=1), 10)] == [2]


async def test_rows_are_grouped_by_document_with_children_by_position(here: Shop) -> None:
    await here.apply([order("a", 1, lines=12), order("b", 2, lines=0), order("c", 3)])
    found = await here.target.rows.rows_of("public", here.plan.collection("orders"), ["b", "a", "nobody"])
    assert set(found) == {"a", "b"}
    roots, lines = found["a"]
    assert [row[0] for row in roots] == ["a"]
    assert [row[1] for row in lines] == list(range(12))
    assert found["b"][1] == []


async def test_names_of_a_map_come_back_in_the_order_of_their_bytes(postgres_database: str) -> None:
    async with open_shop(postgres_database, shop(MAPS)) as here:
        names = ["é", "b", "B", "a", "_", "aa", "Z"]
        rows = [("m", name, n) for n, name in enumerate(names)]
        await here.apply({"maps": [Mapped(key_bytes("m"), ([("m", None)], rows))]})
        found = await here.target.rows.rows_of("public", here.plan.collection("maps"), ["m"])
        assert [row[1] for row in found["m"][1]] == sorted(names, key=str.encode)


async def test_roots_are_scanned_in_the_order_of_their_bytes_strictly_after_a_key(here: Shop) -> None:
    names = ["b", "é", "B", "a", "_", "aa"]
    await here.apply([order(name, 1) for name in names])
    expected = sorted(names, key=str.encode)
    orders, seen = here.plan.collection("orders"), list[str]()
    while rows := await here.target.rows.scan_keys("public", orders, RowSpan(after=seen[-1] if seen else None), 2):
        seen += [row[0] for row in rows]
    assert seen == expected


async def test_keys_changed_since_a_token_include_deletes_and_refusals(here: Shop) -> None:
    rows = here.target.rows
    await here.apply([order("a", 1), order("b", 1)])
    token = await rows.last_token(DOMAIN)
    await here.apply([order("b", 2)])
    await here.apply([gone("c"), refused("d")])
    changed = await rows.keys_changed_since(DOMAIN, "orders", token, 10)
    assert next(iter(changed)) == key_bytes("b")
    assert set(changed) == {key_bytes(name) for name in "bcd"}
    assert await rows.keys_changed_since(DOMAIN, "orders", await rows.last_token(DOMAIN), 10) == {}
    assert await rows.keys_changed_since(DOMAIN, "members", token, 10) == {}
    assert len(await rows.keys_changed_since(DOMAIN, "orders", token, 1)) == 1


async def test_changed_keys_come_page_by_page_though_a_whole_batch_shares_one_token(here: Shop) -> None:
    """Red without the key in the place: the rest of a batch would be left out."""
    rows, names = here.target.rows, "abcdefg"
    await here.apply([order(name, 1) for name in names[:5]])
    await here.apply([order(name, 1) for name in names[5:]])
    token, after, seen = 0, None, list[bytes]()
    while page := await rows.keys_changed_since(DOMAIN, "orders", token, 2, after):
        seen += page
        after, token = list(page.items())[-1]
    assert seen == [key_bytes(name) for name in names]


async def test_quarantined_keys_are_told_apart(here: Shop) -> None:
    await here.apply([order("a", 1), refused("b")])
    keys = [key_bytes("a"), key_bytes("b"), key_bytes("c")]
    assert await here.target.rows.quarantined_keys(DOMAIN, "orders", keys) == {key_bytes("b")}
    assert await here.target.rows.quarantined_keys(DOMAIN, "members", keys) == set()
