"""The mess of real systems: odd text, numbers of several types, fields that are null or missing; all of it still fits.

What does not fit (wrong types, bad dates, a NUL) are the flaws of the domains, see `demo.domains`.
"""

from __future__ import annotations

from random import Random
from typing import Any

from bson import Decimal128, Int64

NUL = "\x00"
LONE_BOM = "\ufeff"
COMBINING = "Zoe\u0308 A\u030angstro\u0308m"
RIGHT_TO_LEFT = "\u202bشركة النور\u202c"
EMOJI = "👩‍👩‍👧‍👦🏳️‍🌈"
ASTRAL = "𝔐𝔦𝔡𝔣𝔩𝔦𝔤𝔥𝔱"
ODD_TEXTS = (LONE_BOM, COMBINING, RIGHT_TO_LEFT, EMOJI, ASTRAL, "", " ", "tab\tand\nline", "'; drop table x; --", "\\N")
ODD_SHARE = 0.02
NULL_SHARE = 0.03
MISSING_SHARE = 0.05


def text(rng: Random, usual: str) -> str:
    """Mostly the usual text, sometimes an odd one."""
    return rng.choice(ODD_TEXTS) if rng.random() < ODD_SHARE else usual


def whole_number(rng: Random, value: int) -> int | Int64 | float:
    """The value as int32, int64 or double, as drivers of several languages leave it."""
    return rng.choice((value, value, value, Int64(value), float(value)))


def amount(rng: Random, cents: int) -> Decimal128 | int | float:
    """An amount as Decimal128 with its trailing zeros, now and then as a number of another type."""
    chance = rng.random()
    if chance < 0.04:
        return cents // 100
    return cents / 100 if chance < 0.08 else Decimal128(f"{cents // 100}.{cents % 100:02d}")


def gaps(rng: Random, document: dict[str, Any]) -> dict[str, Any]:
    """Some fields become null, some go missing; the key stays."""
    kept: dict[str, Any] = {}
    for field, value in document.items():
        chance = rng.random()
        if field == "_id" or chance > NULL_SHARE + MISSING_SHARE:
            kept[field] = value
        elif chance < NULL_SHARE:
            kept[field] = None
    return kept
