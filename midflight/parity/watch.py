"""What a watch run may skip: keys that an earlier run saw equal, and that nobody has written since.

Trusted are the guards: a key whose source still has the version that the guard names, under a token that is not newer
than the earlier run, is not read again. Unseen, until the next gate run, stay two things: what somebody else did to
the rows of such a key meanwhile, and an apply that drew its token before the earlier run and came in after that run had
looked (a process that was stopped in between).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from midflight.parity.forms.canon import CANON_VERSION
from midflight.parity.look import open_states
from midflight.parity.ports import RunStore, Side, TokenSide, VersionSide
from midflight.parity.records import LevelOutcome, RunRecord
from midflight.parity.rules import Rules
from midflight.parity.suspects import pages_of
from midflight.parity.work import Base

EXCLUDED_AT_MOST = 100_000
"""A run with more mismatches than that is no base."""
PAGE = 1_000


def can_watch(source: Side, target: Side) -> bool:
    """Whether the sides tell versions and tokens cheaply enough for anything to be skipped."""
    return isinstance(source, VersionSide) and isinstance(target, VersionSide) and isinstance(target, TokenSide)


def ground_of(plan_fingerprint: str, rules: Mapping[str, Rules]) -> str:
    """What "equal" meant in a run: with another plan, other rules or another canonical form, nothing may be skipped."""
    said = [(entity, repr(rules[entity].ignored), repr(rules[entity].tolerated)) for entity in sorted(rules)]
    return blake2b(repr((plan_fingerprint, CANON_VERSION, said)).encode(), digest_size=16).hexdigest()


async def base_of(store: RunStore, domain: str, run: str, ground: str, entities: Iterable[str]) -> Base | None:
    """The newest finished run that compared all of these entities, on the same ground."""
    wanted = set(entities)
    for record in await store.history(domain):
        token = _token(record, ground)
        if record.run != run and token is not None and wanted <= {counts.entity for counts in record.entities}:
            excluded = await _excluded(store, record)
            return None if excluded is None else Base(run=record.run, token=token, excluded=excluded)
    return None


def _token(record: RunRecord, ground: str) -> int | None:
    full: Sequence[LevelOutcome] = [outcome for outcome in record.levels if outcome.level == "full"]
    if record.finished_at is None or not full or full[0].details.get("ground") != ground:
        return None
    token = full[0].details.get("token")
    return token if isinstance(token, int) else None


async def _excluded(store: RunStore, record: RunRecord) -> dict[str, frozenset[bytes]] | None:
    keys: dict[str, set[bytes]] = {}
    found = 0
    async for page in pages_of(store, record.domain, record.run, open_states(), PAGE):
        found += len(page)
        if found > EXCLUDED_AT_MOST:
            return None
        for mismatch in page:
            keys.setdefault(mismatch.entity, set()).add(mismatch.key)
    return {entity: frozenset(of_one) for entity, of_one in keys.items()}
