"""The four domains of the demonstration, by name."""

from __future__ import annotations

from demo.domains import campaigns, members, merchants, transactions
from demo.domains.shape import Shape

SHAPES: dict[str, Shape] = {
    shape.name: shape for shape in (members.SHAPE, transactions.SHAPE, merchants.SHAPE, campaigns.SHAPE)
}
