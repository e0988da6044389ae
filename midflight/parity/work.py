"""What every part of a run works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from midflight.parity.pace import Meter, Pace
from midflight.parity.policy import Policy
from midflight.parity.ports import Barrier, RunStore, Side
from midflight.parity.rules import NO_RULES, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The run whose equal keys a watch run does not compare again.

    `token`: what was applied until then had been seen. `excluded`, by entity: keys that were not equal at its end.
    """

    run: str
    token: int
    excluded: Mapping[str, frozenset[bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One run at work: both sides, where it is kept, and how it goes about it."""

    source: Side
    target: Side
    barrier: Barrier
    store: RunStore
    rules: Mapping[str, Rules]
    policy: Policy
    domain: str
    run: str
    frozen: bool
    """Nobody writes to the source, and the target has everything."""
    census: bool
    """Whether fields and their types are counted."""
    base: Base | None
    pace: Pace
    meter: Meter

    def rules_of(self, entity: str) -> Rules:
        """What may be overlooked in the entity."""
        return self.rules.get(entity, NO_RULES)
