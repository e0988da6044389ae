"""Walk a range of the source by images: only where they differ the fields are read.

Where both sides sort alike, one walk meets the keys of both. Else the target is asked for the source's keys, and a walk
of its own finds the keys that only the target has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from midflight.parity.ahead import ahead, closing
from midflight.parity.block import Block, Blocks, unlike_of
from midflight.parity.ports import AlikeSide, CensusSide, ImageSide, ImagingSide
from midflight.parity.records import Span
from midflight.parity.tally import Tally
from midflight.parity.work import Work
from midflight.records import ParityProgress

Images = dict[bytes, bytes]
FEW = 250
"""Keys of which it is not worth while to find out which of them were skipped before."""
PARTS = 8
PAGE = 2
"""So many times the keys of a block the target may have in its span, before they come in several pages."""


def has_images(work: Work, entity: str) -> bool:
    """Whether images can be compared at all. Where fields must be counted on the way, they have to be read anyway."""
    return (
        (not work.census or isinstance(work.target, CensusSide))
        and isinstance(work.source, ImageSide)
        and isinstance(work.target, ImagingSide)
        and work.target.has_images(entity)
    )


def walks_alike(work: Work, entity: str) -> bool:
    """Whether the walk over the source meets every key of the target, too."""
    return has_images(work, entity) and isinstance(work.target, AlikeSide) and work.target.sorts_alike(entity)


async def of_source_keys(work: Work, entity: str, place: ParityProgress) -> Blocks:
    """The walk where the target is asked for the source's keys."""
    assert isinstance(work.target, ImagingSide)
    async with closing(_read(work, entity, place)) as blocks:
        async for images in blocks:
            target, tally = await work.target.images(entity, list(images)), Tally()
            unlike = [key for key, image in images.items() if target.get(key) != image]
            unlike = await unlike_of(work, entity, unlike, tally, counted=False)
            yield Block(next(reversed(images)), len(images), unlike, tally)


async def of_both(work: Work, entity: str, place: ParityProgress) -> Blocks:
    """The walk where both sides sort alike: keys that only the target has are met on the way."""
    stretches = _stretches(work, entity, place)
    async with closing(
        _met(work, entity, stretches) if work.base is None else _changed(work, entity, stretches)
    ) as met:
        async for block in met:
            yield block


# --- both sides beside each other ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Images of the source, and the span in which they are all that it has."""

    images: Images
    span: Span

    def block(self, unlike: list[bytes], tally: Tally) -> Block:
        """All of it was looked at. The last stretch has no images, and goes to the range's end."""
        span = self.span
        return Block(span.upto or span.after, len(self.images), unlike, tally, is_last=span.upto is None)


async def _stretches(work: Work, entity: str, place: ParityProgress) -> AsyncGenerator[_Stretch, None]:
    walked = place.cursor
    async with closing(_read(work, entity, place)) as blocks:
        async for images in blocks:
            last = next(reversed(images))
            yield _Stretch(images, Span(place.keys, walked, last))
            walked = last
    yield _Stretch({}, Span(place.keys, walked))


async def _met(work: Work, entity: str, stretches: AsyncIterator[_Stretch]) -> Blocks:
    """A block for each stretch; before it one for each page of the target that is full of other keys."""
    left, unlike = Images(), list[bytes]()
    async with closing(ahead(_with_pages(work, entity, stretches))) as pages:
        async for stretch, page in pages:
            if page is _BEGIN:
                left, unlike = dict(stretch.images), []
            elif page is _END:
                tally = Tally()
                found = await unlike_of(work, entity, [*unlike, *left], tally, counted=False)
                yield stretch.block(found, tally)
            else:
                if others := [key for key in unlike if key not in stretch.images]:
                    # What the source has waits for the stretch's block: a run that is killed in between looks again.
                    yield Block(stretch.span.after, 0, others, Tally())
                unlike = [key for key in unlike if key in stretch.images]
                unlike += await asyncio.to_thread(_differing, work, entity, left, page)


_BEGIN, _END = object(), object()


async def _with_pages(
    work: Work, entity: str, stretches: AsyncIterator[_Stretch]
) -> AsyncGenerator[tuple[_Stretch, Any], None]:
    """What the target has in each stretch, page by page, between a beginning and an end."""
    assert isinstance(work.target, AlikeSide)
    at_most = PAGE * work.policy.batch_size
    async with closing(stretches):
        async for stretch in stretches:
            yield stretch, _BEGIN
            async with closing(work.target.pages_within(entity, stretch.span, at_most=at_most)) as pages:
                async for page in pages:
                    yield stretch, page
            yield stretch, _END


def _differing(work: Work, entity: str, left: Images, page: Any) -> list[bytes]:
    """The keys of the page that differ. All that it has are taken out of `left`: what stays there is missing."""
    assert isinstance(work.target, AlikeSide)
    images = work.target.images_of(entity, page)
    if left == images:
        left.clear()
        return []
    return [key for key, image in images.items() if left.pop(key, None) != image]


# --- what has changed since another run -----------------------------------------------------------------------------


async def _changed(work: Work, entity: str, stretches: AsyncIterator[_Stretch]) -> Blocks:
    """As `_met`, but for what has not changed since the base run: that is skipped."""
    async with closing(stretches):
        async for stretch in stretches:
            async for block in _unless_held(work, entity, stretch):
                yield block


async def _unless_held(work: Work, entity: str, stretch: _Stretch) -> Blocks:
    """A stretch is skipped as a whole, or in ever smaller parts."""
    assert isinstance(work.target, AlikeSide)
    assert work.base is not None
    images, span = stretch.images, stretch.span
    seen_equal = work.base.excluded.get(entity, frozenset()).isdisjoint(images)
    if seen_equal and await work.target.holds(entity, images, span, token=work.base.token):
        tally = Tally()
        tally.skipped = len(images)
        yield stretch.block([], tally)
    elif len(images) <= FEW:
        async for block in _met(work, entity, _only(stretch)):
            yield block
    else:
        for part in _parts(stretch):
            async for block in _unless_held(work, entity, part):
                yield block


def _parts(stretch: _Stretch) -> Iterator[_Stretch]:
    items, walked = list(stretch.images.items()), stretch.span.after
    size = -(-len(items) // PARTS)
    for start in range(0, len(items), size):
        part = dict(items[start : start + size])
        last = next(reversed(part))
        yield _Stretch(part, Span(stretch.span.keys, walked, last))
        walked = last


async def _only(stretch: _Stretch) -> AsyncGenerator[_Stretch, None]:
    yield stretch


def _read(work: Work, entity: str, place: ParityProgress) -> AsyncGenerator[Images, None]:
    assert isinstance(work.source, ImageSide)
    return ahead(work.source.read_images(entity, place.keys, above=place.cursor, at_most=work.policy.batch_size))
