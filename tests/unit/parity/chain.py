"""The whole way from a document and its rows to a mismatch as it is kept: a run over sides that lie in memory.

Source and target are read by the forms that runs use, guards and rebuilt documents looked at as the target's side does.
Beside the seeded key there are others that nobody touched: a run that finds anything there is a false alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import bson

from midflight.core.mapping import mapper_for
from midflight.core.outcome import Row
from midflight.core.plan import CollectionMap
from midflight.parity.forms.image_form import ImageForm, has_images
from midflight.parity.forms.target_form import TargetForm
from midflight.parity.harness import Parity
from midflight.parity.kept import differences_from_json, differences_to_json
from midflight.parity.policy import Policy
from midflight.parity.records import Cause, Entry, Kind, Mismatch, State
from midflight.parity.target_entries import entries_of
from midflight.records import Guard, RowsAndGuards
from tests.unit.parity.corpus import OID, rows_of, source
from tests.unit.parity.memory import MemoryRuns, MemorySide

ENTITY = "things"
TWINS = 12
UNTOUCHED = {b"twin %02d" % number for number in range(TWINS)}
Named = Mapping[str, tuple[Kind, Cause]]
"""By path: how a field differs, and why."""


class Passed:
    """The tail has passed everything: nothing that differs is only late."""

    async def passed(self, within_seconds: float) -> bool:
        return True


@cache
def form_of(plan: CollectionMap) -> TargetForm:
    return TargetForm(plan)


def stored(plan: CollectionMap, key: bytes, rows: Sequence[Sequence[Row]], guard: Guard | None) -> Entry | None:
    """The target's entry of a key, looked at closely; None where it has neither rows nor guard."""
    row_key = mapper_for(plan).row_key(key)
    found = RowsAndGuards({row_key: tuple(map(list, rows))} if rows[0] else {}, {key: guard} if guard else {})
    return entries_of(form_of(plan), mapper_for(plan), {key: row_key}, found).get(key)


def guard_of(plan: CollectionMap, body: dict[str, Any], token: int = 7) -> Guard:
    """The guard row that says: this document was applied."""
    return Guard(token, source(plan, body).version)


async def run(sources: Mapping[bytes, Entry], targets: Mapping[bytes, Entry]) -> dict[bytes, Mismatch]:
    """Everything that a run finds; values as they come back from where they are kept."""
    store = MemoryRuns()
    left, right = (MemorySide({ENTITY: dict(entries)}) for entries in (sources, targets))
    policy = Policy(batch_size=500, range_size=50_000)
    parity = Parity(left, right, Passed(), store, {}, domain="d", entities=[ENTITY], policy=policy)
    await parity.run("r", levels=("census", "full"))
    found = {key: one for (_, key), one in store.found["d", "r"].items()}
    kept = {key: differences_from_json(differences_to_json(one.fields)) for key, one in found.items()}
    assert kept == {key: one.fields for key, one in found.items()}
    return found


def twins(plan: CollectionMap, body: dict[str, Any]) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    """Keys that say the same on both sides, all with the fields of this document."""
    sound = stored(plan, source(plan, body).key, rows_of(plan, body), guard_of(plan, body))
    assert sound is not None
    sources = {key: replace(source(plan, body), key=key) for key in UNTOUCHED}
    return sources, {key: replace(sound, key=key) for key in UNTOUCHED}


def equal_by_bytes(plan: CollectionMap, body: dict[str, Any], rows: Sequence[Sequence[Row]]) -> bool:
    """Whether the first look of a run, at bytes, takes the rows for the document's."""
    if not (rows[0] and has_images(plan)):
        return False
    return ImageForm(plan).images(rows).get(rows[0][0][0]) == bson.encode(body)


async def judged(
    plan: CollectionMap,
    body: dict[str, Any] | None,
    rows: Sequence[Sequence[Row]],
    *,
    guard: Guard | None,
    usual: dict[str, Any] | None = None,
) -> Mismatch:
    """What a run says of the one key whose document and rows these are. It must say so for good, and of no other key.

    `body` is None where the source has no such document; `usual` is what other keys hold, then and where it is given.
    """
    whole = usual or body or {"_id": OID}
    key = source(plan, body or whole).key
    sources, targets = twins(plan, whole)
    if (held := stored(plan, key, rows, guard)) is not None:
        targets[key] = held
    if body is not None:
        sources[key] = source(plan, body)
        assert not equal_by_bytes(plan, body, rows), "a run would not have looked at the fields"
    found = await run(sources, targets)
    assert set(found) == {key}, "not exactly the seeded key was found"
    assert found[key].state is State.SETTLED
    return found[key]


async def seeded(plan: CollectionMap, body: dict[str, Any], rows: Sequence[Sequence[Row]]) -> tuple[Cause, Named]:
    """The cause, and the fields, of rows that should hold this document by their guard."""
    found = await judged(plan, body, rows, guard=guard_of(plan, body))
    return found.cause, {one.path: (one.kind, one.cause) for one in found.fields}
