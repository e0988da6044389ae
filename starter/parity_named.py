"""A run of parity by its name: begun under it, or gone on with; and how to go on where it was broken off."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from midflight.clock import utc_now
from midflight.core.fingerprint import fingerprint
from midflight.errors import MidflightError, RunUnknown
from midflight.parity.harness import Mode
from midflight.parity.policy import Policy
from midflight.parity.records import Level, RunRecord
from starter.exits import ExitCode, Refused
from starter.parity_desk import Desk, Where
from starter.parity_levels import LevelName, levels_of
from starter.parity_progress import Teller
from starter.session import Session, stop

INTERRUPTED = "Interrupted."
NOT_FOLLOWED = (
    "The target did not follow in time, so suspects are left and the run has not ended. See that the tail is at work."
)
GO_ON = "What was done is kept. To go on: {command}"


class NamedRun:
    """One run on the command line."""

    def __init__(self, session: Session, where: Where, name: str, *, frozen: bool) -> None:
        self.name = name
        self.begun = False
        self._session = session
        options = {"--plan": str(where.plan or ""), "--target": where.store}
        given = [word for option, value in options.items() if value for word in (option, value)]
        words = ["midflight", "parity", "run", where.domain, "--run", name, *given, *["--frozen"] * frozen]
        self._command = shlex.join(words)

    async def levels(
        self, open_desk: Desk, named: Iterable[LevelName] | None, *, must_be_kept: bool
    ) -> tuple[Level, ...]:
        """Those that the run was begun with; those that are named, of one that begins. RunUnknown, Refused."""
        wanted = levels_of(named)
        try:
            kept = await open_desk.runs.record(open_desk.bridge.plan.domain, self.name)
        except RunUnknown:
            if must_be_kept:
                raise
            return wanted
        begun_with = tuple(outcome.level for outcome in kept.levels) or wanted
        if named and set(wanted) != set(begun_with):
            self._refuse(
                f"was begun with the levels {', '.join(begun_with)}", "Leave --level out, or begin another run."
            )
        if kept.plan_fingerprint != fingerprint(open_desk.bridge.plan):
            self._refuse("compares by another plan", "Begin another run.")
        return begun_with

    def tell_not_followed(self) -> None:
        """On stderr: why there is no end, and how to come to one."""
        self._session.note(NOT_FOLLOWED)
        self._tell_how_to_go_on()

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        """Whatever ends the block early, an error or Ctrl-C: say how to go on."""
        try:
            yield
        except KeyboardInterrupt:
            self._session.note(INTERRUPTED)
            self._tell_how_to_go_on()
            stop(ExitCode.INTERRUPTED)
        except MidflightError:
            self._tell_how_to_go_on()
            raise

    def _tell_how_to_go_on(self) -> None:
        if self.begun:
            self._session.note(GO_ON.format(command=self._command))

    def _refuse(self, why: str, next_step: str) -> None:
        raise Refused(f"{self.name} {why}.", next_step=next_step)


def new_name(kind: str) -> str:
    """The name of a run that begins now."""
    return f"{kind}-{utc_now():%Y%m%d-%H%M%S-%f}"[:-3]


async def run_of(
    open_desk: Desk, policy: Policy, name: str, mode: Mode, levels: Sequence[Level], *, frozen: bool = False
) -> RunRecord:
    """Run it, and tell on stderr how far it is."""
    with Teller() as teller:
        return await open_desk.parity(policy, teller).run(name, mode, levels, frozen)
