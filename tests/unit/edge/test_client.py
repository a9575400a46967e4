"""Every partition has its turn, however much the ones before it have."""

from __future__ import annotations

from types import SimpleNamespace

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from rapport_processors.edge.client import ConsumerThread


@given(st.sets(st.integers(0, 40), min_size=1), st.sets(st.integers(0, 40), min_size=1), st.integers(1, 300))
def test_what_is_there_is_shared_out(here: set[int], wanted: set[int], records: int) -> None:
    """No more than was asked for, from wanted partitions only, and soon something from each of them."""
    thread = object.__new__(ConsumerThread)
    fetcher = SimpleNamespace(_records={TP("mail", number): object() for number in here})
    ready = {TP("mail", number) for number in here & wanted}
    served: set[TP] = set()
    for _ in range(len(ready)):
        shares = thread._shares(fetcher, {TP("mail", number) for number in wanted}, records)
        assert sum(share for _, share in shares) == (records if ready else 0)
        assert all(share > 0 for _, share in shares)
        served.update(tp for tp, _ in shares)
    assert served == ready
