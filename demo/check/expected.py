"""The rows that a document of each domain should have become: columns by hand, as the plans promise them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from demo.check.columns import (
    Column,
    Flaw,
    any_key,
    boolean,
    digits,
    double,
    hexadecimal,
    instant,
    plain_json,
    short_text,
    text,
    whole,
)
from demo.journal import Document

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]
"""By table: the key columns, then the columns in the order given here."""

ABSENT: Any = object()
Fields = Mapping[str, tuple[str, Column]]
"""By column: the field and what the column makes of its value."""


@dataclass(frozen=True, slots=True)
class Children:
    """A child table: `elements` gives each element's place (one or more key columns) and the element."""

    table: str
    keys: tuple[str, ...]
    elements: Callable[[Document], Iterator[tuple[Row, Any]]]
    fields: Fields


@dataclass(frozen=True, slots=True)
class Layout:
    """A domain's tables."""

    key_column: str
    key: Column
    fields: Fields
    computed: Mapping[str, Callable[[Document], Any]] = field(default_factory=dict)
    children: tuple[Children, ...] = ()
    unmapped: tuple[str, ...] = ()
    """Top-level fields without a column: they are in `extra`."""


def rows_of(domain: str, document: Document) -> Rows:
    """The rows the document should have become. Flaw if it does not fit."""
    layout = LAYOUTS[domain]
    key = layout.key(document["_id"])
    computed = tuple(compute(document) for compute in layout.computed.values())
    extra = {name: document[name] for name in layout.unmapped if name in document}
    rows: Rows = {domain: [(key, *_cells(document, layout.fields), *computed, extra)]}
    for child in layout.children:
        rows[child.table] = [
            (key, *place, *_cells(element, child.fields)) for place, element in child.elements(document)
        ]
    return rows


def columns_of(domain: str) -> dict[str, list[str]]:
    """By table: the columns in the order of `rows_of`; `extra` is the root's last."""
    layout = LAYOUTS[domain]
    columns = {domain: [layout.key_column, *layout.fields, *layout.computed, "extra"]}
    return columns | {child.table: [*child.keys, *child.fields] for child in layout.children}


def _cells(place: Any, fields: Fields) -> Iterator[Any]:
    for path, column in fields.values():
        value = _at(place, path)
        yield None if value is None or value is ABSENT else column(value)


def _at(place: Any, path: str) -> Any:
    if path == ".":
        return place
    for name in path.split("."):
        if place is None or place is ABSENT:
            return ABSENT
        if not isinstance(place, dict):
            raise Flaw
        place = place.get(name, ABSENT)
    return place


def _array(path: str) -> Callable[[Document], Iterator[tuple[Row, Any]]]:
    def elements(document: Document) -> Iterator[tuple[Row, Any]]:
        for position, element in enumerate(document.get(path) or []):
            yield (position,), element

    return elements


def _variants(document: Document) -> Iterator[tuple[Row, Any]]:
    for name, variant in (document.get("variants") or {}).items():
        yield (name,), variant


def _rewards(document: Document) -> Iterator[tuple[Row, Any]]:
    for (name,), variant in _variants(document):
        for position, reward in enumerate(variant.get("rewards") or []):
            yield (name, position), reward


def _first_name(document: Document) -> str | None:
    """All but the last word; one word alone is the first name."""
    name = document.get("name")
    if name is None:
        return None
    first, space, last = text(name).rpartition(" ")
    return first if space else last


def _last_name(document: Document) -> str | None:
    name = document.get("name")
    return text(name).rpartition(" ")[2] if name is not None and " " in name else None


def _lower_email(document: Document) -> str | None:
    email = document.get("email")
    return None if email is None else text(email).lower()


def _phone(document: Document) -> str | None:
    phone = document.get("phone")
    return f"{phone['prefix']} {phone['number']}" if phone is not None else None


LAYOUTS: dict[str, Layout] = {
    "members": Layout(
        key_column="id",
        key=hexadecimal,
        fields={
            "email": ("email", text),
            "status": ("status", short_text(20)),
            "birth_date": ("birth_date", instant),
            "joined_at": ("joined_at", instant),
            "marketing_opt_in": ("marketing_opt_in", boolean),
            "points_balance": ("points.balance", whole(64)),
            "points_tier": ("points.tier", text),
            "points_expire_at": ("points.expires_at", instant),
        },
        computed={
            "first_name": _first_name,
            "last_name": _last_name,
            "email_lower": _lower_email,
            "imported_from": lambda _: "mongodb",
        },
        children=(
            Children(
                "member_addresses",
                ("member_id", "position"),
                _array("addresses"),
                {name: (name, text) for name in ("label", "street", "city", "postcode", "country")},
            ),
        ),
        unmapped=("source_system", "note", "revision"),
    ),
    "transactions": Layout(
        key_column="id",
        key=hexadecimal,
        fields={
            "member_id": ("member_id", hexadecimal),
            "merchant": ("merchant", text),
            "status": ("status", short_text(20)),
            "amount": ("amount", digits),
            "currency": ("currency", short_text(3)),
            "points_earned": ("points_earned", whole(32)),
            "created_at": ("created_at", instant),
        },
        children=(
            Children(
                "transaction_lines",
                ("transaction_id", "line"),
                _array("lines"),
                {
                    "sku": ("sku", text),
                    "quantity": ("quantity", whole(32)),
                    "unit_price": ("unit_price", digits),
                    "discount": ("discount", digits),
                },
            ),
        ),
        unmapped=("terminal", "revision"),
    ),
    "merchants": Layout(
        key_column="id",
        key=any_key,
        fields={
            "name": ("name", text),
            "category": ("category", text),
            "active": ("active", boolean),
            "commission": ("commission", double),
            "contact_email": ("contact.email", text),
            "since": ("since", instant),
        },
        computed={"phone": _phone},
        children=(
            Children("merchant_tags", ("merchant_id", "position"), _array("tags"), {"tag": (".", text)}),
            Children(
                "merchant_opening_hours",
                ("merchant_id", "position"),
                _array("opening_hours"),
                {"day": ("day", short_text(3)), "opens": ("opens", text), "closes": ("closes", text)},
            ),
        ),
        unmapped=("revision",),
    ),
    "campaigns": Layout(
        key_column="code",
        key=text,
        fields={
            "title": ("title", text),
            "state": ("state", short_text(20)),
            "budget": ("budget", digits),
            "starts_at": ("starts_at", instant),
            "ends_at": ("ends_at", instant),
            "targeting": ("targeting", plain_json),
        },
        children=(
            Children(
                "campaign_variants",
                ("campaign_code", "variant"),
                _variants,
                {"headline": ("headline", text), "weight": ("weight", double), "enabled": ("enabled", boolean)},
            ),
            Children(
                "campaign_variant_rewards",
                ("campaign_code", "variant", "position"),
                _rewards,
                {"kind": ("kind", text), "points": ("points", whole(64)), "minimum_spend": ("minimum_spend", digits)},
            ),
        ),
        unmapped=("created_by", "revision"),
    ),
}
