"""Walk a range of the source by images: only where they differ the fields are read.

Where both sides sort alike, one walk meets the keys of both. Else the target is asked for the source's keys, and a walk
of its own finds the keys that only the target has.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping

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
"""So many times the keys of a block the target may have in its span, before their images come in several pages."""


def walks_alike(work: Work, entity: str) -> bool:
    """Whether the walk over the source meets every key of the target, too."""
    return has_images(work, entity) and isinstance(work.target, AlikeSide) and work.target.sorts_alike(entity)


def has_images(work: Work, entity: str) -> bool:
    """Whether images can be compared at all. Where fields must be counted on the way, they have to be read anyway."""
    return (
        (not work.census or isinstance(work.target, CensusSide))
        and isinstance(work.source, ImageSide)
        and isinstance(work.target, ImagingSide)
        and work.target.has_images(entity)
    )


async def of_both(work: Work, entity: str, place: ParityProgress) -> Blocks:
    """The walk where both sides sort alike: keys that only the target has are met on the way."""
    walked, look = place.cursor, _met if work.base is None else _unless_held
    async with closing(_read(work, entity, place)) as blocks:
        async for images in blocks:
            last = next(reversed(images))
            async for block in look(work, entity, images, Span(place.keys, walked, last)):
                yield block
            walked = last
    async for block in look(work, entity, {}, Span(place.keys, walked)):
        yield block


async def of_source_keys(work: Work, entity: str, place: ParityProgress) -> Blocks:
    """The walk where the target is asked for the source's keys."""
    assert isinstance(work.target, ImagingSide)
    async with closing(_read(work, entity, place)) as blocks:
        async for images in blocks:
            target, tally = await work.target.images(entity, list(images)), Tally()
            unlike = [key for key, image in images.items() if target.get(key) != image]
            unlike = await unlike_of(work, entity, unlike, tally, counted=False)
            yield Block(next(reversed(images)), len(images), unlike, tally)


async def _met(work: Work, entity: str, images: Images, span: Span) -> Blocks:
    """The block of these images, and what the target has beside them; before it those of whole pages of extra keys."""
    assert isinstance(work.target, AlikeSide)
    keys, unlike, tally = len(images), list[bytes](), Tally()
    async with closing(work.target.images_within(entity, span, at_most=PAGE * work.policy.batch_size)) as pages:
        async for page in pages:
            if unlike:
                yield Block(span.after, 0, unlike, Tally())
            unlike = _differing(images, page)
    unlike += images
    if keys or unlike:
        unlike = await unlike_of(work, entity, unlike, tally, counted=False)
        yield Block(span.upto or span.after, keys, unlike, tally, is_last=span.upto is None)


async def _unless_held(work: Work, entity: str, images: Images, span: Span) -> Blocks:
    """As `_met`, but for what has not changed since the base run: that is skipped, in ever smaller parts."""
    assert isinstance(work.target, AlikeSide)
    assert work.base is not None
    seen_equal = work.base.excluded.get(entity, frozenset()).isdisjoint(images)
    if seen_equal and await work.target.holds(entity, images, span, token=work.base.token):
        tally = Tally()
        tally.skipped = len(images)
        if images:
            yield Block(span.upto, len(images), [], tally)
    elif len(images) <= FEW:
        async for block in _met(work, entity, images, span):
            yield block
    else:
        for part, inner in _parts(images, span):
            async for block in _unless_held(work, entity, part, inner):
                yield block


def _parts(images: Images, span: Span) -> Iterator[tuple[Images, Span]]:
    items, after = list(images.items()), span.after
    size = -(-len(items) // PARTS)
    for start in range(0, len(items), size):
        part = dict(items[start : start + size])
        upto = next(reversed(part))
        yield part, Span(span.keys, after, upto)
        after = upto


def _differing(images: Images, page: Mapping[bytes, bytes]) -> list[bytes]:
    """The keys of the page that differ. All that it has are taken out of the images: what is left is missing."""
    if images == page:
        images.clear()
        return []
    return [key for key, image in page.items() if images.pop(key, None) != image]


def _read(work: Work, entity: str, place: ParityProgress) -> AsyncGenerator[Images, None]:
    assert isinstance(work.source, ImageSide)
    return ahead(work.source.read_images(entity, place.keys, above=place.cursor, at_most=work.policy.batch_size))
