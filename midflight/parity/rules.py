"""What a plan lets parity overlook in one collection: ignored fields and tolerances."""

from __future__ import annotations

from midflight.core.plan import Ignored, Plan, Tolerance
from midflight.parity.records import Normal


class Rules:
    """The rules of one collection."""

    def __init__(self, ignored: tuple[Ignored, ...] = (), tolerated: tuple[Tolerance, ...] = ()) -> None:
        self.ignored = ignored
        self.tolerated = tolerated

    @staticmethod
    def of(plan: Plan, collection: str) -> Rules:
        """The plan's rules for this collection."""
        raise NotImplementedError

    def overlooks(self, path: str, source: Normal, target: Normal) -> str:
        """The rule (`ignore legacy`, `nfc name`) by which these two count as equal; empty if there is none."""
        raise NotImplementedError
