"""Prepare: look before touching, then make the ledger and the tables."""

from __future__ import annotations

from temporalio import activity

from activities.slices import beating
from midflight.contracts.prepare import Checked, FindingView, PrepareRequest
from midflight.core.fingerprint import fingerprint
from midflight.core.plan import Plan
from midflight.errors import MidflightError
from midflight.ports import Stores
from midflight.records import Finding


class PrepareActivities:
    """The activities of the prepare phase."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @activity.defn
    async def check(self, request: PrepareRequest) -> Checked:
        """Everything that would stop the move later, found now; nothing is changed anywhere."""
        plan = request.plan
        async with beating(plan.domain, "check"):
            source, documents, size = await self._check_source(plan)
            return Checked(findings=(*source, *await self._check_target(plan, size)), documents=documents)

    @activity.defn
    async def install(self, request: PrepareRequest) -> str:
        """Make the ledger, record the plan, create the tables; returns the plan's fingerprint. Repeating is safe."""
        plan = request.plan
        async with beating(plan.domain, "install"), self._stores.target(plan.target.store) as target:
            await target.schema.install_ledger()
            await target.ledger.register(plan)
            await target.schema.create_tables(plan)
        return fingerprint(plan)

    async def _check_source(self, plan: Plan) -> tuple[list[FindingView], dict[str, int], int]:
        names = [entry.collection for entry in plan.collections]
        try:
            async with self._stores.source(plan.source.store, plan.source.database) as source:
                findings = [_view("source", f) for f in await source.reader.inspect(names)]
                if not all(f.ok for f in findings):
                    return findings, {}, 0
                documents = {name: await source.reader.count(name) for name in names}
                return findings, documents, sum([await source.reader.size(name) for name in names])
        except MidflightError as error:
            return [_failure("source: open", error)], {}, 0

    async def _check_target(self, plan: Plan, size: int) -> list[FindingView]:
        try:
            async with self._stores.target(plan.target.store) as target:
                return [_view("target", f) for f in await target.schema.inspect(plan, size)]
        except MidflightError as error:
            return [_failure("target: open", error)]


def _view(store: str, finding: Finding) -> FindingView:
    return FindingView(
        check=f"{store}: {finding.check}", ok=finding.ok, detail=finding.detail, next_step=finding.next_step
    )


def _failure(check: str, error: MidflightError) -> FindingView:
    return FindingView(check=check, ok=False, detail=error.what, next_step=error.next_step)
