"""Shadow writes: draw, read, apply of the keys that the application has just written at the source.

Callers add keys and wait. A worker takes everything that has gathered, so its draw comes after every write it carries,
and under load one batch serves many callers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from midflight.core.plan import Plan
from midflight.errors import AuthorityMoved, MidflightError, TargetUnavailable
from midflight.gateway.links import Link
from midflight.gateway.policy import Policy
from midflight.gateway.poller import PlanInForce
from midflight.gateway.sources import Sources
from midflight.ports import Target
from midflight.sync import Bridge, sync_keys

WORKERS = 2
BATCH_DEADLINES = 5
"""A batch may take so many times what a caller waits: late is still better for the target than never."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Batch:
    """What has gathered for one domain; `done` becomes whether the target has it."""

    revision: int
    done: asyncio.Future[bool]
    keys: dict[str, set[bytes]] = field(default_factory=dict)

    def add(self, keys: Mapping[str, set[bytes]], revision: int) -> None:
        self.revision = max(self.revision, revision)
        for collection, touched in keys.items():
            self.keys.setdefault(collection, set()).update(touched)


class ShadowWriter:
    """Two workers, each with a connection of its own. All methods belong to the engine's loop."""

    def __init__(self, dsn: str, sources: Sources, plans: dict[str, PlanInForce], policy: Policy) -> None:
        self._links = [Link(dsn, policy.lease_seconds) for _ in range(WORKERS)]
        self._sources = sources
        self._plans = plans
        self._policy = policy
        self._queue: dict[str, _Batch] = {}
        self._filled = asyncio.Event()
        self._away = False

    async def write(self, domain: str, keys: Mapping[str, set[bytes]], revision: int) -> bool:
        """Whether the target has these keys as they are now, or newer, within `Policy.shadow_seconds`.

        False at once while the target is away. True also where the authority has moved: it drained before.
        """
        if self._away:
            return False
        batch = self._queue.get(domain)
        if batch is None:
            batch = self._queue[domain] = _Batch(revision, asyncio.get_running_loop().create_future())
        batch.add(keys, revision)
        self._filled.set()
        await asyncio.wait({batch.done}, timeout=self._policy.shadow_seconds)
        return batch.done.done() and batch.done.result()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                group.create_task(self._work(link))

    async def close(self) -> None:
        """Nobody waits any more. Call it after `run` has ended."""
        self._fail_all()
        for link in self._links:
            await link.close()

    async def _work(self, link: Link) -> None:
        while True:
            if not link.up and not await self._reopen(link):
                await asyncio.sleep(self._policy.poll_seconds)
                continue
            await self._filled.wait()
            if not self._queue:
                self._filled.clear()
                continue
            domain = next(iter(self._queue))
            batch = self._queue.pop(domain)
            try:
                done = await self._apply(link, domain, batch)
            except asyncio.CancelledError:
                batch.done.set_result(False)
                raise
            batch.done.set_result(done)

    async def _reopen(self, link: Link) -> bool:
        try:
            await link.open()
        except Exception as error:  # whatever it is, the next attempt may succeed
            if not any(each.up for each in self._links):
                self._gone(error)
            return False
        if self._away:
            _log.warning("shadow writes are made again")
        self._away = False
        return True

    async def _apply(self, link: Link, domain: str, batch: _Batch) -> bool:
        try:
            at_most = BATCH_DEADLINES * self._policy.shadow_seconds
            return await link.use(lambda target: self._sync(target, domain, batch), at_most)
        except AuthorityMoved:
            return True
        except TargetUnavailable as error:
            _log.info("a shadow write of %s was not made: %s", domain, error)
        except MidflightError as error:
            _log.warning("a shadow write of %s was not made: %s", domain, error)
        except Exception:
            _log.exception("a shadow write of %s was not made", domain)
        return False

    async def _sync(self, target: Target, domain: str, batch: _Batch) -> bool:
        plan = await self._plan(target, domain, batch.revision)
        known = {entry.collection for entry in plan.collections}
        keys = {collection: sorted(touched) for collection, touched in batch.keys.items() if collection in known}
        source = await self._sources.of(plan)
        # The application may write without waiting for a majority, which is what we read.
        applied = await sync_keys(Bridge(source, target, plan), keys, "shadow", after=await source.reader.now())
        # A document that waits for another one (a foreign key) is quarantined until the tail brings both.
        return not applied.quarantined

    async def _plan(self, target: Target, domain: str, revision: int) -> Plan:
        known = self._plans.get(domain)
        if known is None or known.revision < revision:
            known = self._plans[domain] = PlanInForce(await target.ledger.plan(domain), revision)
        return known.plan

    def _gone(self, error: Exception) -> None:
        if not self._away:
            _log.warning("shadow writes are skipped, the tail will bring them: %s", error)
        self._away = True
        self._fail_all()

    def _fail_all(self) -> None:
        waiting, self._queue = self._queue, {}
        for batch in waiting.values():
            batch.done.set_result(False)
