"""Parity over stores of one's own: two sides, a barrier and a store of runs, all in memory.

This is all that a team has to write to compare two stores of its own: `MemorySide` implements `Side`, and nothing of
what a side may offer beside. `Shop` is a world around it: a source, a target that follows it late, and vandals.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from midflight.errors import RunUnknown, Superseded
from midflight.parity.ports import RunStore
from midflight.parity.records import DELETED, Entry, Mismatch, RunRecord, Span
from midflight.parity.tally import type_name
from midflight.records import FieldCount, KeyRange, ParityProgress

Fields = Mapping[str, Any]
EVERYTHING = KeyRange()


class MemorySide:
    """A side over dictionaries: entity -> key -> entry. Keys sort as bytes."""

    def __init__(self, entries: dict[str, dict[bytes, Entry]]) -> None:
        self.entries = entries
        self.looked_at: Counter[bytes] = Counter()

    async def count(self, entity: str) -> int:
        return len(self._there(entity))

    async def ranges(self, entity: str, parts: int) -> list[KeyRange]:
        keys = self._there(entity)
        bounds = [keys[len(keys) * part // parts] for part in range(1, parts)] if keys else []
        return [KeyRange(lower, upper) for lower, upper in zip([None, *bounds], [*bounds, None], strict=True)]

    async def read(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        async for block in self.keys(entity, above=above, at_most=at_most, within=keys):
            self.looked_at.update(block)
            # What was deleted since the keys were listed is not there any more.
            found = await self.fetch(entity, block)
            if entries := [found[key] for key in block if key in found]:
                yield entries

    async def keys(
        self, entity: str, *, above: bytes | None, at_most: int, within: KeyRange = EVERYTHING
    ) -> AsyncIterator[list[bytes]]:
        while block := [key for key in self._there(entity) if _inside(key, within, above)][:at_most]:
            await asyncio.sleep(0)
            yield block
            above = block[-1]

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> Mapping[bytes, Entry]:
        await asyncio.sleep(0)
        held = self.entries.get(entity, {})
        return {key: held[key] for key in keys if key in held}

    async def sample(self, entity: str, size: int, seed: int) -> list[bytes]:
        def place(key: bytes) -> bytes:
            return hashlib.blake2b(key, salt=seed.to_bytes(16, "big")).digest()

        return sorted(self._there(entity), key=place)[:size]

    def _there(self, entity: str) -> list[bytes]:
        return sorted(key for key, entry in self.entries.get(entity, {}).items() if entry.unreadable != DELETED)


def _inside(key: bytes, keys: KeyRange, above: bytes | None) -> bool:
    if above is not None and key <= above:
        return False
    return (keys.lower is None or key >= keys.lower) and (keys.upper is None or key < keys.upper)


class GuardedSide(MemorySide):
    """A target with tokens, versions and a note of what was applied: offers what a watch run needs."""

    def __init__(self, entries: dict[str, dict[bytes, Entry]]) -> None:
        super().__init__(entries)
        self.applied: dict[tuple[str, bytes], Fields] = {}
        self.token = 0

    async def fetch(self, entity: str, keys: Sequence[bytes], *, deep: bool = False) -> Mapping[bytes, Entry]:
        found = await super().fetch(entity, keys)
        if not deep:
            return found
        return {key: self._with_faith(entity, entry) for key, entry in found.items()}

    async def last_token(self) -> int:
        return self.token

    async def read_versions(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[list[Entry]]:
        async for block in self.keys(entity, above=above, at_most=at_most, within=keys):
            found = await self.fetch_versions(entity, block)
            yield [found[key] for key in block]

    async def fetch_versions(self, entity: str, keys: Sequence[bytes]) -> Mapping[bytes, Entry]:
        found = await super().fetch(entity, keys)
        return {key: replace(entry, fields={}) for key, entry in found.items()}

    def _with_faith(self, entity: str, entry: Entry) -> Entry:
        if entry.token is None:
            return entry
        faithful = self.applied.get((entity, entry.key)) == entry.fields
        return replace(entry, faithful=faithful, image=entry.version if faithful else None)


class PicturedSide(GuardedSide):
    """Also gives images of its documents, and counts their fields."""

    def has_images(self, entity: str) -> bool:
        return True

    async def read_images(
        self, entity: str, keys: KeyRange, *, above: bytes | None, at_most: int
    ) -> AsyncIterator[dict[bytes, bytes]]:
        async for block in self.keys(entity, above=above, at_most=at_most, within=keys):
            found = await self.fetch(entity, block)
            if images := {key: image_of(found[key]) for key in block if key in found}:
                yield images

    async def images(self, entity: str, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        found = await self.fetch(entity, keys)
        return {key: image_of(entry) for key, entry in found.items() if not entry.unreadable}

    async def census(self, entity: str, *, without: Sequence[bytes] = ()) -> Mapping[str, FieldCount]:
        counts: dict[str, Counter[str]] = {}
        for entry in self.entries[entity].values():
            for path, value in entry.fields.items():
                counts.setdefault(path, Counter())[type_name(value)] += 1
        return {path: FieldCount(path, types.pop("null", 0), types) for path, types in counts.items()}


class AlikeSide(PicturedSide):
    """Also sorts as the other side does, and knows what was applied to a span."""

    def sorts_alike(self, entity: str) -> bool:
        return True

    async def pages_within(self, entity: str, span: Span, *, at_most: int) -> AsyncIterator[Mapping[bytes, bytes]]:
        async for block in self.keys(entity, above=span.after, at_most=at_most, within=span.keys):
            keys = [key for key in block if span.upto is None or key <= span.upto]
            images = await self.images(entity, keys)
            yield {key: images.get(key, b"") for key in keys}
            if len(keys) < len(block):
                return

    def images_of(self, entity: str, page: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        return page

    async def holds(self, entity: str, images: Mapping[bytes, bytes], span: Span, *, token: int) -> bool:
        held = {
            key: entry
            for key, entry in self.entries[entity].items()
            if _inside(key, span.keys, span.after) and (span.upto is None or key <= span.upto)
            if entry.unreadable != DELETED
        }
        if held.keys() != images.keys():
            return False
        # By what was applied, as guards say it: not by what the rows have now.
        applied = {key: image_of(Entry(key, self.applied.get((entity, key), {}))) for key in held}
        return applied == images and all(entry.token is not None and entry.token <= token for entry in held.values())


def image_of(entry: Entry) -> bytes:
    """Bytes that no other fields have."""
    return repr((sorted(entry.fields.items()), entry.unreadable)).encode()


def version_of(fields: Fields) -> bytes:
    """The digest of an image."""
    return hashlib.blake2b(repr(sorted(fields.items())).encode(), digest_size=16).digest()


class Shop:
    """A source that is written, a target that follows it as fast as it is told to, and rogue writers."""

    sides: type[GuardedSide] = GuardedSide

    def __init__(self, entity: str = "orders") -> None:
        self.entity = entity
        self.source = self.sides({entity: {}})
        self.target = self.sides({entity: {}})
        self.feed: deque[bytes] = deque()
        self.meanwhile: Callable[[], None] = lambda: None
        """What the world does while a run waits for the barrier."""
        self.stuck = False
        self.applied = 0

    def put(self, key: bytes, **fields: Any) -> None:
        """An application writes at the source."""
        self.source.entries[self.entity][key] = Entry(key, fields, version_of(fields))
        self.feed.append(key)

    def delete(self, key: bytes) -> None:
        """An application deletes at the source."""
        del self.source.entries[self.entity][key]
        self.feed.append(key)

    def follow(self, events: int | None = None) -> None:
        """The tail applies so many events; all of them where no number is given."""
        for _ in range(len(self.feed) if events is None else min(events, len(self.feed))):
            self.sync(self.feed.popleft())
            self.applied += 1

    def sync(self, key: bytes) -> None:
        """Draw, read, apply."""
        self.target.token += 1
        now = self.source.entries[self.entity].get(key)
        fields = dict(now.fields) if now else {}
        version, gone = (now.version, "") if now else (None, DELETED)
        self.target.applied[self.entity, key] = fields
        entry = Entry(key, fields, version, self.target.token, unreadable=gone)
        self.target.entries[self.entity][key] = entry

    def vandalise(self, key: bytes, **fields: Any) -> None:
        """Somebody writes at the target, past the guard."""
        held = self.target.entries[self.entity].get(key, Entry(key, {}))
        self.target.entries[self.entity][key] = replace(held, fields={**held.fields, **fields}, unreadable="")

    def lose(self, key: bytes) -> None:
        """The row of a key is gone, and the guard knows nothing of it."""
        del self.target.entries[self.entity][key]

    async def passed(self, within_seconds: float) -> bool:
        """The barrier: the world goes on, then the target has followed."""
        due = len(self.feed) + self.applied
        self.meanwhile()
        if not self.stuck:
            self.follow(max(0, due - self.applied))
        return not self.stuck


@dataclass
class MemoryRuns:
    """Implements `RunStore`. What it keeps is what a killed run finds again."""

    runs: dict[tuple[str, str], RunRecord] = field(default_factory=dict)
    places: dict[tuple[str, str, str], dict[int, ParityProgress]] = field(default_factory=dict)
    found: dict[tuple[str, str], dict[tuple[str, bytes], Mismatch]] = field(default_factory=dict)
    steps: list[tuple[str, int, bytes | None, bytes | None]] = field(default_factory=list)
    """Every committed step of a range: entity, number, from, to."""

    async def begin(self, record: RunRecord, ranges: Mapping[str, Sequence[KeyRange]]) -> None:
        if (record.domain, record.run) in self.runs:
            return
        self.runs[record.domain, record.run] = record
        self.found[record.domain, record.run] = {}
        for entity, of_one in ranges.items():
            new = {n: ParityProgress(n, keys, None, 0, 0, 0, False) for n, keys in enumerate(of_one)}
            self.places[record.domain, record.run, entity] = new

    async def record(self, domain: str, run: str) -> RunRecord:
        try:
            return self.runs[domain, run]
        except KeyError:
            raise RunUnknown(f"No run {run} of {domain}.") from None

    async def progress(self, domain: str, run: str, entity: str) -> list[ParityProgress]:
        return list(self.places.get((domain, run, entity), {}).values())

    async def advance(
        self, domain: str, run: str, entity: str, moved: ParityProgress, found: Sequence[Mismatch]
    ) -> None:
        places = self.places[domain, run, entity]
        held = places[moved.number]
        if held.batches != moved.batches:
            raise Superseded(f"Another attempt moved range {moved.number}.")
        places[moved.number] = replace(moved, batches=moved.batches + 1)
        self.steps.append((entity, moved.number, held.cursor, moved.cursor))
        await self.judge(domain, run, found)

    async def mismatches(
        self,
        domain: str,
        run: str,
        *,
        states: Sequence[str] = (),
        after: tuple[str, bytes] | None = None,
        at_most: int = 1_000,
    ) -> list[Mismatch]:
        found = sorted(self.found[domain, run].items())
        wanted = [one for at, one in found if (not states or one.state in states) and (after is None or at > after)]
        return wanted[:at_most]

    async def judge(self, domain: str, run: str, looked_at: Sequence[Mismatch]) -> None:
        self.found[domain, run].update({(one.entity, one.key): one for one in looked_at})

    async def finish(self, record: RunRecord) -> None:
        self.runs[record.domain, record.run] = record

    async def history(self, domain: str, at_most: int = 50) -> list[RunRecord]:
        return [record for (of, _), record in reversed(self.runs.items()) if of == domain][:at_most]


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """A store of runs in front of which the process dies: just before its n-th commit, or just after it."""

    def __init__(self, store: RunStore, number: int, *, committed: bool) -> None:
        self._store, self._left, self._committed = store, number, committed
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        return self._dying(call) if name in ("begin", "advance", "judge", "finish") else call

    def _dying(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def dies(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            self.commits += 1
            if self._left < 0 or (self._left == 0 and not self._committed):
                raise Killed
            answer = await call(*arguments, **named)
            if self._left == 0:
                raise Killed
            return answer

        return dies
