"""Opens a domain's stores, for commands that look into the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from midflight.core.plan import Plan
from midflight.ports import Target
from midflight.stores import ConfiguredStores
from starter import moves
from starter.session import Session

TargetStore = Annotated[
    str, typer.Option("--target", metavar="STORE", help="The target's store name; default: as in the move's plan.")
]


@dataclass(frozen=True, slots=True)
class Books:
    """The open target of one domain, and the plan its ledger holds."""

    target: Target
    plan: Plan
    stores: ConfiguredStores


@asynccontextmanager
async def books(session: Session, domain: str, store: str) -> AsyncIterator[Books]:
    """Open the target. With a store name Temporal is not asked. UnknownDomain, DomainUnknown, SettingsError."""
    name = store or (await moves.request_of(await session.client(), domain)).plan.target.store
    stores = ConfiguredStores(session.settings)
    async with stores.target(name) as target:
        yield Books(target, await target.ledger.plan(domain), stores)
