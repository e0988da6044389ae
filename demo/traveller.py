"""One domain on its way: starts the move, looks at it again and again, and says to it what an operator would say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from midflight.contracts.domain import (
    Answer,
    Approve,
    DomainReport,
    DomainState,
    GateView,
    Pause,
    Resume,
    Rollback,
    SetPacing,
)
from midflight.core.phase import Phase
from midflight.core.plan import Plan
from midflight.ports import Target
from starter.moves import workflow_id
from starter.starting import start_move
from workflows.domain import MigrateDomain

PERSONS = ("demo-operator", "demo-owner")
PERSON = PERSONS[0]
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 90.0
ANSWER_WITHIN = timedelta(seconds=5)


class Stuck(Exception):
    """Something that should have happened did not."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An approval as it was given, and what it was given for."""

    domain: str
    gate: str
    person: str
    evidence_hash: str
    shown: str


class Traveller:
    """A domain's move, seen from outside. `say` prints a line for people."""

    def __init__(self, client: Client, target: Target, plan: Plan, say: Callable[[str], None]) -> None:
        self._client, self.target, self.plan = client, target, plan
        self._say = say
        self.handle: WorkflowHandle[MigrateDomain, DomainReport] = client.get_workflow_handle_for(
            MigrateDomain.run, workflow_id(plan.domain)
        )
        self.state = DomainState(domain=plan.domain)
        self.copied = 0
        self.approved: list[Approved] = []

    @property
    def domain(self) -> str:
        """The domain's name."""
        return self.plan.domain

    def say(self, what: str) -> None:
        """Tell whoever watches."""
        self._say(f"[bold]{self.domain}[/bold]: {what}")

    async def start(self, task_queue: str) -> None:
        """Start the move."""
        await start_move(self._client, task_queue, self.plan, PERSON)
        self.say("started")

    async def look(self) -> DomainState:
        """The move's state, or the last one known if the worker is too busy to answer; and how much is copied."""
        try:
            self.state = (await self.handle.query(MigrateDomain.status, rpc_timeout=ANSWER_WITHIN)).state
        except RPCError:
            return self.state
        if self.state.phase is Phase.BACKFILL:
            partitions = [await self.target.ledger.partitions(self.domain, c.collection) for c in self.plan.collections]
            self.copied = sum(p.documents for of_one in partitions for p in of_one)
        return self.state

    async def until(
        self, condition: Callable[[DomainState], bool], what: str, patience_seconds: float = PATIENCE_SECONDS
    ) -> DomainState:
        """Look until the condition holds. Stuck after a while."""
        deadline = time.monotonic() + patience_seconds
        while not condition(state := await self.look()):
            if time.monotonic() > deadline:
                raise Stuck(f"{what} did not happen. {described(state)}")
            await asyncio.sleep(LOOK_SECONDS)
        return state

    # --- what an operator says -------------------------------------------------------------------------------

    async def pause(self, reason: str) -> None:
        """Write nothing more."""
        command = Pause(person=PERSON, reason=reason)
        await self._obeyed(self.handle.execute_update(MigrateDomain.pause_update, command))

    async def resume(self, reason: str) -> None:
        """Go on."""
        command = Resume(person=PERSON, reason=reason)
        await self._obeyed(self.handle.execute_update(MigrateDomain.resume_update, command))

    async def roll_back(self, to: Phase, reason: str) -> None:
        """Take back everything since the beginning of a phase."""
        command = Rollback(person=PERSON, reason=reason, to=to)
        await self._obeyed(self.handle.execute_update(MigrateDomain.rollback_update, command))

    async def hurry(self, reason: str) -> None:
        """Copy without a limit from now on."""
        command = SetPacing(person=PERSON, reason=reason, unlimited=True)
        await self._obeyed(self.handle.execute_update(MigrateDomain.set_pacing_update, command))

    async def approve(self, gate: GateView, person: str = PERSON) -> None:
        """Open the gate, naming the evidence just read; if it has changed meanwhile, it is read again later."""
        command = Approve(person=person, reason="evidence looked at", gate=gate.gate, evidence=gate.evidence_hash)
        answer = await self.handle.execute_update(MigrateDomain.approve_update, command)
        if not answer.accepted:
            self.say(f"the approval of {gate.gate} was refused: {answer.message}")
            return
        shown = evidence_shown(gate)
        self.approved.append(Approved(self.domain, gate.gate, person, gate.evidence_hash, shown))
        self.say(f"gate [cyan]{gate.gate}[/cyan] approved by {person}, evidence {gate.evidence_hash}: {shown}")

    async def _obeyed(self, update: Awaitable[Answer]) -> None:
        try:
            await update
        except WorkflowUpdateFailedError as refusal:
            raise Stuck(f"a command was refused: {refusal.cause}") from refusal


def evidence_shown(gate: GateView) -> str:
    """The evidence in a line."""
    e = gate.evidence
    lag = "unknown" if e.lag_seconds is None else f"{e.lag_seconds:.1f} s"
    return (
        f"{e.documents_compared:,} compared, {e.mismatches} mismatches, lag {lag}, "
        f"quarantine {e.quarantine_open} open and {e.quarantine_waived} waived"
    )


def described(state: DomainState) -> str:
    """Where the move stands, in a line."""
    return (
        f"It is in {state.phase} ({state.state}), waiting for {state.waiting_for or 'nothing'}. {state.problem}".strip()
    )
