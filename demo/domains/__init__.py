"""The four domains of the demonstration, by name."""

from __future__ import annotations

from dataclasses import replace

from demo.domains import campaigns, members, merchants, transactions
from demo.domains.shape import Shape

SHAPES: dict[str, Shape] = {
    shape.name: shape for shape in (members.SHAPE, transactions.SHAPE, merchants.SHAPE, campaigns.SHAPE)
}


def scaled(share: float) -> dict[str, Shape]:
    """The domains with only a share of their documents; the documents that remain are the same."""
    return {name: replace(shape, size=round(shape.size * share)) for name, shape in SHAPES.items()}
