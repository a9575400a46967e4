"""Offsets: nothing above an open record is ever committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rapport_processors.edge.offsets import OffsetTracker


def _tracker(*offsets: int) -> OffsetTracker:
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.delivered(offset)
    return tracker


def test_nothing_is_committable_before_something_is_confirmed() -> None:
    assert OffsetTracker().committable() is None
    assert _tracker(5, 6).committable() is None


def test_the_lowest_open_record_caps_what_is_confirmed_above_it() -> None:
    tracker = _tracker(*range(10, 14))
    for offset in (11, 12, 13):
        assert tracker.confirm(offset)
    assert tracker.committable() is None
    assert tracker.confirm(10)
    assert tracker.committable() == 14


def test_gaps_in_the_offsets_hide_no_open_record() -> None:
    tracker = _tracker(10, 15, 16, 40)
    tracker.confirm(10)
    tracker.confirm(16)
    tracker.confirm(40)
    assert tracker.committable() == 15


def test_a_record_handed_out_again_after_a_seek_is_open_again() -> None:
    tracker = _tracker(1, 2, 3)
    for offset in (1, 2):
        tracker.confirm(offset)
    tracker.delivered(2)
    tracker.delivered(3)
    assert tracker.committable() == 2
    assert tracker.open_records == 2


def test_what_is_committed_is_not_committable_again() -> None:
    tracker = _tracker(1, 2)
    tracker.confirm(1)
    assert tracker.committable() == 2
    tracker.committed(2)
    assert tracker.committable() is None


def test_a_record_that_was_never_handed_out_confirms_nothing() -> None:
    assert not _tracker(1).confirm(2)


_STEPS = st.lists(
    st.tuples(st.sampled_from(["deliver", "confirm", "commit"]), st.integers(0, 20)), max_size=60
)


@given(st.lists(st.integers(0, 60), unique=True, max_size=20).map(sorted), _STEPS)
def test_every_commit_leaves_all_unconfirmed_records_to_be_read_again(
    offsets: list[int], steps: list[tuple[str, int]]
) -> None:
    tracker = OffsetTracker()
    waiting, open_now, unconfirmed, committed = list(offsets), [], set(offsets), -1
    finish = [("deliver", 0)] * len(offsets) + [("confirm", 0)] * len(offsets) + [("commit", 0)]
    for step, choice in [*steps, *finish]:
        if step == "deliver" and waiting:
            open_now.append(waiting.pop(0))
            tracker.delivered(open_now[-1])
        elif step == "confirm" and open_now:
            confirmed = open_now.pop(choice % len(open_now))
            unconfirmed.remove(confirmed)
            assert tracker.confirm(confirmed)
        elif step == "commit" and (position := tracker.committable()) is not None:
            assert position > committed
            assert all(offset >= position for offset in unconfirmed)
            tracker.committed(committed := position)
    assert committed == (offsets[-1] + 1 if offsets else -1)
