"""Whether rows give a document back byte for byte: more than that every field says the same. Pure.

The way back writes the source what the rows give, so a domain may only move while they give exactly what was there. A
target that is deeply read names the image that its rows give.
"""

from __future__ import annotations

from midflight.parity.records import Entry, FieldDifference, Kind

IMAGE = "=image"
"""The path of a difference that no field shows: the same values, in other bytes (order of fields, type of a number)."""


def gives_back(source: Entry, target: Entry) -> bool:
    """Whether the target's rows were seen to give the source's bytes, whoever wrote them; the ledger is not asked."""
    return target.image is not None and target.image == source.version


def image_difference(source: Entry, target: Entry) -> FieldDifference:
    """What differs where no field does. The values name the images."""
    return FieldDifference(IMAGE, Kind.ORDER, _named(source.version), _named(target.image))


def _named(version: bytes | None) -> tuple[str, str]:
    return ("image", "" if version is None else version.hex())
