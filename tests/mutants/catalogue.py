"""The rows of the protocol's mutant table (section 8), and rules that came later, as edits of the real code."""

from __future__ import annotations

from tests.mutants.gateways import GATEWAYS
from tests.mutants.handovers import HANDOVERS
from tests.mutants.parity import PARITY
from tests.mutants.run import Edit, Mutant

OVER = "tests/fault/test_handover_over.py"
MACHINE = "tests/property/test_protocol_machine.py"
DOOR = "tests/integration/test_door.py"
RACES = "tests/fault/test_races.py"
BACK = "tests/fault/test_reverse.py"
ROLES = "tests/integration/test_source_roles.py"
SOURCE = "tests/integration/test_source_reverse.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "draw before read",
        (
            Edit(
                "midflight/sync.py",
                """    ticket = await target.door.draw(plan.domain)
    outcomes = {""",
                "    outcomes = {",
            ),
            Edit(
                "midflight/sync.py",
                "    return await target.door.apply(plan, ticket, ",
                "    ticket = await target.door.draw(plan.domain)\n    return await target.door.apply(plan, ticket, ",
            ),
        ),
        (f"{RACES}::test_a_sync_that_slept_between_read_and_apply_never_restores_an_old_document",),
    ),
    Mutant(
        "the guard",
        (
            Edit(
                "midflight/postgres/statements.py",
                " where guard.token < excluded.token",
                " where guard.token is not null",
            ),
        ),
        (f"{DOOR}::test_an_older_token_loses", MACHINE),
    ),
    Mutant(
        "tombstones",
        (
            Edit(
                "midflight/postgres/merge.py",
                """        await self._connection.execute("set constraints all immediate")
""",
                """        await self._connection.execute("set constraints all immediate")
        await self._connection.execute("delete from midflight.guards where deleted")
""",
            ),
        ),
        (f"{DOOR}::test_a_deleted_document_is_not_brought_back_by_an_older_image", MACHINE),
    ),
    Mutant(
        "epoch check in apply",
        (Edit("midflight/postgres/door.py", "    if epoch != ticket.epoch:", "    if epoch < 0:"),),
        (f"{DOOR}::test_a_ticket_of_an_earlier_epoch_writes_nothing", MACHINE),
    ),
    Mutant(
        "authority check in draw and apply",
        (
            Edit(
                "midflight/postgres/door.py",
                "from midflight.domains where domain = %s and authority = 'source'\"",
                'from midflight.domains where domain = %s"',
            ),
            Edit("midflight/postgres/door.py", '    if authority != "source":', '    if authority == "nobody":'),
        ),
        (f"{DOOR}::test_nothing_is_drawn_while_the_target_is_the_authority", MACHINE),
    ),
    Mutant(
        "authority stays target until the reverse drain ends",
        (
            Edit(
                "midflight/postgres/door.py",
                "from midflight.domains where domain = %s and authority = 'source'\"",
                "from midflight.domains where domain = %s and (authority = 'source' or not accepting)\"",
            ),
            Edit(
                "midflight/postgres/door.py",
                "select authority, epoch, pg_advisory_xact_lock_shared",
                "select case when accepting then authority else 'source' end, epoch, pg_advisory_xact_lock_shared",
            ),
        ),
        (f"{BACK}::test_nothing_is_drawn_or_applied_while_the_target_is_closing", MACHINE),
    ),
    Mutant(
        "fence in the source store",
        (
            Edit(
                "midflight/handover.py",
                "await bridge.source.fence.raise_fence(names(bridge), bridge.plan.source.application_users)",
                "await asyncio.sleep(0)",
            ),
            Edit("midflight/handover.py", "set(names(bridge)) - fenced", "set(names(bridge)) - set(names(bridge))"),
        ),
        (f"{OVER}::test_a_quiet_domain_is_handed_over_and_back_and_over_again", MACHINE),
    ),
    Mutant(
        "reverse guard",
        (
            Edit(
                "midflight/mongo/reverse.py",
                'if each.key not in guards or guards[each.key]["seq"] < each.seq]',
                "if each.seq]",
            ),
        ),
        (f"{BACK}::test_a_reverse_write_that_slept_across_the_way_back_and_over_again_changes_nothing", MACHINE),
    ),
    Mutant(
        "reverse tombstone",
        (
            Edit(
                "midflight/mongo/reverse.py",
                "        await self._guards.bulk_write(writes, session=session)\n",
                "        await self._guards.bulk_write(writes, session=session)\n"
                '        await self._guards.delete_many({"deleted": True}, session=session)\n',
            ),
        ),
        (f"{SOURCE}::test_a_deleted_document_does_not_come_back_with_an_older_write", MACHINE),
    ),
    Mutant(
        "clear the mark only if unchanged",
        (Edit("midflight/postgres/reverse.py", "greatest(d.written_back, free.seq)", "d.seq"),),
        (f"{BACK}::test_a_write_between_the_read_and_the_clearing_of_its_mark_arrives_too", MACHINE),
    ),
    Mutant(
        "the target's fence",
        (
            Edit(
                "midflight/postgres/schema.sql",
                "    if found.authority = 'target' and found.accepting then\n        return null;",
                "    if found.authority is not null then\n        return null;",
            ),
        ),
        (MACHINE,),
    ),
    Mutant(
        "fence covers deletes",
        (
            Edit(
                "midflight/mongo/fence.py",
                "self._users.restrict(users, collections)",
                "self._users.restrict((), collections)",
            ),
        ),
        (f"{ROLES}::test_the_users_can_no_longer_delete_and_can_again_afterwards",),
    ),
    *GATEWAYS,
    *HANDOVERS,
    *PARITY,
)
