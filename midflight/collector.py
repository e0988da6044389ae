"""Python's garbage collector in a process that moves documents."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""About a thousand documents' worth. The default, 700, is less than twenty documents."""


def relax() -> None:
    """Let the collector look for cycles more rarely; call it once, when a worker starts.

    Documents, rows and batches hold no cycles: they go when their last reference goes. Yet a batch of thousands grows
    the heap in one go, which makes the collector look through all of it again and again: a third of a backfill's CPU,
    and nothing found. Peak memory stays as it is.
    """
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
