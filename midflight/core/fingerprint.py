"""The fingerprint of a plan: the same for two plans exactly when they write the same rows to the same place."""

from __future__ import annotations

import hashlib
import json

from midflight.core.plan import Plan, plain

DECIDES_WHAT_IS_WRITTEN = ("domain", "source", "target", "collections")


def fingerprint(plan: Plan) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON of the parts that decide what is written.

    Pacing, limits, soak times and approvals are left out: they may change while a move runs.
    """
    parts = plain(plan)
    decisive = {name: parts[name] for name in DECIDES_WHAT_IS_WRITTEN}
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
