"""Single fields in images: all cells of one column at once, with what is kept beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from midflight.core.transforms import MISSING as NO_FIELD
from midflight.parity.forms.columns import reader_of
from midflight.parity.forms.image_cells import NULL, NoImage, Write, element, writer_of
from midflight.parity.forms.image_sheet import Sheet
from midflight.parity.forms.normal import normal
from midflight.parity.forms.rest import Json, exact_of, parsed, value_of

Residues = Sequence[Json | None] | None
"""By row: what the rest column has under a document's name; None where no row has anything."""
_NUMBERS = (int, float, Decimal128)


class Part(Protocol):
    """What the plan says about one name."""

    def elements(self, name: bytes, sheet: Sheet, residues: Residues) -> list[bytes]:
        """By row: the element; nothing where there is no such field. `residues` are those under this name."""


class _Cells:
    """A field in a column whose type says its BSON type."""

    def __init__(self, path: str, slot: int, type_text: str, kind: bytes, write: Write) -> None:
        self._path = path
        self._slot = slot
        self._kind = kind
        self._write = write
        self._read = reader_of(type_text).read

    def elements(self, name: bytes, sheet: Sheet, residues: Residues) -> list[bytes]:  # noqa: ARG002
        """Of the cells; of the exact value that is kept instead, while it says what the cell says."""
        cells = sheet.columns[self._slot]
        head = self._kind + name
        if None in cells:
            there = iter(self._write(head, [cell for cell in cells if cell is not None]))
            written = [b"" if cell is None else next(there) for cell in cells]
        else:
            written = self._write(head, cells)
        for number, packed in sheet.exact(self._path):
            written[number] = self._exact(name, cells[number], exact_of(packed), written[number])
        return written

    def _exact(self, name: bytes, cell: Any, exact: Any, written: bytes) -> bytes:
        if cell is None:
            return NULL + name if exact is None else b""
        said = cell if self._read is None else self._read(cell)
        return element(name, exact) if normal(exact) == said else written


class _Trees:
    """A field in a column that holds values of any type, as JSON."""

    def __init__(self, path: str, slot: int, type_text: str) -> None:
        self._path = path
        self._slot = slot
        self._holds_null = reader_of(type_text).holds_null

    def elements(self, name: bytes, sheet: Sheet, residues: Residues) -> list[bytes]:  # noqa: ARG002
        """What the texts say; beside them only the type of a number is expected to be kept."""
        cells = sheet.columns[self._slot]
        values = [NO_FIELD if cell is None else value_of(parsed(cell)) for cell in cells]
        if any(type(value) is ObjectId and str(value) not in cell for value, cell in zip(values, cells, strict=True)):
            raise NoImage("no ObjectId as it is written here")
        written = [b"" if value is NO_FIELD else element(name, value) for value in values]
        for number, packed in sheet.exact(self._path):
            exact = exact_of(packed)
            if cells[number] is None and exact is None and not self._holds_null:
                written[number] = NULL + name
                continue
            if not isinstance(exact, _NUMBERS) or normal(exact) != normal(values[number]):
                raise NoImage("a JSON column, and another value beside it")
            written[number] = element(name, exact)
        return written


def cells_of(path: str, slot: int, type_text: str) -> Part:
    """The part for one field in one column."""
    written = writer_of(type_text)
    return _Trees(path, slot, type_text) if written is None else _Cells(path, slot, type_text, *written)
