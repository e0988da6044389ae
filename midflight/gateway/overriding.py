"""Routes that a test sets by hand: with one in place the library asks no ledger, parks nothing and writes no shadows.

`midflight.testing.override_stage()` is the way in; nothing else writes here. The override holds for the whole process,
so that it also reaches the threads of a test client.
"""

from __future__ import annotations

from typing import Any

from midflight.core.routing import Route

overridden: dict[str, Route] = {}
"""By domain. While a domain is here, its calls go where this route says, without a ledger; a held write raises."""

named: dict[str, list[tuple[str, Any]]] = {}
"""By overridden domain: collection and `_id` of each document that a write at the source named, in that order.

This is what the shadow write would have been of. Appended to where the shadow write is left out.
"""
