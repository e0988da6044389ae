"""Campaigns: a map of variants by name, each with an array of rewards."""

from __future__ import annotations

from random import Random
from typing import Any

from demo import mess
from demo.domains.shape import Body, Shape, moment

SIZE = 10_000
NAMES = ("control", "bold", "Größe XL", "🎁")


def key(number: int) -> Any:
    """A text; later ones fall between the seeded ones."""
    return f"C{number % SIZE:05d}" + (f"-{number}" if number >= SIZE else "")


def body(rng: Random, number: int) -> Body:
    """A campaign."""
    return {
        "title": mess.text(rng, f"Campaign {number}"),
        "state": rng.choice(("draft", "live", "ended")),
        "budget": mess.amount(rng, rng.randrange(10**9)),
        "starts_at": moment(rng),
        "ends_at": moment(rng),
        "targeting": {"tiers": ["gold"], "minimum_age": rng.randrange(16, 40)},
        "variants": {name: _variant(rng) for name in NAMES[: rng.randrange(4)]},
        "created_by": f"person-{rng.randrange(30)}",
    }


def change(rng: Random) -> Body:
    """What the application does to a campaign."""
    return rng.choice(
        (
            {"$set": {"state": rng.choice(("live", "ended")), "ends_at": moment(rng)}},
            {"$set": {"variants.bold": _variant(rng)}},
            {"$unset": {"variants.control": ""}},
            {"$set": {"budget": mess.amount(rng, rng.randrange(10**9))}},
            {"$set": {"title": mess.text(rng, "Retitled"), "targeting": {"tiers": []}}},
        )
    )


def _variant(rng: Random) -> Body:
    variant = {
        "headline": mess.text(rng, f"Up to {rng.randrange(90)} % off"),
        "weight": rng.randrange(100) / 100,
        "enabled": rng.random() < 0.8,
        "rewards": [_reward(rng) for _ in range(rng.randrange(3))],
    }
    return mess.gaps(rng, variant)


def _reward(rng: Random) -> Body:
    reward = {
        "kind": rng.choice(("points", "voucher")),
        "points": mess.whole_number(rng, rng.randrange(5_000)),
        "minimum_spend": mess.amount(rng, rng.randrange(10_000)),
    }
    return mess.gaps(rng, reward)


SHAPE = Shape(
    name="campaigns",
    size=SIZE,
    key=key,
    body=body,
    change=change,
    spoilers=(
        lambda _: {"starts_at": "tomorrow"},
        lambda _: {"budget": "a lot"},
        lambda _: {"variants": {"control": {"headline": "x", "weight": "half"}}},
        lambda _: {"state": "waiting for the approval of legal"},
    ),
)
