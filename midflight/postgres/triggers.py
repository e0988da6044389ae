"""The SQL of the triggers on target tables: the fence, and dirty marks. Pure text from the plan's tables.

Each table has a function of its own for its marks: static statements, whose plans are kept. It runs with the definer's
rights, and with the settings under which a key's text is the same in every session.

The residue of an element belongs to its position (`midflight.core.residue`): where the application removes an element
or moves it, the residue of that place goes out of the rest column first, or it would attach itself to whatever takes
the place later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from midflight.core.column_types import parse_type
from midflight.core.plan import Child, CollectionMap, Plan
from midflight.core.residue import CHILDREN
from midflight.core.tables import Column, Table, tables
from midflight.postgres.ddl import object_name

FENCE = "midflight_fence"
TRIGGERS = (FENCE, "midflight_mark_insert", "midflight_mark_update", "midflight_mark_delete")
_ROWS = {
    "insert": "new table as new_rows",
    "update": "old table as old_rows new table as new_rows",
    "delete": "old table as old_rows",
}
_SETTINGS = {
    "timestamptz": "timezone = 'UTC' set datestyle = 'ISO'",
    "date": "datestyle = 'ISO'",
    "double precision": "extra_float_digits = 1",
    "bytea": "bytea_output = 'hex'",
}
"""Under which the text of a key is the same in every session."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A table whose changes are marked. `path`: the arrays and maps that lead to it, none for the root table."""

    schema: str
    collection: CollectionMap
    table: Table
    path: tuple[str, ...]

    @property
    def name(self) -> sql.Identifier:
        """The table's name, to be quoted."""
        return sql.Identifier(self.schema, self.table.name)

    @property
    def function(self) -> sql.Identifier:
        """The name of its function, to be quoted."""
        return sql.Identifier("midflight", object_name("mark", self.schema, self.table.name))


def marked_tables(plan: Plan) -> list[Marked]:
    """Every table of the plan, roots before their children."""
    return [one for entry in plan.collections for one in _of_collection(plan.target.schema_, entry)]


def create_function(marked: Marked, domain: str, collection_id: int) -> sql.Composed:
    """The function that marks what a statement changed; made anew where it is there already."""
    return sql.SQL(
        "create or replace function {function}() returns trigger language plpgsql"
        " security definer set search_path = pg_catalog, pg_temp {settings} as {body}"
    ).format(
        function=marked.function,
        settings=_settings(marked.table),
        body=sql.Literal(_body(marked, domain, collection_id).as_string()),
    )


def create_triggers(marked: Marked, domain: str) -> Iterator[sql.Composed]:
    """All triggers of the table; ALWAYS, so that no session can be set to pass them by."""
    fence = "create trigger {fence} before insert or update or delete or truncate on {table} execute function"
    yield sql.SQL(fence + " midflight.fence({domain})").format(
        fence=sql.Identifier(FENCE), table=marked.name, domain=sql.Literal(domain)
    )
    for event, rows in _ROWS.items():
        mark = f"create trigger midflight_mark_{event} after {event} on {{table}} referencing {rows}"
        yield sql.SQL(mark + " for each statement execute function {function}()").format(
            table=marked.name, function=marked.function
        )
    for trigger in TRIGGERS:
        always = "alter table {} enable always trigger {}"
        yield sql.SQL(always).format(marked.name, sql.Identifier(trigger))


def drop_triggers(marked: Marked) -> Iterator[sql.Composed]:
    """All of ours off the table."""
    for trigger in TRIGGERS:
        yield sql.SQL("drop trigger if exists {} on {}").format(sql.Identifier(trigger), marked.name)


def drop_function(marked: Marked) -> sql.Composed:
    """The table's function away, once its triggers are."""
    return sql.SQL("drop function if exists {}()").format(marked.function)


def _of_collection(schema: str, entry: CollectionMap) -> Iterator[Marked]:
    paths = ((), *(path for child in entry.children for path in _paths(child, ())))
    for table, path in zip(tables(entry), paths, strict=True):
        yield Marked(schema, entry, table, path)


def _paths(child: Child, outer: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """In the order of `tables()`."""
    yield (*outer, child.path)
    for inner in child.children:
        yield from _paths(inner, (*outer, child.path))


def _settings(table: Table) -> sql.SQL:
    setting = _SETTINGS.get(parse_type(table.columns[0].type).name)
    return sql.SQL(f"set {setting}" if setting else "")


def _body(marked: Marked, domain: str, collection_id: int) -> sql.Composed:
    root = marked.table.parent is None
    mark = _mark_root if root else _mark_child
    changes = _root_changes(marked) if root else _child_changes(marked.table)
    moved = {} if root or marked.collection.rest is None else _moved_elements(marked)
    return sql.SQL(
        "declare gone record;\nbegin\n"
        "if current_setting('midflight.applier', true) = {domain} then return null; end if;\n"
        "if tg_op = 'INSERT' then\n{insert}elsif tg_op = 'UPDATE' then\n{update}else\n{delete}end if;\n"
        "return null;\nend"
    ).format(
        domain=sql.Literal(domain),
        **{event: moved.get(event, sql.SQL("")) + mark(changes[event], collection_id) for event in _ROWS},
    )


def _mark_root(changes: sql.Composed, collection_id: int) -> sql.Composed:
    """A deleted row leaves its rest column, a row that is there needs none."""
    return _mark(changes, collection_id, sql.SQL("rest = excluded.rest, "))


def _mark_child(changes: sql.Composed, collection_id: int) -> sql.Composed:
    """The rest column is the root row's: it goes first where rows are deleted in a cascade."""
    with_rest = sql.SQL("select row_key, null::jsonb as rest from ({}) as c").format(changes)
    return _mark(with_rest, collection_id, sql.SQL(""))


def _mark(changes: sql.Composed, collection_id: int, rest: sql.SQL) -> sql.Composed:
    # In key order, so that two writers wait for one another. Where the mark is there, its `seq` is drawn with its row
    # locked: one that was drawn before could be smaller than one that is written back already.
    return sql.SQL(
        "insert into midflight.dirty (collection_id, row_key, seq, rest)"
        " select {collection_id}, row_key, nextval('midflight.clock'), rest"
        ' from (select row_key, rest from ({changes}) as c order by row_key collate "C") as c'
        " on conflict (collection_id, row_key)"
        " do update set seq = nextval('midflight.clock'), {rest}refused = null;\n"
    ).format(collection_id=sql.Literal(collection_id), changes=changes, rest=rest)


def _root_changes(marked: Marked) -> dict[str, sql.Composed]:
    """By event: a query for row_key and rest."""
    rest = sql.Identifier(marked.collection.rest) if marked.collection.rest else sql.SQL("null::jsonb")
    key = sql.Identifier(marked.table.root_key)
    old = sql.SQL("select {}::text as row_key, {} as rest from old_rows").format(key, rest)
    new = sql.SQL("select {}::text as row_key, null::jsonb as rest from new_rows").format(key)
    both = sql.SQL(
        "select row_key, case when n.row_key is null then o.rest end as rest"
        " from ({}) as o full join ({}) as n using (row_key)"
    ).format(old, new)
    return {"insert": new, "update": both, "delete": old}


def _child_changes(table: Table) -> dict[str, sql.Composed]:
    """By event: a query for row_key."""
    key = sql.Identifier(table.root_key)
    old = sql.SQL("select distinct {}::text as row_key from old_rows").format(key)
    new = sql.SQL("select distinct {}::text as row_key from new_rows").format(key)
    return {"insert": new, "update": sql.SQL("{} union {}").format(old, new), "delete": old}


def _moved_elements(marked: Marked) -> dict[str, sql.Composed]:
    """By event: the statement that takes the residue of elements that have left their place out of the rest column."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in marked.table.primary_key)
    key = sql.Identifier(marked.table.root_key)
    gone = sql.SQL("select {} from old_rows").format(names)
    # An update that takes no element away from its place leaves the same places; elements cannot swap theirs in one
    # statement, as the primary key is checked row by row.
    moved = sql.SQL(
        "select {names} from (select {names} from old_rows union select {names} from new_rows) as p where {key} in"
        " (select {key} from (select {names} from old_rows except select {names} from new_rows) as o union"
        " select {key} from (select {names} from new_rows except select {names} from old_rows) as n)"
    ).format(names=names, key=key)
    return {"update": _forget_residue(marked, moved), "delete": _forget_residue(marked, gone)}


def _forget_residue(marked: Marked, places: sql.Composed) -> sql.Composed:
    # Before the mark: whoever changes a root row locks the row first and its mark after. Root rows are found by an
    # array of keys, or a plan that was made for many of them would read the whole table for a single one.
    return sql.SQL(
        "for gone in with places as ({places}) select {key} as root_key, {path} as path from places"
        " where {key} = any(array(select r.{root_key} from {root} as r"
        " where r.{root_key} = any(array(select {key} from places)) and r.{rest} ? {children})) order by 1, 2\n"
        "loop\nupdate {root} as r set {rest} = r.{rest} #- gone.path"
        " where r.{root_key} = gone.root_key and r.{rest} #> gone.path is not null;\nend loop;\n"
    ).format(
        places=places,
        key=sql.Identifier(marked.table.root_key),
        path=_residue_path(marked),
        root=sql.Identifier(marked.schema, marked.collection.table),
        root_key=sql.Identifier(marked.collection.key.column),
        rest=sql.Identifier(marked.collection.rest or ""),
        children=sql.Literal(CHILDREN),
    )


def _residue_path(marked: Marked) -> sql.Composed:
    """Where the residue of an element lies in the rest column."""
    parts: list[sql.Composable] = []
    for path, position in zip(marked.path, marked.table.columns[1:], strict=False):
        parts += [sql.Literal(CHILDREN), sql.Literal(path), _escaped(position)]
    return sql.SQL("array[{}]").format(sql.SQL(", ").join(parts))


def _escaped(position: Column) -> sql.Composed:
    """As `midflight.core.ejson.escape` has it: a name that begins with $ gets one more."""
    text = sql.SQL("{}::text").format(sql.Identifier(position.name))
    if position.type == "integer":
        return text
    return sql.SQL("case when left({0}, 1) = '$' then '$' || {0} else {0} end").format(text)
