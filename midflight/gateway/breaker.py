"""A circuit breaker: a store that fails again and again is left alone for a while, then asked once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from midflight.clock import seconds as monotonic


class Breaker:
    """Opens after `failures` failures in a row, for `seconds`; then one probe decides. Thread-safe."""

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._failures, self._seconds, self._clock = failures, seconds, clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._asked_again_at: float | None = None

    def allows(self) -> bool:
        """Whether the store may be asked now. After the pause, True once: the probe; its outcome must be told."""
        with self._lock:
            if self._asked_again_at is None:
                return True
            if self._clock() < self._asked_again_at:
                return False
            # A probe whose outcome is never told (its process was cancelled) must not keep the breaker open for ever.
            self._asked_again_at = self._clock() + self._seconds
            return True

    def succeeded(self) -> None:
        """The store answered."""
        with self._lock:
            self._in_a_row, self._asked_again_at = 0, None

    def failed(self) -> None:
        """The store did not answer in time, or is away."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= self._failures:
                self._asked_again_at = self._clock() + self._seconds
