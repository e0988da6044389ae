"""`midflight parity explain` and `repair`: one key looked at closely, and keys sent through the door again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from midflight.core.ejson import ORDER, unpack
from midflight.core.keys import key_bytes
from midflight.core.plan import ParityRules
from midflight.errors import PlanError
from midflight.parity.explain import Explanation
from midflight.parity.forms.normal import MISSING
from midflight.parity.harness import Parity
from midflight.parity.records import Entry, State, Verdict
from midflight.parity.repair import RepairReport, demand_source, plan_of
from midflight.parity.repair import repair as carry_out
from midflight.parity.report.values import Showing, shown
from midflight.parity.report.wording import counted, key_shown, moment, printable
from midflight.records import LastChange
from starter.exits import ExitCode, Refused
from starter.parity_desk import Desk, Lag, PlanOption, Store, Where, desk
from starter.parity_exits import Answer, end
from starter.parity_output import Values
from starter.session import AsJson, Domain, Session, run, stop, who
from starter.tables import columns, facts

_OBJECT_ID = re.compile(r'(?:ObjectId\("([0-9a-f]{24})"\)|([0-9a-f]{24}))')
_UNSEEN = "-"
APPROVED = "repair_approved"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("explain")(explain_key)
    app.command("repair")(repair_run)


# --- explain ----------------------------------------------------------------------------------------------------------


def explain_key(  # noqa: PLR0913
    domain: Domain,
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="The source's collection.")],
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help='As reports write it: 42, "text", ObjectId("..."); or {"$oid": ..}, 0x and key bytes.'
        ),
    ],
    plan: PlanOption = None,
    lag: Lag = 5.0,
    values: Values = False,
    target: Store = "",
    as_json: AsJson = False,
) -> None:
    """One key: both sides, the guard, the last change, what differs, and why. It may wait for the tail."""
    session = Session.begin(as_json)

    async def work() -> tuple[Explanation, LastChange | None, ParityRules]:
        async with desk(session, Where(domain, target, plan), lag=lag) as open_desk:
            _check(open_desk, collection)
            parity, rules = open_desk.parity(), open_desk.bridge.plan.parity
            found = await parity.explain(collection, await _meant(parity, collection, key))
            rows = open_desk.bridge.target.rows
            return found, await rows.last_change(domain, collection, found.key), rules

    found, last, rules = run(work())
    showing = Showing.of(rules, values=values)
    about = _about(found, last)
    fields = list(_fields(found, showing))
    session.show({**about, "fields": fields}, facts(about), "", _table(fields))
    end(_answer(found))


def _check(open_desk: Desk, collection: str) -> None:
    names = [entry.collection for entry in open_desk.bridge.plan.collections]
    if collection not in names:
        raise PlanError(f"The plan has no collection {collection}.", next_step=f"It has {', '.join(names)}.")


async def _meant(parity: Parity, collection: str, text: str) -> bytes:
    """The first of the keys that the text may mean which one of the sides has."""
    keys = possible_keys(text)
    source = await parity.source.fetch(collection, keys)
    target = await parity.target.fetch(collection, keys)
    return next((key for key in keys if key in source or key in target), keys[0])


def possible_keys(text: str) -> list[bytes]:
    """Never empty; the likeliest first. Text without quotes may be a number or an id, and is text if it is neither."""
    if re.fullmatch(r"0x(?:[0-9a-f]{2})+", text):
        return [bytes.fromhex(text[2:])]
    return [key_bytes(value) for value in _values(text)]


def _values(text: str) -> Iterator[Any]:
    if (found := _OBJECT_ID.fullmatch(text)) is not None:
        yield unpack({"$oid": found[1] or found[2]})
    try:
        value = json.loads(text, object_pairs_hook=_in_order)
        yield unpack(value) if isinstance(value, dict) else value
    except (ValueError, KeyError, TypeError):
        pass  # not JSON, or none of ours: text
    yield text


def _in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A document's names in the order in which they were typed: for MongoDB another order is another key."""
    names = [name for name, _ in pairs]
    return dict(pairs) if len(names) == 1 else {**dict(pairs), ORDER: names}


def _about(found: Explanation, last: LastChange | None) -> dict[str, Any]:
    mismatch, kept = found.mismatch, found.kept
    return {
        "collection": found.entity,
        "key": key_shown(found.key),
        "key_bytes": found.key.hex(),
        "verdict": _verdict(found),
        "cause": mismatch.cause.value if mismatch is not None else None,
        "source": _side(found.source),
        "source_version": _hex(found.source.version if found.source is not None else None),
        "target": _side(found.target),
        "guard": _guard(found.target, last),
        "applied_version": _hex(found.target.version if found.target is not None else None),
        "last_change": None if last is None else f"{moment(last.at)}, by {last.path}",
        "equal_by_rule": ", ".join(found.by_rule) or None,
        "type_drift": ", ".join(found.type_drift) or None,
        "newest_run_says": None if kept is None else f"{kept.state}, {kept.cause}, since {moment(kept.first_seen)}",
    }


def _verdict(found: Explanation) -> str:
    if found.mismatch is not None:
        return f"differs: {found.mismatch.kind}, {found.mismatch.state}"
    return "equal" if _there(found.source) or _there(found.target) else "neither side has it"


def _there(entry: Entry | None) -> bool:
    return entry is not None and not entry.unreadable


def _side(entry: Entry | None) -> str:
    if entry is None:
        return "has no such key"
    said = printable(entry.unreadable) or counted(len(entry.fields), "field")
    rows = {True: ", rows are what was applied", False: ", rows are not what was applied", None: ""}
    return said + rows[entry.faithful]


def _guard(entry: Entry | None, last: LastChange | None) -> str:
    if last is None:
        return "none: the door never had this key"
    state = "refused: see the quarantine" if last.refused else "deleted" if last.deleted else "applied"
    newer = entry is not None and entry.token is not None and entry.token > last.token
    return f"{state}, token {last.token}" + (
        f"; written by the application since, {entry.token}" if newer and entry else ""
    )


def _hex(version: bytes | None) -> str | None:
    return None if version is None else version.hex()


def _fields(found: Explanation, showing: Showing) -> Iterator[dict[str, Any]]:
    """What differs first, then what is equal; values only where the plan lists the field, and they were asked for."""
    differing = {one.path: one for one in found.differences}
    sides = [entry.fields if entry is not None else {} for entry in (found.source, found.target)]
    others = sorted((sides[0].keys() | sides[1].keys()) - differing.keys())
    for path in (*differing, *others):
        source, target = (str(shown(side.get(path, MISSING), allowed=showing.allows(path))) for side in sides)
        different = differing.get(path)
        kind, cause = (different.kind.value, different.cause.value) if different is not None else ("", "")
        yield {"path": path, "differs": kind, "cause": cause, "source": source, "target": target}


def _table(fields: Sequence[dict[str, Any]]) -> RenderableType:
    table = columns("field", "differs", "cause", "source", "target")
    for one in fields:
        style = "red" if one["differs"] else ""
        table.add_row(*(Text(printable(text) or _UNSEEN, style=style) for text in one.values()))
    return table


def _answer(found: Explanation) -> Answer:
    if found.mismatch is None:
        return Answer.PASS
    settled = found.mismatch.state is State.SETTLED
    return Answer.VERDICT | (Answer.DIFFERENT if settled else Answer.UNDECIDED)


# --- repair -----------------------------------------------------------------------------------------------------------


def repair_run(  # noqa: PLR0913
    domain: Domain,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run that found the mismatches.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it. Without: only say what would be done.")] = False,
    max_deletes: Annotated[
        int | None,
        typer.Option(min=0, help="Keys it may delete, in place of both limits of the plan.", show_default=False),
    ] = None,
    person: Annotated[str, typer.Option("--as", metavar="PERSON", help="Who executes it; it is recorded.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    target: Store = "",
    as_json: AsJson = False,
) -> None:
    """Send what a run settled as different through the door again, and look at every key afterwards."""
    if execute and not (person and reason):
        raise typer.BadParameter("To execute, say who and why: --as PERSON --reason TEXT.")
    session = Session.begin(as_json)

    async def work() -> RepairReport:
        async with desk(session, Where(domain, target)) as open_desk:
            return await _repair(open_desk, name, max_deletes, who(person) if execute else "", reason)

    try:
        done = run(work())
    except KeyboardInterrupt:
        session.note(_BROKEN_OFF)
        stop(ExitCode.INTERRUPTED)
    data = {"run": name, "executed": done.executed, **done.plan.summary()} | (done.details() if done.executed else {})
    session.show(data, *_lines(done))
    if not execute and done.plan.keys:
        session.note("Nothing was done: this is what --execute would do.")
    end(_answer_of(done))


_BROKEN_OFF = "Interrupted. What was repaired stays repaired; the same command again does the rest."


async def _repair(open_desk: Desk, name: str, max_deletes: int | None, person: str, reason: str) -> RepairReport:
    """Without a person it is a dry run."""
    bridge, runs = open_desk.bridge, open_desk.runs
    record = await runs.record(bridge.plan.domain, name)
    if record.verdict is Verdict.INCOMPLETE and record.finished_at is None:
        raise Refused(
            f"{name} has not ended: it may find more.",
            next_step=f"Resume it first: `midflight parity run {bridge.plan.domain} --run {name}`.",
        )
    await demand_source(bridge)
    parity = open_desk.parity()
    plan = await plan_of(parity, name, _limits(bridge.plan.parity, max_deletes))
    if person:
        details = {"run": name, "plan": plan.hash, "reason": reason, "max_deletes": max_deletes}
        await bridge.target.ledger.record(parity.domain, APPROVED, person, details)
    return await carry_out(bridge, plan, parity, run=name, person=person, execute=bool(person))


def _limits(rules: ParityRules, max_deletes: int | None) -> ParityRules:
    if max_deletes is None:
        return rules
    return rules.model_copy(update={"deletes_at_most": max_deletes, "deletes_rate": 1.0})


def _lines(done: RepairReport) -> Iterator[RenderableType]:
    plan = done.plan
    yield f"Plan {plan.hash}" if plan.keys or plan.refused else "Nothing to repair: the run settled nothing."
    for copied in plan.copy_again:
        share = f"{copied.differing:,} of its {copied.compared:,} keys differ"
        yield f"  {copied.entity}: copy a range again, because {share}"
    for requeued in plan.requeue:
        deletes = f", {requeued.deletes:,} of them to be deleted" if requeued.deletes else ""
        yield f"  {requeued.entity}: send {counted(requeued.keys, 'key')} through the door{deletes}"
    for refused in plan.refused:
        yield f"  {refused.entity}: refused for {counted(refused.keys, 'key')}: {refused.reason}"
        yield f"    {refused.next_step}"
    if done.executed:
        undecided = f", {done.undecided:,} never seen at rest" if done.undecided else ""
        yield f"Repaired {counted(done.repaired, 'key')}, {done.remaining:,} still differ{undecided}."
        yield "Run parity again: only a run that passes opens a gate."


def _answer_of(done: RepairReport) -> Answer:
    answer = Answer.PASS
    if done.executed and (done.remaining or done.plan.refused):
        answer |= Answer.VERDICT | Answer.DIFFERENT
    if done.undecided:
        answer |= Answer.VERDICT | Answer.UNDECIDED
    return answer
