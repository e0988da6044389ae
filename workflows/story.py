"""How a move tells its story in Temporal Web: search attributes, memo and current details, from the state alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

with workflow.unsafe.imports_passed_through():
    from midflight.contracts import search_attributes
    from midflight.contracts.domain import DomainState, State
    from midflight.core.phase import ORDER, Phase

DOMAIN = SearchAttributeKey.for_keyword(search_attributes.DOMAIN)
PHASE = SearchAttributeKey.for_keyword(search_attributes.PHASE)
STATE = SearchAttributeKey.for_keyword(search_attributes.STATE)
WAITING_FOR = SearchAttributeKey.for_keyword(search_attributes.WAITING_FOR)
PERCENT = SearchAttributeKey.for_float(search_attributes.PERCENT)
LAG = SearchAttributeKey.for_float(search_attributes.LAG_SECONDS)
MISMATCHES = SearchAttributeKey.for_int(search_attributes.MISMATCHES)
NAP = timedelta(hours=1)


class Story:
    """Upserts what changed, and only that: each upsert is an event."""

    def __init__(self) -> None:
        self._told: dict[str, Any] = {}
        self._memo: dict[str, Any] = {}

    def tell(self, state: DomainState) -> None:
        """Bring Temporal Web up to date."""
        pairs = [pair for pair in _pairs(state) if self._told.get(pair.key.name) != pair.value]
        if pairs:
            workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in pairs])
            self._told.update({pair.key.name: pair.value for pair in pairs})
        memo = memo_of(state)
        if memo != self._memo:
            workflow.upsert_memo({"status": memo})
            self._memo = memo
        workflow.set_current_details(details_of(state))

    def attributes(self, state: DomainState) -> TypedSearchAttributes:
        """The search attributes of a child."""
        return TypedSearchAttributes(
            [SearchAttributePair(DOMAIN, state.domain), SearchAttributePair(PHASE, state.phase.value)]
        )


def state_of(state: DomainState) -> State:
    """The one word for how the move is doing."""
    if state.phase is Phase.DONE:
        return "done"
    if state.abandoned:
        return "abandoned"
    if state.pause is not None:
        return "paused"
    if state.parked:
        return "attention" if state.problem else "rolled_back"
    return "waiting" if state.gate is not None and state.gate.needs_approval else "running"


def percent_of(state: DomainState) -> float:
    """How much of the runbook is behind, in phases; coarse on purpose."""
    return round(100 * ORDER.index(state.phase) / (len(ORDER) - 1), 1)


def memo_of(state: DomainState) -> dict[str, Any]:
    """What an operator sees with no worker running."""
    return {
        "phase": state.phase.value,
        "state": state.state,
        "stage": state.stage.value,
        "reads_percent": state.reads_percent,
        "waiting_for": state.waiting_for,
        "problem": state.problem,
    }


def details_of(state: DomainState) -> str:
    """Short Markdown: headings and lines, because the page draws tables without borders."""
    lines = [f"## {state.domain}: {state.phase.value}", "", f"- **state** {state.state}"]
    lines.append(f"- **stage** {state.stage.value}, {state.reads_percent:g} % of reads at the target")
    if state.waiting_for:
        lines.append(f"- **waiting for** {state.waiting_for}")
    if state.problem:
        lines += ["", "### Needs attention", "", state.problem]
    lines += _collections(state)
    if state.gate is not None:
        lines += ["", f"### Gate {state.gate.gate}", "", f"- **evidence** `{state.gate.evidence_hash}`"]
        lines += [f"- {reason}" for reason in state.gate.reasons]
        lines += [f"- **approved by** {person}" for person in state.gate.approved_by]
        lines += _forecast(state)
    return "\n".join(lines)


def _forecast(state: DomainState) -> list[str]:
    seconds = state.evidence.hold_forecast_seconds if state.evidence else None
    return [] if seconds is None else [f"- **writes would wait** about {seconds * 1000:,.0f} ms"]


def naps(seconds: float) -> Iterator[timedelta]:
    """A long wait in pieces, so that a full history is noticed; one piece at least.

    Nobody may look at the clock between them, or not sleep at all: a worker that takes over when the sticky task of a
    dead one has timed out is told the time of the task before it, a replay another (seen in temporalio 1.35). Whoever
    branches on it has a history that cannot be replayed.
    """
    left = max(timedelta(seconds=seconds), timedelta(milliseconds=1))
    while left:
        piece = min(left, NAP)
        yield piece
        left -= piece


def _collections(state: DomainState) -> list[str]:
    if not state.collections:
        return []
    rows = [
        f"- **{name}** {'copied' if c.done else 'not copied yet'}: {c.documents:,} documents, {c.quarantined:,} refused"
        for name, c in state.collections.items()
    ]
    return ["", "### Collections", "", *rows]


def _pairs(state: DomainState) -> list[SearchAttributePair[Any]]:
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(DOMAIN, state.domain),
        SearchAttributePair(PHASE, state.phase.value),
        SearchAttributePair(STATE, state.state),
        SearchAttributePair(WAITING_FOR, state.waiting_for[:200]),
        SearchAttributePair(PERCENT, percent_of(state)),
        SearchAttributePair(MISMATCHES, state.parity.mismatches),
    ]
    lag = state.evidence.lag_seconds if state.evidence else None
    if lag is not None:
        pairs.append(SearchAttributePair(LAG, round(lag, 1)))
    return pairs
