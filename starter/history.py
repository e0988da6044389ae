"""What is told of a move afterwards: by the workflow as far as a worker answers, the rest by the ledger."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from midflight.contracts.domain import PhaseSpan
from midflight.contracts.parity import ParityReport
from starter import moves
from starter.look import status_of
from starter.session import Session
from starter.storekeeper import books

AUDIT_AT_MOST = 10_000
MEASURED = {"quarantine_open", "late_writes", "reverse_pending", "reverse_refused"}


class Report(BaseModel):
    """Spans and parity as the workflow tells them (nothing when no worker answers); the rest from the ledger."""

    domain: str
    phase: str = ""
    state: str = ""
    fingerprint: str = ""
    answered: bool = False
    spans: tuple[PhaseSpan, ...] = ()
    parity: ParityReport = ParityReport()
    counts: dict[str, dict[str, int]] = {}
    quarantine_open: int = 0
    late_writes: int = 0
    reverse_pending: int = 0
    reverse_refused: int = 0
    audit: list[dict[str, Any]] = []

    @property
    def gates(self) -> list[dict[str, Any]]:
        """The audit entries about gates and approvals."""
        return [entry for entry in self.audit if entry["kind"] in ("gate_passed", "approval_void")]


async def write_report(session: Session, domain: str, store: str) -> Report:
    """Gather it. UnknownDomain, SettingsError, TargetError."""
    client = await session.client()
    overview, status = await moves.overview(client, domain), await status_of(client, domain)
    async with books(session, domain, store) as open_books:
        ledger = open_books.target.ledger
        evidence = await ledger.evidence(domain)
        from_ledger = {
            "counts": await ledger.counts(open_books.plan),
            **evidence.model_dump(include=MEASURED),
            "audit": await ledger.audit(domain, AUDIT_AT_MOST),
        }
    told: dict[str, Any] = {"answered": status is not None}
    if status is not None:
        state = status.state
        told |= {"spans": tuple(state.spans), "parity": state.parity, "fingerprint": state.fingerprint}
    return Report(domain=domain, phase=overview.phase, state=overview.state, **told, **from_ledger)
