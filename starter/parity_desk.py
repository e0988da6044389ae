"""Opens what the parity commands work with. Temporal is never asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Plan
from midflight.errors import DomainUnknown, PlanError, SettingsError
from midflight.parity.domain import NoTail, parity_of
from midflight.parity.harness import Parity
from midflight.parity.pace import Listener
from midflight.parity.policy import DEFAULT, Policy
from midflight.parity.ports import RunStore
from midflight.ports import Target
from midflight.settings import STORE_PREFIX
from midflight.stores import ConfiguredStores
from midflight.sync import Bridge
from starter.exits import Refused
from starter.plan import read_plan
from starter.session import Session

Store = Annotated[
    str, typer.Option("--target", metavar="STORE", help="The target's store name; default: the only one with a DSN.")
]
PlanOption = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="This plan: for other rules, or for stores that no move was begun of."),
]
Lag = Annotated[
    float,
    typer.Option("--lag", min=0, help="Where no move is known: seconds that a change may take to reach the target."),
]
Rate = Annotated[float | None, typer.Option("--rate", min=1, help="Keys a second at most. Default: no limit.")]
UNKNOWN = (
    "The ledger knows no move of {domain}, so there is no tail to wait for and there are no guards: what differs, "
    "and still does so unchanged {lag:g} s later, counts as different for good. A change that takes longer than "
    "that is a false alarm: see --lag. Runs are kept in the schema `midflight` of the target."
)


@dataclass(frozen=True, slots=True)
class Where:
    """Which domain, and where to find it."""

    domain: str
    store: str = ""
    plan: Path | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """A domain's runs of parity, and its plan: None where neither the ledger nor the caller has one."""

    runs: RunStore
    target: Target
    plan: Plan | None
    known: bool
    """Whether the ledger knows a move of the domain."""
    stores: ConfiguredStores

    @property
    def entities(self) -> list[str]:
        """The plan's collections."""
        return [entry.collection for entry in self.plan.collections] if self.plan is not None else []


@dataclass(frozen=True, slots=True)
class Desk:
    """Both stores of a domain, open, and its runs."""

    bridge: Bridge
    runs: RunStore
    barrier: NoTail | None

    def parity(self, policy: Policy = DEFAULT, listener: Listener | None = None) -> Parity:
        """The parity of the domain."""
        if self.barrier is not None:
            policy = replace(policy, barrier_seconds=max(policy.barrier_seconds, self.barrier.wait_seconds))
        return parity_of(self.bridge, self.runs, policy=policy, listener=listener, barrier=self.barrier)


@asynccontextmanager
async def shelf(session: Session, where: Where) -> AsyncIterator[Shelf]:
    """Open the target alone. PlanError, SettingsError, TargetError."""
    given = None if where.plan is None else _given(where.domain, where.plan)
    store = where.store or (given.target.store if given is not None else _only_target(session))
    stores = ConfiguredStores(session.settings)
    # Opened first: it brings the ledger to this version.
    async with stores.runs(store) as runs, stores.target(store) as target:
        recorded = await _recorded(target, where.domain)
        yield Shelf(runs, target, _decided(given, recorded), recorded is not None, stores)


@asynccontextmanager
async def desk(session: Session, where: Where, *, lag: float = 0.0) -> AsyncIterator[Desk]:
    """Open both stores. PlanError, SettingsError, SourceError, TargetError; DomainUnknown where there is no plan."""
    async with shelf(session, where) as found:
        if found.plan is None:
            raise DomainUnknown(
                f"The ledger knows no domain {where.domain}.",
                next_step="Check its name and --target; or name a plan file: --plan FILE.",
            )
        if not found.known:
            session.note(UNKNOWN.format(domain=where.domain, lag=lag))
        place = found.plan.source
        async with found.stores.source(place.store, place.database) as source:
            yield Desk(Bridge(source, found.target, found.plan), found.runs, None if found.known else NoTail(lag))


def _given(domain: str, path: Path) -> Plan:
    plan = read_plan(path)
    if plan.domain != domain:
        raise PlanError(f"{path} is a plan of domain {plan.domain}, not of {domain}.", next_step="Name the right one.")
    return plan


def _only_target(session: Session) -> str:
    """The name of the only store that has a PostgreSQL address."""
    names = [variable.removeprefix(STORE_PREFIX) for variable in sorted(session.settings.stores)]
    found = [name.lower().replace("_", "-") for name in names if _is_target(session, name.lower().replace("_", "-"))]
    if len(found) == 1:
        return found[0]
    what = f"More than one target has an address: {', '.join(found)}." if found else "No target has an address."
    raise SettingsError(what, next_step="Say which one: --target STORE; `midflight settings` shows all.")


def _is_target(session: Session, store: str) -> bool:
    try:
        session.settings.target(store)
    except SettingsError:
        return False
    return True


async def _recorded(target: Target, domain: str) -> Plan | None:
    try:
        return await target.ledger.plan(domain)
    except DomainUnknown:
        return None


def _decided(given: Plan | None, recorded: Plan | None) -> Plan | None:
    """The given plan, whose rules may be newer; but it must write what the recorded one writes."""
    if given is None or recorded is None or fingerprint(given) == fingerprint(recorded):
        return given or recorded
    raise Refused(
        f"The ledger has another plan of {given.domain}: what was copied cannot be compared by this one.",
        next_step="Leave --plan out, or change nothing in it but what parity overlooks, checks and shows.",
    )
