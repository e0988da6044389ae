"""The Python of docs/parity.md, run on real tables."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

PAGE = Path(__file__).parents[3] / "docs" / "parity.md"


TABLE = b"create table shop.orders (id int primary key, total numeric)"
ROWS = b"insert into shop.orders select n, n from generate_series(1, 1000) n"


@pytest.fixture
def two(postgres_database: str) -> Iterator[tuple[str, str]]:
    """Two databases with the same table in each."""
    names = [f"parity_docs_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    with psycopg.connect(postgres_database, autocommit=True) as admin:
        for name in names:
            admin.execute(f"create database {name}".encode())
        addresses = tuple(conninfo.make_conninfo(postgres_database, dbname=name) for name in names)
        for address in addresses:
            with psycopg.connect(address, autocommit=True) as connection:
                for statement in (b"create schema shop", TABLE, ROWS):
                    connection.execute(statement)
        yield addresses[0], addresses[1]
        for name in names:
            admin.execute(f"drop database {name} with (force)".encode())


async def test_two_tables_are_compared_as_the_page_says(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    page: dict[str, Any] = {}
    exec(block, page)
    assert await page["replica_is_right"](*two)
    assert capsys.readouterr().out == ""
    with psycopg.connect(two[1]) as connection:
        connection.execute("update shop.orders set total = 0 where id = 7")
    assert not await page["replica_is_right"](*two)
    assert "['total']" in capsys.readouterr().out
