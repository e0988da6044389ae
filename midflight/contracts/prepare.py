"""Messages of the prepare phase."""

from __future__ import annotations

from pydantic import Field

from midflight.contracts.base import Contract
from midflight.core.plan import Plan


class FindingView(Contract):
    """One check and its outcome."""

    check: str
    ok: bool
    detail: str = ""
    next_step: str = ""


class PrepareRequest(Contract):
    """The whole plan: nothing is recorded anywhere yet."""

    plan: Plan


class Checked(Contract):
    """Every finding, and about how many documents each collection holds."""

    findings: tuple[FindingView, ...] = ()
    documents: dict[str, int] = Field(default_factory=dict)

    @property
    def failures(self) -> tuple[FindingView, ...]:
        """The findings that stand in the way."""
        return tuple(f for f in self.findings if not f.ok)
