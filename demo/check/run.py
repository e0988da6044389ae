"""Checks one domain, from the journals to the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.check.stores import source_documents, target_state
from demo.check.verdict import Verdict, judge
from demo.journal import JOURNAL, PEOPLE, JournalError, Story, read


@dataclass(frozen=True, slots=True)
class Place:
    """Where source, target and journals are."""

    uri: str
    database: str
    dsn: str
    schema: str
    journals: Path


def check(place: Place, domain: str) -> Verdict:
    """What is to be said of the domain; a journal that cannot be read is a doubt."""
    try:
        story = _story(place.journals, domain)
    except (JournalError, OSError, ValueError) as error:
        verdict = Verdict(domain)
        verdict.doubt(f"the journal cannot be read: {error}")
        return verdict
    source = source_documents(place.uri, place.database, domain)
    return judge(domain, story, source, target_state(place.dsn, place.schema, domain))


def _story(journals: Path, domain: str) -> Story:
    """What the writer did, and what people did."""
    story = read(journals / JOURNAL.format(domain))
    story.merge(read(journals / PEOPLE / JOURNAL.format(domain)))
    return story
