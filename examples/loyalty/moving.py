"""Both repositories with Midflight's library between them: all that a team adds for the time of the move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from examples.loyalty import mongo, postgres
from examples.loyalty.app import create
from examples.loyalty.config import Config
from examples.loyalty.model import IN, Earn, Entry, Loyalty, Redeem, Settle, Settlement, Transfer
from midflight.gateway import AsyncDomain, AsyncGateway
from midflight.gateway.fastapi import GatewayMiddleware, ready

DOMAIN = "loyalty"
"""As in plan.yaml."""


def application(config: Config) -> FastAPI:
    """The application while its domain moves. One gateway a process."""
    midflight = AsyncGateway(ledger=config.postgres, source=config.mongo, instance=config.instance)
    app = create(lambda _app: opened(config, midflight))
    app.add_middleware(GatewayMiddleware, gateway=midflight)
    app.add_route("/ready", ready(midflight, DOMAIN))
    return app


@asynccontextmanager
async def opened(config: Config, midflight: AsyncGateway) -> AsyncIterator[Loyalty]:
    """Both stores, and what stands between."""
    domain = midflight.domain(DOMAIN, entity=str)
    client, pool = mongo.connect(config.mongo), postgres.connect(config.postgres, config.schema)
    async with client, pool, midflight:
        source = mongo.MongoLoyalty(client, client[config.database], domain.touched)
        yield MovingLoyalty(domain, source, postgres.PostgresLoyalty(pool))


def _whose(member: str, last: int) -> str:  # noqa: ARG001 - the same parameters as what it decorates
    return member


class MovingLoyalty:
    """Each order and each read goes to the store that is in charge of it."""

    def __init__(self, domain: AsyncDomain[str], source: mongo.MongoLoyalty, target: postgres.PostgresLoyalty) -> None:
        self._earn = domain.write(
            entities=lambda order: [order.member],
            keys=lambda order: {"members": [order.member], "transactions": [order.operation]},
            target=target.earn,
        )(source.earn)
        self._redeem = domain.write(
            entities=lambda order: [order.member],
            keys=lambda order: {"members": [order.member], "transactions": [order.operation]},
            target=target.redeem,
        )(source.redeem)
        self._transfer = domain.write(
            entities=lambda order: [order.member, order.to],
            keys=lambda order: {
                "members": [order.member, order.to],
                "transactions": [order.operation, order.operation + IN],
            },
            target=target.transfer,
        )(source.transfer)
        # Which transactions a settlement takes is known inside only: the repository says it with `touched`.
        self._settle = domain.write(
            entities=lambda order: [order.merchant],
            keys=lambda order: {"settlements": [order.operation]},
            target=target.settle,
        )(source.settle)
        self._balance = domain.read(entity=lambda member: member, target=target.balance)(source.balance)
        self._statement = domain.read(entity=_whose, target=target.statement)(source.statement)

    async def earn(self, order: Earn) -> int:
        """As in either store."""
        return await self._earn(order)

    async def redeem(self, order: Redeem) -> int:
        """As in either store."""
        return await self._redeem(order)

    async def transfer(self, order: Transfer) -> int:
        """As in either store."""
        return await self._transfer(order)

    async def settle(self, order: Settle) -> Settlement:
        """As in either store."""
        return await self._settle(order)

    async def balance(self, member: str) -> int:
        """As in either store."""
        return await self._balance(member)

    async def statement(self, member: str, last: int) -> list[Entry]:
        """As in either store."""
        return await self._statement(member, last)
