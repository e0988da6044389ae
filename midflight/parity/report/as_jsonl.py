"""Every mismatch of a run as one line of JSON, format `parity-mismatch/1`: for grep, jq, and whatever comes after.

Lines are made one by one, so that a run with any number of mismatches can be written.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from midflight.parity.ports import RunStore
from midflight.parity.records import FieldDifference, Mismatch, RunRecord
from midflight.parity.report import gathering
from midflight.parity.report.as_json import instant, side
from midflight.parity.report.groups import cause_of
from midflight.parity.report.model import Asked
from midflight.parity.report.values import Showing
from midflight.parity.report.wording import key_shown
from midflight.parity.suspects import pages_of

FORMAT = "parity-mismatch/1"


def lines(record: RunRecord, mismatches: Iterable[Mismatch], asked: Asked) -> Iterator[str]:
    """One line a mismatch, each with its line feed, in ASCII; cleared and repaired ones too."""
    showing = Showing.of(asked.rules, values=asked.values)
    head = {"format": FORMAT, "domain": record.domain, "run": record.run}
    for mismatch in mismatches:
        yield json.dumps({**head, **_mismatch(mismatch, showing)}, allow_nan=False) + "\n"


async def stream(store: RunStore, domain: str, run: str, asked: Asked) -> AsyncIterator[str]:
    """The lines of a run that is kept in the store. RunUnknown."""
    record = await store.record(domain, run)
    async for page in pages_of(store, domain, run, (), gathering.PAGE):
        for line in lines(record, page, asked):
            yield line


def _mismatch(mismatch: Mismatch, showing: Showing) -> dict[str, Any]:
    return {
        "entity": mismatch.entity,
        "key": key_shown(mismatch.key),
        "key_bytes": mismatch.key.hex(),
        "kind": mismatch.kind.value,
        "cause": mismatch.cause.value,
        "state": mismatch.state.value,
        "first_seen": instant(mismatch.first_seen),
        "last_seen": instant(mismatch.last_seen),
        "rounds": mismatch.rounds,
        "resets": mismatch.resets,
        "source_version": mismatch.source_version and mismatch.source_version.hex(),
        "target_version": mismatch.target_version and mismatch.target_version.hex(),
        "token": mismatch.token,
        "fields": [_field(mismatch, one, showing) for one in mismatch.fields],
    }


def _field(mismatch: Mismatch, difference: FieldDifference, showing: Showing) -> dict[str, Any]:
    source, target = showing.sides(difference)
    return {
        "path": difference.path,
        "kind": difference.kind.value,
        "cause": cause_of(mismatch, difference).value,
        "source": side(source),
        "target": side(target),
    }
