"""Rows and guards of the target as entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midflight.core.documents import digest
from midflight.core.mapping import Mapper
from midflight.core.outcome import Row
from midflight.parity.forms.target_form import TargetForm, Unreadable
from midflight.parity.records import DELETED, QUARANTINED, Entry, Normal
from midflight.records import Guard, RowsAndGuards

NOTHING: Mapping[str, Normal] = {}


def entries_of(
    form: TargetForm, mapper: Mapper | None, row_keys: Mapping[bytes, Any], found: RowsAndGuards
) -> dict[bytes, Entry]:
    """By key; a key that has neither rows nor guard is not there. With a mapper also whether rows give their image."""
    entries: dict[bytes, Entry] = {}
    for key, row_key in row_keys.items():
        guard, rows = found.guards.get(key), found.rows.get(row_key)
        if rows is not None and not (guard and guard.quarantined):
            entries[key] = _entry(form, mapper, key, rows, guard)
        elif guard is not None:
            entries[key] = _without_rows(key, guard)
    return entries


def _entry(
    form: TargetForm, mapper: Mapper | None, key: bytes, rows: tuple[list[Row], ...], guard: Guard | None
) -> Entry:
    version, token = (None, None) if guard is None else (_image(guard), guard.token)
    image = None if mapper is None else _given_by(mapper, rows)
    faithful = _faithful(image, guard, asked=mapper is not None)
    try:
        return Entry(key, form.fields(rows), version, token, faithful, image=image)
    except Unreadable as why:
        return Entry(key, NOTHING, version, token, faithful, str(why), image)


def _faithful(image: bytes | None, guard: Guard | None, *, asked: bool) -> bool | None:
    """None where nothing was applied that the rows could be compared with, or nobody asks."""
    if guard is None or guard.written_here:
        return None
    if guard.deleted:
        return False
    return image == guard.checksum if asked else None


def _given_by(mapper: Mapper, rows: tuple[list[Row], ...]) -> bytes | None:
    """The digest of the document that the rows give; None where they give none."""
    try:
        return digest(mapper.unmap(rows))
    except Exception:  # Unfit, or a rest column that is none of ours and fails anywhere on the way
        return None


def _without_rows(key: bytes, guard: Guard) -> Entry:
    """No rows, whatever the guard says of them: where it says that there are some, somebody took them away."""
    if guard.quarantined:
        return version_of(key, guard)
    taken = not guard.deleted and not guard.written_here
    version, faithful = (guard.checksum, False) if taken else (None, None)
    return Entry(key, NOTHING, version, guard.token, faithful, DELETED)


def version_of(key: bytes, guard: Guard) -> Entry:
    """What the guard alone says of the key, without fields."""
    unreadable = QUARANTINED if guard.quarantined else DELETED if guard.deleted else ""
    return Entry(key, NOTHING, _image(guard), guard.token, unreadable=unreadable)


def _image(guard: Guard) -> bytes | None:
    """What the application wrote has no digest of a document: its mark names it."""
    return guard.token.to_bytes(8, "big") if guard.written_here else guard.checksum
