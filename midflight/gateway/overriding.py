"""Routes that a test sets by hand: with one in place the library asks no ledger, parks nothing and writes no shadows.

`midflight.testing.override_stage()` is the way in; nothing else writes here. The override holds for the whole process,
so that it also reaches the threads of a test client.
"""

from __future__ import annotations

from midflight.core.routing import Route

overridden: dict[str, Route] = {}
"""By domain. While a domain is here, its calls go where this route says, without a ledger; a held write raises."""
