"""What the application wrote while the target was in charge has rows without guard rows: the door must know them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from midflight.core.keys import key_bytes
from midflight.core.outcome import FeedPosition, Outcome
from midflight.core.values import encode
from midflight.records import LateWrite
from tests.integration.door_kit import DOMAIN, Shop, gone, open_shop, order, refused


@pytest.fixture
async def returned(postgres_database: str) -> AsyncIterator[Shop]:
    """An order that was first written at the target, with a late write at the source; the source is in charge again."""
    async with open_shop(postgres_database) as shop:
        await shop.target.fence.install(shop.plan)
        await shop.target.ledger.flip(DOMAIN, 1)
        await shop.ask("insert into orders (id, version) values ('a', 1) returning 1")
        await shop.ask("insert into order_lines (order_id, position, sku) values ('a', 0, 'sku') returning 1")
        late = {"orders": [LateWrite(key_bytes("a"), encode({"_id": "a", "version": 66}))]}
        await shop.target.reverse.late(shop.plan, FeedPosition(b"next", 0, 0), late)
        pending = await shop.target.reverse.dirty(shop.plan, "orders", 10)
        await shop.target.reverse.written_back(DOMAIN, "orders", [(key.row_key, key.seq) for key in pending])
        await shop.target.ledger.close(DOMAIN)
        await shop.target.ledger.flip_back(DOMAIN, 2)
        yield shop


async def test_a_later_change_at_the_source_replaces_them(returned: Shop) -> None:
    applied = await returned.apply([order("a", 2), order("b", 1)])
    assert (applied.written, applied.quarantined) == (2, 0)
    assert await returned.orders() == {"a": 2, "b": 1}
    assert await returned.skus("a") == ["sku-2-0", "sku-2-1"]


async def test_a_later_delete_at_the_source_removes_them(returned: Shop) -> None:
    await returned.apply([gone("a")])
    assert await returned.orders() == {}
    assert await returned.skus("a") == []


@pytest.mark.parametrize("change", [order("a", 2), gone("a"), refused("a")], ids=["written", "deleted", "refused"])
async def test_what_was_written_late_stays_in_quarantine_whatever_becomes_of_the_key(
    returned: Shop, change: Outcome
) -> None:
    """Red if an apply releases or overwrites it: that image is in no store any more."""
    await returned.apply([change])
    await returned.apply([order("a", 3)])
    kept = await returned.ask("select path, image ->> 'version' from midflight.quarantine")
    assert kept == [("tripwire", "66")]


async def test_what_was_written_late_hides_nothing_from_parity(returned: Shop) -> None:
    """Its key has rows, unlike that of a document which the target does not take."""
    rows, keys = returned.target.rows, [key_bytes("a")]
    assert await rows.quarantined_keys(DOMAIN, "orders", keys) == set()
    await returned.apply([refused("a")])
    assert await rows.quarantined_keys(DOMAIN, "orders", keys) == set(keys)
    assert len(await returned.target.ledger.quarantined(DOMAIN)) == 2
