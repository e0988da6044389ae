"""What every message shares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from midflight.core.plan import Plan


class Contract(BaseModel):
    """A frozen message. New fields need defaults, so that older histories still decode."""

    model_config = ConfigDict(frozen=True)


class DomainRef(Contract):
    """Enough to find a domain: the plan itself lies in the ledger of the target store."""

    domain: str
    source_store: str
    database: str
    target_store: str
    fingerprint: str = ""

    @classmethod
    def of(cls, plan: Plan, fingerprint: str) -> DomainRef:
        """The reference of a plan's domain."""
        return cls(
            domain=plan.domain,
            source_store=plan.source.store,
            database=plan.source.database,
            target_store=plan.target.store,
            fingerprint=fingerprint,
        )
