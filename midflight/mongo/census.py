"""Counts the fields of a collection where its documents are: how often each is there, null, and of which BSON type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from midflight.core.layers import ELEMENT, Layer, layers
from midflight.core.plan import Child, CollectionMap
from midflight.mongo.wire import key_filters
from midflight.records import FieldCount

Documents = AsyncCollection[dict[str, Any]]
Pipeline = list[dict[str, Any]]
_MISSING = "missing"
_NULL = "null"


async def census(
    documents: Documents, collection: CollectionMap, without: Sequence[bytes] = ()
) -> dict[str, FieldCount]:
    """By path, without these keys; two aggregations a layer."""
    types: dict[str, Counter[str]] = {}
    wanted: Pipeline = [{"$match": {"$nor": list(key_filters(without))}}] if without else []
    for layer in layers(collection):
        await _count_named(documents, wanted, layer, types)
        await _count_others(documents, wanted, layer, types)
    counted = {path: Counter({kind: n for kind, n in of_one.items() if n}) for path, of_one in types.items()}
    return {path: FieldCount(path, of_one.pop(_NULL, 0), dict(of_one)) for path, of_one in counted.items()}


async def _count_named(documents: Documents, wanted: Pipeline, layer: Layer, types: dict[str, Counter[str]]) -> None:
    """Documents of the same shape are counted together: shapes are few, fields are many."""
    way, at = _way(layer.children)
    paths = _paths(layer)
    shape = {str(number): {"$type": _place(at, path)} for number, path in enumerate(paths)}
    for path in paths:
        types.setdefault(layer.whole(path), Counter())
    found = await documents.aggregate([*wanted, *way, {"$group": {"_id": shape, "n": {"$sum": 1}}}], allowDiskUse=True)
    async for group in found:
        for number, path in enumerate(paths):
            kind = group["_id"][str(number)]
            if kind != _MISSING:
                types[layer.whole(path)][kind] += group["n"]


async def _count_others(documents: Documents, wanted: Pipeline, layer: Layer, types: dict[str, Counter[str]]) -> None:
    way, at = _way(layer.children)
    pipeline: Pipeline = [
        *wanted,
        *way,
        {"$project": {"_id": 0, "f": _pairs(f"${at}" if at else "$$ROOT")}},
        {"$unwind": "$f"},
        {"$match": {"f.k": {"$nin": sorted(layer.homes)}}},
        {"$group": {"_id": {"name": "$f.k", "type": {"$type": "$f.v"}}, "n": {"$sum": 1}}},
    ]
    async for group in await documents.aggregate(pipeline, allowDiskUse=True):
        path = layer.whole(group["_id"]["name"])
        types.setdefault(path, Counter())[group["_id"]["type"]] += group["n"]


def _paths(layer: Layer) -> list[str]:
    """The fields that have columns, and the element itself."""
    paths = [field.path for field in layer.fields]
    return paths if not layer.children or ELEMENT in paths else [ELEMENT, *paths]


def _way(children: tuple[Child, ...]) -> tuple[Pipeline, str]:
    """How to come to the elements, and the path at which they are then; none for the document itself."""
    stages: Pipeline = []
    at = ""
    for child in children:
        place = _place(at, child.path)
        stages += [
            {"$project": {"_id": 0, "e": _pairs(place) if child.map else _items(place)}},
            {"$unwind": "$e"},
        ]
        at = "e.v" if child.map else "e"
    return stages, at


def _place(at: str, path: str) -> str:
    if path == ELEMENT:
        return f"${at}"
    return f"${at}.{path}" if at else f"${path}"


def _pairs(place: str) -> dict[str, Any]:
    """Names and values of what is there; none where it is no document."""
    return {"$cond": [{"$eq": [{"$type": place}, "object"]}, {"$objectToArray": place}, []]}


def _items(place: str) -> dict[str, Any]:
    return {"$cond": [{"$isArray": place}, place, []]}
