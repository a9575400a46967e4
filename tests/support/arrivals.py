"""In which order and lane pages may arrive, and what else may happen meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from memory_pipeline import MemoryPipeline
from naive_meetings import Said
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import Lane

Publish = Callable[[MemoryPipeline, Said, Lane], None]


def arrivals(blocks: Sequence[list[Said]], random: Random) -> list[tuple[Said, Lane]]:
    """The pages in another order and either lane, some twice.

    Those of a listing keep their order and lane, and other pages come between them; what a crash cut off begins again.
    """
    listings = [block for block in blocks if len(block) > 1 or block[0].type != "changes"]
    singles = [block[0] for block in blocks if block not in listings]
    random.shuffle(listings)
    arriving = []
    for block in listings:
        lane = random.choice(list(Lane))
        cut_off = random.choice([0, 0, len(block) // 2, len(block)])
        arriving += [(page, lane) for page in [*block[:cut_off], *block]]
    for page in [*singles, *random.sample(singles, len(singles) // 2)]:
        arriving.insert(random.randint(0, len(arriving)), (page, random.choice(list(Lane))))
    return arriving


def play(
    pipeline: MemoryPipeline,
    arriving: Sequence[tuple[Said, Lane]],
    publish: Publish,
    directory: tuple[Sequence[DirectoryEntry], Sequence[DirectoryEntry]],
    random: Random,
) -> None:
    """Publishes the pages while the pipeline works, the two parts of the directory before, between or after them; to the end."""
    before, after = directory
    first, second = sorted(random.choice([0, len(arriving) // 2, len(arriving)]) for _ in range(2))
    for count in range(len(arriving) + 1):
        if count == first:
            pipeline.publish_entries(before)
        if count == second:
            pipeline.publish_entries(after)
        if count < len(arriving):
            publish(pipeline, *arriving[count])
        for _ in range(random.randrange(4)):
            pipeline.step()
    pipeline.run()
