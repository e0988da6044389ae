"""Members: one flat document with sub-documents and an array of addresses."""

from __future__ import annotations

from random import Random
from typing import Any

from demo import mess
from demo.domains.shape import Body, Shape, is_flawed, moment, object_id

SIZE = 20_000
TAG = 1
TIERS = ("bronze", "silver", "gold", "platinum")
FIRST_NAMES = ("Ada", "Bjørn", "Chloé", "Dušan", "Eleni", "Fatima", "Grace", "Hiroshi", "Ýrsa", "José")
LAST_NAMES = ("Lovelace", "Ångström", "Núñez", "Okafor", "O'Neil", "van der Berg", "Smith-Jones", "李")
CITIES = ("Berlin", "Kraków", "São Paulo", "東京", "Reykjavík", "القاهرة")
FLAWED_KEY_EVERY = 4_000
WITH_NUL = 407


def key(number: int) -> Any:
    """An ObjectId; a few of the oldest members still have a text, which the target's key column does not hold."""
    if is_flawed(number) and number % FLAWED_KEY_EVERY == 3_607:
        return f"legacy-{number}"
    return object_id(TAG, number, SIZE)


def body(rng: Random, number: int) -> Body:
    """A member."""
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    return {
        "name": mess.text(rng, f"{first} {last}"),
        "email": f"{first}.{number}@Example.org",
        "status": rng.choice(("active", "active", "active", "frozen", "left")),
        "birth_date": moment(rng),
        "joined_at": moment(rng),
        "marketing_opt_in": rng.random() < 0.5,
        "points": _points(rng),
        "addresses": [_address(rng, label) for label in ("home", "work")[: rng.randrange(3)]],
        "source_system": "crm-2",
    }


def change(rng: Random) -> Body:
    """What the application does to a member."""
    return rng.choice(
        (
            {"$inc": {"points.balance": rng.randrange(1, 500)}},
            {"$set": {"status": rng.choice(("active", "frozen")), "joined_at": moment(rng)}},
            {"$set": {"addresses": [_address(rng, "home")], "name": mess.text(rng, "Renamed Member")}},
            {"$unset": {"birth_date": ""}},
            {"$set": {"points.tier": rng.choice(TIERS), "note": f"note {rng.randrange(1000)}"}},
        )
    )


def _points(rng: Random) -> Body:
    points = {
        "balance": mess.whole_number(rng, rng.randrange(100_000)),
        "tier": rng.choice(TIERS),
        "expires_at": moment(rng),
    }
    return mess.gaps(rng, points)


def _address(rng: Random, label: str) -> Body:
    address = {
        "label": label,
        "street": mess.text(rng, f"Main Street {rng.randrange(200)}"),
        "city": rng.choice(CITIES),
        "postcode": f"{rng.randrange(100_000):05d}",
        "country": rng.choice(("DE", "PL", "BR", "JP")),
    }
    return mess.gaps(rng, address)


SHAPE = Shape(
    name="members",
    size=SIZE,
    key=key,
    body=body,
    change=change,
    spoilers=(
        lambda rng: {"joined_at": f"{rng.randrange(1990, 2020)}-02-30"},
        lambda _: {"birth_date": "unknown"},
        lambda rng: {"marketing_opt_in": rng.choice(("yes", "no"))},
        lambda rng: {"points.expires_at": rng.randrange(2_000_000_000)},
        lambda _: {"status": "waiting for a decision of the board"},
    ),
    rarities={WITH_NUL: {"email": f"nul{mess.NUL}l@example.org"}},
)
