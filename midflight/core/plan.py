"""A domain as data: which collections become which tables, and how the move is paced, gated and approved.

These are the shapes only; `midflight.core.plan_check` says whether a plan holds together, `midflight.core.plan_file`
reads one from YAML text. A plan carries names of stores, never addresses or secrets. What decides what is written has a
fingerprint, see `midflight.core.fingerprint`; pacing, gates and soak times may change while a move runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic import Field as Setting

Name = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
"""A PostgreSQL identifier that needs no quotes."""

DomainName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
StoreName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
FieldPath = Annotated[str, StringConstraints(min_length=1)]
"""Names joined by dots, from the document (or the element of an array or map) inwards; `.` is the element itself."""


class PlanModel(BaseModel):
    """Base of every part of a plan: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reference(PlanModel):
    """A foreign key to another table of the same domain; it is created NOT VALID and validated after the backfill."""

    table: Name
    column: Name


class FieldMap(PlanModel):
    """One field becomes one column. `type` is one of `midflight.core.column_types`."""

    field: FieldPath
    column: Name
    type: str
    required: bool = False
    references: Reference | None = None


class ColumnSpec(PlanModel):
    """A column that a transform fills."""

    column: Name
    type: str
    required: bool = False


class TransformMap(PlanModel):
    """Split, merge or compute: `forward(*field values) -> column values`, `back(*column values) -> field values`.

    Both are names registered in `midflight.core.transforms` or `package.module:function`. Without `back` the columns
    are computed only, and the fields still need a home of their own (a column or the rest column).
    """

    fields: tuple[FieldPath, ...] = Setting(min_length=1)
    columns: tuple[ColumnSpec, ...] = Setting(min_length=1)
    forward: str
    back: str | None = None


class Constant(PlanModel):
    """A column that has the same value in every row; ignored on the way back."""

    column: Name
    type: str
    value: bool | int | float | str


class Child(PlanModel):
    """An array (`array`) or a map of sub-documents (`map`) becomes a child table, one row an element.

    The primary key is `(parent_key, <positions of outer children>, position)`; for a map `position` holds the map's key
    as text, for an array the index from 0 as integer. An element that is no document is mapped by the field `.`.
    `order` is the usual order of the elements' top-level names, see CollectionMap.
    """

    array: FieldPath | None = None
    map: FieldPath | None = None
    table: Name
    parent_key: Name
    position: Name = "position"
    fields: tuple[FieldMap, ...] = ()
    transforms: tuple[TransformMap, ...] = ()
    children: tuple[Child, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The field that holds the array or map."""
        return self.array or self.map or ""


class KeyMap(PlanModel):
    """Where `_id` goes. Type `any` takes keys of every BSON type, as canonical text."""

    column: Name = "id"
    type: str = "any"


class Index(PlanModel):
    """An index of a target table, created concurrently where rows exist."""

    columns: tuple[Name, ...] = Setting(min_length=1)
    unique: bool = False
    table: Name | None = None


class CollectionMap(PlanModel):
    """One collection becomes one table and its child tables."""

    collection: Annotated[str, StringConstraints(min_length=1)]
    table: Name
    key: KeyMap = KeyMap()
    fields: tuple[FieldMap, ...] = ()
    transforms: tuple[TransformMap, ...] = ()
    constants: tuple[Constant, ...] = ()
    children: tuple[Child, ...] = ()
    rest: Name | None = "extra"
    indexes: tuple[Index, ...] = ()
    order: tuple[str, ...] = ()
    """The usual order of the documents' top-level names: those that have it need no note of it in the rest column."""


class SourcePlace(PlanModel):
    """A store by name, and a database in it."""

    store: StoreName
    database: Annotated[str, StringConstraints(min_length=1)]
    application_users: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """Users of this database whose right to write the fence takes away too (deletes pass a validator)."""


class TargetPlace(PlanModel):
    """A store by name, and a schema in it."""

    store: StoreName
    schema_: Name = Setting("public", alias="schema")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class DailyWindow(PlanModel):
    """The hours (UTC) in which the backfill may run; `start` after `end` crosses midnight."""

    start: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    end: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Pacing(PlanModel):
    """How hard the backfill may work; may be changed while it runs."""

    documents_per_second: int | None = Setting(None, gt=0)
    batch_size: int = Setting(2_000, ge=1, le=50_000)
    parallel: int = Setting(2, ge=1, le=64)
    partition_size: int = Setting(250_000, ge=1_000)
    window: DailyWindow | None = None


class Limits(PlanModel):
    """What the gates demand. Seconds, counts and fractions as named."""

    parity_fresh_seconds: int = Setting(3_600, gt=0)
    lag_seconds: float = Setting(10.0, gt=0)
    feed_window_seconds: int = Setting(3_600, ge=0)
    cutover_seconds: float = Setting(5.0, gt=0)
    mismatch_rate: float = Setting(0.0, ge=0, le=1)
    """Fraction of compared dark reads that may differ."""
    error_rate_difference: float = Setting(0.01, ge=0, le=1)
    """By how much the target's share of failed reads may be above the source's."""
    p95_difference_ms: float = Setting(50.0, ge=0)
    p99_difference_ms: float = Setting(200.0, ge=0)
    minimum_sample: int = Setting(100, ge=0)
    """Below this many reads no rate is judged; a gate that wants them waits."""


class DarkReads(PlanModel):
    """Sampled dark reads: percent of reads, and how long to watch them."""

    percent: float = Setting(5.0, ge=0, le=100)
    soak_seconds: float = Setting(3_600, ge=0)


class Ramp(PlanModel):
    """Reads by percent: the steps, and how long to stay on each."""

    steps: tuple[float, ...] = (1, 10, 50, 100)
    soak_seconds: float = Setting(600, ge=0)


class Ignored(PlanModel):
    """A field that parity leaves out. It is listed, with its reason and how often it mattered, in every report."""

    collection: str
    field: FieldPath
    reason: Annotated[str, StringConstraints(min_length=1)]


class Tolerance(PlanModel):
    """What counts as equal in a field although it is not the same; counted in every report.

    `absolute`: numbers that differ by no more than `amount`. `nfc`: text that is equal after Unicode normalisation.
    `rtrim`: text that differs in trailing spaces only. `milliseconds`: times that are equal when cut to milliseconds.
    """

    collection: str
    field: FieldPath
    rule: Literal["absolute", "nfc", "rtrim", "milliseconds"]
    amount: float = Setting(0.0, ge=0)
    reason: Annotated[str, StringConstraints(min_length=1)]


class Invariant(PlanModel):
    """A pair of queries that must give the same: `source` an aggregation of one collection, `target` a query.

    Both give rows of a label and a number (or text); the source's documents have the fields `_id` and `value`, the
    target's rows two columns. Without `source` the target's query must give no row at all (orphans, broken rules).
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,60}$")]
    collection: str | None = None
    source: tuple[dict[str, Any], ...] | None = None
    target: Annotated[str, StringConstraints(min_length=1)]


class ParityRules(PlanModel):
    """What parity overlooks, what it checks besides, and how far a repair may go. Not part of the fingerprint."""

    ignore: tuple[Ignored, ...] = ()
    tolerate: tuple[Tolerance, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    show: tuple[FieldPath, ...] = ()
    """Fields whose values a report may show when it is asked for values; all others stay redacted."""
    rebackfill_rate: float = Setting(0.05, gt=0, le=1)
    """Share of a range's keys that differ, above which the range is copied again instead of key by key."""
    deletes_at_most: int = Setting(1_000, ge=0)
    deletes_rate: float = Setting(0.001, ge=0, le=1)
    """A repair that would delete more keys than this many, or this share of the entity, is refused."""


GateName = Literal["dark_read", "ramp", "cutover", "retire", "decommission"]


class Plan(PlanModel):
    """A whole domain."""

    midflight: Literal[1] = 1
    domain: DomainName
    owner: str = ""
    residency: str = ""
    description: str = ""
    source: SourcePlace
    target: TargetPlace
    collections: tuple[CollectionMap, ...] = Setting(min_length=1)
    pacing: Pacing = Pacing()
    limits: Limits = Limits()
    dark_reads: DarkReads = DarkReads()
    ramp: Ramp = Ramp()
    soak_seconds: float = Setting(86_400, ge=0)
    retention_seconds: float = Setting(2_592_000, ge=0)
    """How long the source stays, read-only, with the way back open, after `retire`."""
    approvals: tuple[GateName, ...] = ("ramp", "cutover", "decommission")
    parity: ParityRules = ParityRules()

    def collection(self, name: str) -> CollectionMap:
        """The map of the named collection; KeyError if the plan has none."""
        for entry in self.collections:
            if entry.collection == name:
                return entry
        raise KeyError(name)


def plain(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready data, aliases applied, defaults written out."""
    return plan.model_dump(mode="json", by_alias=True)
