"""Whether rows give a document back byte for byte: more than that every field says the same. Pure.

The way back writes the source what the rows give, so a domain may only move while they give exactly what was there. A
target that is deeply read knows whether its rows give the image it was sent; the version says whether that image is
the source's.
"""

from __future__ import annotations

from midflight.parity.records import Entry, FieldDifference, Kind

IMAGE = "=image"
"""The path of a difference that no field shows: the same values, in other bytes (order of fields, type of a number)."""


def gives_back(source: Entry, target: Entry) -> bool | None:
    """Whether the target's rows were seen to give the source's bytes; None for rows that were written by the
    application itself, which no image of the source stands behind.
    """
    if target.faithful is None and target.token is not None:
        return None
    return target.faithful is True and source.version == target.version


def image_difference(source: Entry, target: Entry) -> FieldDifference:
    """What differs where no field does. The values name the images."""
    theirs = target.version if target.faithful else None
    return FieldDifference(IMAGE, Kind.ORDER, _named(source.version), _named(theirs))


def _named(version: bytes | None) -> tuple[str, str]:
    return ("image", "" if version is None else version.hex())
