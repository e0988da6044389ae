"""Documents of the source as entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON

from midflight.core.documents import Document, read_document
from midflight.core.keys import key_bytes
from midflight.core.plan import Child, CollectionMap, TransformMap
from midflight.core.transforms import MISSING as NO_FIELD
from midflight.core.transforms import find_transform
from midflight.parity.forms.constants import constant_fields
from midflight.parity.forms.normal import Hidden, unreadable
from midflight.parity.forms.places import Place, names_of, spread, spread_document
from midflight.parity.records import Entry, Normal

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


class SourceForm:
    """Reads the documents of one collection. PlanError for a transform that does not exist, and for an unfit constant.

    What the target should hold beside a document's fields is said, too: columns that transforms compute, and constants.

    `strict` looks for what the driver's decoder hides (a name twice, deprecated types) in every document, which costs
    about as much as everything else here but decoding.
    """

    def __init__(self, collection: CollectionMap, *, strict: bool = True) -> None:
        self.collection = collection
        self._strict = strict
        self._root = Place()
        computed = _Computed(collection)
        self._computed = computed if computed.has_any else None
        self._constants = constant_fields(collection.constants)

    def entry(self, raw: bytes) -> Entry:
        """The entry of one document, from its BSON bytes; `unreadable` where they cannot be told exactly."""
        try:
            body = bson.decode(raw, _OPTIONS)
            if self._strict and bson.encode(body, codec_options=_OPTIONS) != raw:
                return self._careful(raw)
            return self._entry(key_bytes(body["_id"]), body, raw)
        except (InvalidBSON, KeyError, Hidden):
            return self._careful(raw)

    def _entry(self, key: bytes, body: dict[str, Any], raw: bytes) -> Entry:
        fields: dict[str, Normal] = {}
        spread_document(body, self._root, fields)
        if self._computed is not None:
            self._computed.add(body, self._root, fields)
        if self._constants:
            fields.update(self._constants)
        return Entry(key, fields, blake2b(raw, digest_size=16).digest())

    def _careful(self, raw: bytes) -> Entry:
        document = read_document(raw)
        if isinstance(document, Document):
            return self._entry(document.key, document.body, raw)
        where = f"field `{document.field}`: " if document.field else ""
        return Entry(document.key, {}, document.checksum, unreadable=f"{where}{document.reason}")


class _Computed:
    """The columns that transforms compute and cannot give back, of a document or element and of all inside it."""

    def __init__(self, plan: CollectionMap | Child) -> None:
        self._transforms = [_Forward(transform) for transform in plan.transforms if transform.back is None]
        inner = [(names_of(child.path), _Computed(child)) for child in plan.children]
        self._children = [(names, computed) for names, computed in inner if computed.has_any]

    @property
    def has_any(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self._transforms or self._children)

    def add(self, body: Any, place: Place, fields: dict[str, Normal]) -> None:
        """Put `=column` into the fields, for each column."""
        for transform in self._transforms:
            transform.add(body, place, fields)
        for names, computed in self._children:
            for position, element in _elements(value_at(body, names)):
                computed.add(element, place.at(names)[position], fields)


class _Forward:
    """One computing transform."""

    def __init__(self, plan: TransformMap) -> None:
        self._names = [names_of(path) for path in plan.fields]
        self._columns = [spec.column for spec in plan.columns]
        self._forward = find_transform(plan.forward)

    def add(self, body: Any, place: Place, fields: dict[str, Normal]) -> None:
        """Put what it makes of the body into the fields."""
        for column, value in zip(self._columns, self._made(body), strict=True):
            if value is not None and value is not NO_FIELD:
                spread(value, place.column(column), fields)

    def _made(self, body: Any) -> Sequence[Any]:
        try:
            made = self._forward(*(value_at(body, names) for names in self._names))
            return (made,) if len(self._columns) == 1 else tuple(made)
        except Exception as why:  # a customer's function: its own words could contain the value
            return [unreadable(f"the transform failed with {type(why).__name__}")] * len(self._columns)


def value_at(body: Any, names: Sequence[str]) -> Any:
    """The value that the names lead to, the transforms' MISSING if there is none."""
    for name in names:
        if not isinstance(body, Mapping) or name not in body:
            return NO_FIELD
        body = body[name]
    return body


def _elements(value: Any) -> Iterator[tuple[str | int, Any]]:
    if type(value) is list:
        yield from enumerate(value)
    elif type(value) is dict:
        yield from value.items()
