"""Where a read goes, from what is known now; None where only a closer look can tell. Protocol section 3."""

from __future__ import annotations

from dataclasses import dataclass

from midflight.core.phase import Stage
from midflight.core.routing import Route, Side, read_side, sampled
from midflight.gateway.floors import Floor, above
from midflight.gateway.standing import Standing
from midflight.gateway.units import Unit


@dataclass(frozen=True, slots=True)
class Look:
    """The side that a read goes to, under which route. `comparable`: the other side can be expected to say the same."""

    route: Route
    side: Side
    comparable: bool = False

    @property
    def sides(self) -> tuple[Side, Side]:
        """This side, and the other."""
        return self.side, self.side.other

    @property
    def may_fall_back(self) -> bool:
        """Whether the source may be asked where the target fails."""
        return self.side is Side.TARGET and self.route.authority is Side.SOURCE


def look(
    standing: Standing, entity: bytes, floor: Floor | None, *, fresh: bool = False, target_fails: bool = False
) -> Look | None:
    """`fresh`: the route was asked for after the read began. `target_fails`: the source is wanted, if it may be."""
    route = standing.trusted
    if route is None:
        return None
    level = floor.levels.get(route.domain) if floor is not None else None
    if level is not None and level.epoch > route.epoch:
        if not fresh:
            return None
        level = None  # nobody has been there: the token is made up
    if route.authority is Side.TARGET:
        return Look(route, Side.TARGET)
    behind = standing.floors.behind(entity, route.applied_mark) or above(level, route)
    side = Side.SOURCE if behind or target_fails else read_side(route, entity)
    if side is Side.SOURCE and route.stage is Stage.HOLD and not fresh:
        return None  # the flip may have been, and nobody waits for us to see it
    return Look(route, side, comparable=not behind and sampled(route, entity))


def look_within(unit: Unit, entity: bytes) -> Look | None:
    """The same inside a unit of work, under its pinned route; what the unit itself wrote is read from the source."""
    standing, route = unit.standing, unit.route
    if standing.trusted is None:
        return None
    behind = unit.wrote(entity) or standing.floors.behind(entity, route.applied_mark)
    behind |= above(unit.floor.levels.get(route.domain), route)
    if route.authority is Side.SOURCE and behind:
        return Look(route, Side.SOURCE)
    return Look(route, read_side(route, entity))
