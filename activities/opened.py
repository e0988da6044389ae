"""What every activity begins with: the stores of a domain, opened, and its plan from the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from midflight.contracts.base import DomainRef
from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Plan
from midflight.errors import LedgerConflict
from midflight.ports import Ledger, Stores
from midflight.sync import Bridge


@asynccontextmanager
async def opened(stores: Stores, ref: DomainRef) -> AsyncIterator[Bridge]:
    """Both stores of the domain, closed at the end."""
    async with (
        stores.source(ref.source_store, ref.database) as source,
        stores.target(ref.target_store) as target,
    ):
        yield Bridge(source, target, await recorded_plan(target.ledger, ref))


async def recorded_plan(ledger: Ledger, ref: DomainRef) -> Plan:
    """The plan in the ledger; LedgerConflict if it is not the one this move was started with."""
    plan = await ledger.plan(ref.domain)
    found = fingerprint(plan)
    if ref.fingerprint and found != ref.fingerprint:
        raise LedgerConflict(
            f"The ledger holds plan {found[:12]} for {ref.domain}, this move was started with {ref.fingerprint[:12]}.",
            next_step="Start the move again with the recorded plan, or roll back to prepare first.",
        )
    return plan
