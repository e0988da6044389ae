"""Taking the triggers off the target tables while the application goes on writing to them."""

from __future__ import annotations

import asyncio

import psycopg

from tests.integration.door_kit import DOMAIN, open_shop, until_blocked


async def test_an_application_in_the_middle_of_a_transaction_is_not_drawn_into_a_deadlock(
    postgres_database: str,
) -> None:
    async with open_shop(postgres_database) as shop:
        await shop.target.fence.install(shop.plan)
        await shop.target.ledger.flip(DOMAIN, 1)
        await shop.ask("insert into orders (id, version) values ('a', 1) returning 1")
        await shop.ask("insert into order_lines (order_id, position, sku) values ('a', 0, 'sku') returning 1")
        async with await psycopg.AsyncConnection.connect(postgres_database) as application:
            await application.execute("update order_lines set sku = 'other'")
            removing = asyncio.create_task(shop.target.fence.remove(shop.plan))
            await until_blocked(shop.look)
            await application.execute("update orders set version = 2")
            await application.execute("insert into members (id, email) values ('m', 'm@example.org')")
            await application.commit()
        await removing
        assert await shop.ask("select version from orders") == [(2,)]
        assert [view.refuses for view in await shop.target.fence.status(shop.plan)] == [()] * 3
