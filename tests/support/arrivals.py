"""In which order and lane pages may arrive."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from naive_meetings import Said
from rapport_schemas.topics import Lane


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
