"""The canonical digest of an entry's fields: the same for equal fields, whatever their order."""

from __future__ import annotations

from collections.abc import Mapping

from midflight.parity.records import Normal

CANON_VERSION = 1
"""Changes with every change of what is digested; digests of another version say nothing."""


def digest(fields: Mapping[str, Normal]) -> bytes:
    """16 bytes; every part carries its type and its length, so that no two different sets of fields run together."""
    raise NotImplementedError
