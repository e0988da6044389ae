"""Archive and drop: nothing is dropped unless it still reads back from the archive, and a drop may be repeated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.retire import RetireActivities
from midflight.contracts.retire import Archive, ArchiveReport, Drop
from midflight.errors import ArchiveDiffers, AuthorityMoved, SourceError
from midflight.ports import Source
from midflight.testing.faults import Faulty, FaultyStores, LostAnswer, lose
from midflight.waiting import drained
from tests.fixtures.moving import SOON, moving, over, ref_of, version_of
from tests.fixtures.rig import Rig

TRIGGERS = "select count(*) from pg_trigger where not tgisinternal and tgrelid = 'shop.orders'::regclass"


@pytest.fixture
async def retired(prepared: Rig) -> Rig:
    """At stage target_only, with a few keys written back, nobody following any more."""
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
        await bridge.target.ledger.retire("orders")
        await drained(bridge, SOON)
    return prepared


STEPS = [("archive", "drop"), ("fence", "lower_fence"), ("reverse", "forget_guards"), ("feed", "forget")]


async def archive(rig: Rig, folder: Path) -> ArchiveReport:
    return await ActivityEnvironment().run(RetireActivities(rig.stores, folder).archive, Archive(ref=ref_of(rig)))


async def drop(rig: Rig, folder: Path, report: ArchiveReport, stores: Any = None) -> None:
    activities = RetireActivities(stores or rig.stores, folder)
    await ActivityEnvironment().run(activities.drop, Drop(ref=ref_of(rig), archive=report))


async def test_what_is_archived_is_dropped_with_everything_of_ours(retired: Rig, tmp_path: Path) -> None:
    report = await archive(retired, tmp_path / "archive")
    assert (report.folder, report.collections[0].documents) == ("orders-1", 20)
    assert retired.one(TRIGGERS) > 0
    await drop(retired, tmp_path / "archive", report)
    with retired.source() as shop:
        assert shop.list_collection_names() == []
    assert retired.one(TRIGGERS) == 0
    assert retired.one("select count(*) from shop.orders") == 20
    kinds = [kind for (kind,) in retired.query("select kind from midflight.audit order by number")]
    assert kinds[-2:] == ["dropping", "dropped"]


async def test_a_finished_archive_is_kept_and_an_outdated_one_is_followed_by_the_next(
    retired: Rig, tmp_path: Path
) -> None:
    first = await archive(retired, tmp_path)
    assert await archive(retired, tmp_path) == first
    with retired.source() as shop:
        shop.orders.delete_one({"_id": 4})
    second = await archive(retired, tmp_path)
    assert (second.folder, second.collections[0].documents) == ("orders-2", 19)


async def test_an_archive_that_was_not_finished_is_written_again(retired: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "orders-1"
    folder.mkdir()
    (folder / "orders.bson.gz").write_bytes(b"half")
    assert (await archive(retired, tmp_path)).folder == "orders-1"


async def test_nothing_is_dropped_once_archive_and_source_differ(retired: Rig, tmp_path: Path) -> None:
    report = await archive(retired, tmp_path)
    with retired.source() as shop:
        shop.orders.delete_one({"_id": 4})
        with pytest.raises(ArchiveDiffers, match="nothing was dropped"):
            await drop(retired, tmp_path, report)
        assert shop.orders.count_documents({}) == 19


async def test_nothing_is_dropped_where_the_archive_is_not_at_hand(retired: Rig, tmp_path: Path) -> None:
    report = await archive(retired, tmp_path / "here")
    with retired.source() as shop:
        with pytest.raises(SourceError):
            await drop(retired, tmp_path / "there", report)
        assert version_of(shop, 4) == 0


async def test_nothing_is_dropped_before_the_source_is_retired(prepared: Rig, tmp_path: Path) -> None:
    async with moving(prepared) as bridge:
        await over(bridge, prepared)
    report = await archive(prepared, tmp_path)
    with pytest.raises(AuthorityMoved, match="nothing was dropped"):
        await drop(prepared, tmp_path, report)


def losing(source: Source, port: str, method: str, side: str) -> Source:
    hook: Any = {side: lose(1)}
    return replace(source, **{port: Faulty(getattr(source, port), method, **hook)})


@pytest.mark.parametrize(
    ("port", "method"),
    [("archive", "drop"), ("fence", "lower_fence"), ("reverse", "forget_guards"), ("feed", "forget")],
)
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_drop_that_dies_anywhere_is_finished_by_the_next_attempt(
    retired: Rig, tmp_path: Path, port: str, method: str, side: str
) -> None:
    report = await archive(retired, tmp_path)
    faulty = FaultyStores(retired.stores, source=lambda source: losing(source, port, method, side))
    with pytest.raises(LostAnswer):
        await drop(retired, tmp_path, report, faulty)
    await drop(retired, tmp_path, report)
    with retired.source() as shop:
        assert shop.list_collection_names() == []
    assert retired.one(TRIGGERS) == 0
