"""Draw a sample of keys while they go by: each has the same chance, and a seed says which are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from heapq import nsmallest


class Draw:
    """Keeps the `size` keys whose hashes are the smallest."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._salt = seed.to_bytes(16, "big", signed=True)
        self._kept: list[tuple[bytes, bytes]] = []
        self._limit = b"\xff" * 9
        """Above every hash, until so many keys are kept that larger ones need not be."""

    def add(self, keys: Sequence[bytes]) -> None:
        """These keys go by."""
        salt, limit = self._salt, self._limit
        hashed = [(blake2b(key, digest_size=8, salt=salt).digest(), key) for key in keys]
        self._kept += [one for one in hashed if one[0] < limit]
        # Twice as many, so that sorting is rare.
        if len(self._kept) > 2 * self._size:
            self._kept = nsmallest(self._size, self._kept)
            self._limit = self._kept[-1][0] if self._kept else b""

    def keys(self) -> list[bytes]:
        """The sample, in order of the hashes."""
        return [key for _, key in nsmallest(self._size, self._kept)]
