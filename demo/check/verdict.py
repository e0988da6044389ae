"""The verdict over one domain: is every acknowledged write in PostgreSQL, and nothing else?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from demo.check.columns import Flaw
from demo.check.expected import Row, Rows, rows_of
from demo.check.stores import TargetState, identity
from demo.journal import Story, unpacked

DOUBTS_SHOWN = 5


@dataclass(slots=True)
class Verdict:
    """What was found about one domain. `ok` only when there is nothing to doubt."""

    domain: str
    acknowledged_writes: int = 0
    lost_writes: int = 0
    """Keys whose last acknowledged write is not what the target shows."""
    mismatches: int = 0
    """Documents of the source that the target does not show as they are, and rows of no document."""
    quarantined: int = 0
    documents: int = 0
    rows: int = 0
    doubts: list[str] = field(default_factory=list)
    more_doubts: int = 0

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing different, nothing unexplained."""
        return not (self.lost_writes or self.mismatches or self.doubts)

    def doubt(self, what: str) -> None:
        """Note a doubt; only the first few are kept."""
        if len(self.doubts) < DOUBTS_SHOWN:
            self.doubts.append(what)
        else:
            self.more_doubts += 1


def judge(domain: str, story: Story, source: dict[bytes, bytes], target: TargetState) -> Verdict:
    """Hold journal, source and target against each other."""
    verdict = Verdict(domain, story.acknowledged, documents=len(source), rows=target.rows)
    if not story.acknowledged:
        verdict.doubt("the journal holds no acknowledged write")
    wrong = {key for key, document in source.items() if not _is_right(verdict, document, target)}
    verdict.mismatches = len(wrong) + _count_extra(verdict, source, target)
    verdict.lost_writes = sum(not _is_kept(verdict, key, last, source, wrong) for key, last in _certain(story))
    _compare_counts(verdict, target)
    return verdict


def _certain(story: Story) -> Iterator[tuple[bytes, bytes | None]]:
    """Writes whose outcome is known: after an unanswered one nobody can say what is right."""
    return ((key, last) for key, last in story.last.items() if key not in story.uncertain)


def _is_kept(verdict: Verdict, key: bytes, last: bytes | None, source: dict[bytes, bytes], wrong: set[bytes]) -> bool:
    """The last acknowledged write of the key is in the source, and the target shows the source."""
    if source.get(key) != last:
        verdict.doubt(f"the source does not hold the last acknowledged write of {_name(key)}")
        return False
    return key not in wrong


def _is_right(verdict: Verdict, raw: bytes, target: TargetState) -> bool:
    """The document's rows are what they should be; or it is in quarantine, rightly, and has no rows."""
    document = unpacked(raw)
    expected = _expected(verdict.domain, document)
    found = target.documents.get(_row_key(verdict.domain, document))
    if identity(document["_id"]) in target.quarantine:
        return _is_rightly_quarantined(verdict, document, expected, found, target)
    if expected is None:
        verdict.doubt(f"{document['_id']!r} does not fit the target, but is not in quarantine")
        return False
    if found is None:
        verdict.doubt(f"{document['_id']!r} has no row")
        return False
    difference = _difference(expected, found)
    if difference:
        verdict.doubt(f"{document['_id']!r} differs in {difference}")
    return not difference


def _is_rightly_quarantined(
    verdict: Verdict, document: dict[str, Any], expected: Rows | None, found: Rows | None, target: TargetState
) -> bool:
    verdict.quarantined += 1
    name = repr(document["_id"])
    if expected is not None:
        verdict.doubt(f"{name} is in quarantine, but nothing is wrong with it")
    elif found is not None:
        verdict.doubt(f"{name} is in quarantine and has rows")
    elif not target.quarantine[identity(document["_id"])]:
        verdict.doubt(f"{name} is in quarantine and nobody waived it")
    else:
        return True
    return False


def _expected(domain: str, document: dict[str, Any]) -> Rows | None:
    """The rows it should have become; None where it has a flaw."""
    try:
        return rows_of(domain, document)
    except Flaw:
        return None


def _row_key(domain: str, document: dict[str, Any]) -> Any:
    try:
        return rows_of(domain, {"_id": document["_id"]})[domain][0][0]
    except Flaw:
        return None


def _count_extra(verdict: Verdict, source: dict[bytes, bytes], target: TargetState) -> int:
    """Rows and quarantine entries of documents that the source does not hold."""
    ids = [unpacked(key)["_id"] for key in source]
    known = {_row_key(verdict.domain, {"_id": value}) for value in ids}
    extra = [key for key in target.documents if key not in known]
    for key in extra:
        verdict.doubt(f"the target has {key!r}, the source has not")
    if target.orphans:
        verdict.doubt(f"{target.orphans} rows of child tables belong to no document")
    stale = target.quarantine.keys() - set(map(identity, ids))
    for value in stale:
        verdict.doubt(f"{value!r} is in quarantine, but gone from the source")
    return len(extra) + target.orphans + len(stale)


def _compare_counts(verdict: Verdict, target: TargetState) -> None:
    if len(target.documents) + len(target.quarantine) != verdict.documents:
        verdict.doubt(
            f"{verdict.documents} documents in the source, but {len(target.documents)} in the target and"
            f" {len(target.quarantine)} in quarantine"
        )


def _difference(expected: Rows, found: Rows) -> str:
    """Table and place of the first difference; empty when equal."""
    for table, rows in expected.items():
        theirs = found[table]
        if len(rows) != len(theirs):
            return f"{table}: {len(rows)} rows expected, {len(theirs)} found"
        for mine, other in zip(_sorted(rows), _sorted(theirs), strict=True):
            for number, (value, shown) in enumerate(zip(mine, other, strict=True)):
                if not _same(value, shown):
                    return f"{table}, column {number}"
    return ""


def _same(expected: Any, found: Any) -> bool:
    """Field by field; `extra` must hold what it should, and may hold notes of Midflight's own."""
    if isinstance(expected, dict):
        shown = found or {}
        return isinstance(shown, dict) and all(n in shown and _same(v, shown[n]) for n, v in expected.items())
    if isinstance(found, Decimal):
        return bool(expected == str(found))
    return type(expected) is type(found) and bool(expected == found)


def _sorted(rows: list[Row]) -> list[Row]:
    """By place: key columns come first, and no two rows share them."""
    return sorted(rows, key=lambda row: tuple(map(str, row[:3])))


def _name(key: bytes) -> str:
    return repr(unpacked(key)["_id"])
