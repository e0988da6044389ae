"""Search attributes of MigrateDomain: what an operator can list and filter by, also with no worker running.

Plain names and types, so that the server's start, the compose file and the workflow read the same table.
"""

from __future__ import annotations

from typing import Final, Literal

SearchAttributeType = Literal["Keyword", "Double", "Int"]

DOMAIN: Final = "MidflightDomain"
PHASE: Final = "MidflightPhase"
STATE: Final = "MidflightState"
WAITING_FOR: Final = "MidflightWaitingFor"
PERCENT: Final = "MidflightPercent"
LAG_SECONDS: Final = "MidflightLagSeconds"
MISMATCHES: Final = "MidflightMismatches"

SEARCH_ATTRIBUTES: Final[dict[str, SearchAttributeType]] = {
    DOMAIN: "Keyword",
    PHASE: "Keyword",
    STATE: "Keyword",
    WAITING_FOR: "Keyword",
    PERCENT: "Double",
    LAG_SECONDS: "Double",
    MISMATCHES: "Int",
}
