"""`midflight parity watch`: compare again and again, until stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import count
from typing import Annotated

import typer

from midflight.parity.levels import LEVELS
from midflight.parity.policy import DEFAULT
from midflight.parity.records import RunRecord
from midflight.parity.report.wording import counted
from starter.parity_desk import Lag, PlanOption, Rate, Store, Where, desk
from starter.parity_exits import Answer, answer_of, end
from starter.parity_named import new_name, run_of
from starter.parity_records import cells_of, data_of
from starter.session import AsJson, Domain, Session, run, show_json, stdout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def watch(  # noqa: PLR0913
    domain: Domain,
    plan: PlanOption = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two runs.")] = 3_600.0,
    times: Annotated[int, typer.Option(min=0, help="So many runs; 0: until stopped.")] = 0,
    rate: Rate = None,
    lag: Lag = 5.0,
    target: Store = "",
    as_json: AsJson = False,
) -> None:
    """Compare again and again, leaving out what has not changed since it was equal. Opens no gate. Ctrl-C ends it."""
    session, policy = Session.begin(as_json), replace(DEFAULT, documents_per_second=rate)
    watched = Watched(session)

    async def work() -> None:
        async with desk(session, Where(domain, target, plan), lag=lag) as open_desk:
            for done in count(1):
                watched.under_way = new_name("watch")
                watched.tell(await run_of(open_desk, policy, watched.under_way, "watch", LEVELS))
                if done == times:
                    break
                await asyncio.sleep(every)

    try:
        run(work())
    except KeyboardInterrupt:
        watched.tell_end()
    end(watched.answer)


class Watched:
    """What a watch has seen until now."""

    def __init__(self, session: Session) -> None:
        self.under_way = ""
        self._session = session
        self._verdicts: Counter[str] = Counter()
        self._seen = Answer.PASS

    @property
    def answer(self) -> Answer:
        """Whatever any of the runs came to; without one, nothing was looked at."""
        return self._seen if self._verdicts else Answer.VERDICT | Answer.INCOMPLETE

    def tell(self, record: RunRecord) -> None:
        """One line for a run that has come back."""
        self.under_way = ""
        self._verdicts[record.verdict.value] += 1
        self._seen |= answer_of(record)
        if self._session.as_json:
            show_json(data_of(record), one_line=True)
        else:
            one = cells_of(record)
            said = f"{one.compared} compared, {one.settled} settled, {one.undecided} undecided"
            _print(f"{one.began}  {one.verdict.upper()}  {said}, {one.took}  ({one.run})")

    def tell_end(self) -> None:
        """The last line of a watch that was stopped: all of it, in short."""
        if self._session.as_json:
            told = {"stopped": True, "runs": dict(self._verdicts), "exit_code": int(self.answer)}
            show_json(told | {"not_ended": self.under_way or None}, one_line=True)
            return
        runs = ", ".join(f"{number} {verdict}" for verdict, number in self._verdicts.items()) or "none has ended"
        left = f" {self.under_way} was under way and is left without an end." if self.under_way else ""
        _print(f"Stopped after {counted(self._verdicts.total(), 'run')}: {runs}.{left}")


def _print(line: str) -> None:
    stdout().print(line, markup=False, soft_wrap=True)
