"""The five ways in which Faust as it comes loses records, each shown, and each shown not to happen to us.

`stock` runs Faust's own transport with an agent as its documentation writes it; the test states that it loses, so that a
release which no longer does is noticed. `ours` must lose nothing, and the next worker must complete the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from edge_lab import Lab, Worker, edge_lab
from local_stack import why_no_kafka

pytestmark = pytest.mark.stack

RECORDS = 60
A_COMMIT = 0.8
"""Seconds in which a worker of these tests commits at least once, should there be anything to commit."""
A_PRODUCE_REQUEST = 17_000
"""Bytes that fill a batch of stock Faust's producer, so that each record needs a request of its own."""
VARIANTS = pytest.mark.parametrize("variant", ["stock", "ours"])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    with edge_lab(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def group() -> str:
    return f"group-{uuid4().hex[:8]}"


def _values(count: int = RECORDS, mark: str = "r", size: int = 0) -> list[bytes]:
    return [f"{mark}{number:05d}".encode().ljust(size, b".") for number in range(count)]


def _completes(lab: Lab, group: str, source: str, output: str, count: int = RECORDS) -> None:
    """A healthy worker takes over, and in the end every record has arrived."""
    with lab.worker(group, inputs=[source], output=output) as worker:
        worker.until(lambda: lab.committed(group, source).get(0) == count)
        assert lab.lost(group, source, output) == []


@VARIANTS
def test_an_exception_in_the_body_skips_no_record(lab: Lab, group: str, variant: str) -> None:
    source, output = lab.topic("in"), lab.topic("out")
    lab.fill(source, _values())
    plan: dict[str, Any] = {"variant": variant, "inputs": [source], "output": output}
    with lab.worker(group, fault="exception", handle_s=A_COMMIT, **plan) as worker:
        code = worker.exit_code()
    lost = lab.lost(group, source, output)
    if variant == "stock":
        assert b"r00013" in lost
    else:
        assert (code, lost) == (70, [])
        assert worker.tail().count("worker_stopped") == 1
        _completes(lab, group, source, output)


@VARIANTS
def test_an_oversize_record_costs_no_other_record(lab: Lab, group: str, variant: str) -> None:
    source, output = lab.topic("in"), lab.topic("out", max_message_bytes="1000")
    lab.fill(source, _values())
    plan: dict[str, Any] = {"variant": variant, "inputs": [source], "output": output}
    with lab.worker(group, fault="oversize", handle_s=A_COMMIT, **plan) as worker:
        if variant == "stock":
            worker.until(lambda: lab.committed(group, source).get(0) == RECORDS)
        else:
            assert worker.exit_code() == 70
    lost = lab.lost(group, source, output)
    if variant == "stock":
        assert b"r00013" in lost
    else:
        assert lost == []
        _completes(lab, group, source, output)


@VARIANTS
def test_a_slow_broker_is_waited_for(lab: Lab, group: str, variant: str) -> None:
    source, output = lab.topic("in"), lab.topic("out")
    lab.fill(source, _values(size=A_PRODUCE_REQUEST))
    lab.proxy.delay_s = 0.4
    with lab.worker(
        group, slow=True, variant=variant, fault="slow", inputs=[source], output=output, max_records=10
    ) as worker:
        worker.until(lambda: lab.committed(group, source).get(0, 0) > 0)
        worker.kill()
    lab.proxy.delay_s = 0.0
    lost = lab.lost(group, source, output)
    if variant == "stock":
        assert lost
    else:
        assert lost == []
        _completes(lab, group, source, output)


@VARIANTS
def test_a_stop_commits_nothing_that_is_not_at_the_broker(lab: Lab, group: str, variant: str) -> None:
    source, output = lab.topic("in"), lab.topic("out")
    lab.fill(source, _values(size=A_PRODUCE_REQUEST))
    lab.proxy.delay_s = 60.0 if variant == "ours" else 0.4
    with lab.worker(
        group, slow=True, variant=variant, fault="stop", inputs=[source], output=output, drain_limit_s=2.0
    ) as worker:
        if variant == "stock":
            worker.until(lambda: lab.committed(group, source).get(0, 0) > 0)
        else:
            worker.until(lambda: bool(worker.told("batch")))
        worker.stop()
        code = worker.exit_code()
    lab.proxy.delay_s = 0.0
    lost = lab.lost(group, source, output)
    if variant == "stock":
        assert lost
    else:
        assert (code, lost) == (0, [])
        _completes(lab, group, source, output)


@VARIANTS
def test_acknowledgements_out_of_order_commit_no_open_record(lab: Lab, group: str, variant: str) -> None:
    """Partition 0 has no committed offset yet, 1 has one, and in 2 transaction markers leave gaps in the offsets."""
    source = lab.topic("in", partitions=3)
    values = [*_values(3), b"held", *_values(3, "s")]
    lab.fill(source, values, partition=0)
    lab.fill(source, [*_values(5, "done"), *values], partition=1)
    lab.commit(group, source, 1, 5)
    for transaction in (_values(3), [b"held"], _values(3, "s")):
        _fill_in_a_transaction(lab, source, transaction, partition=2)
    held = {partition: offset for partition, offset, value in lab.read(source) if value == b"held"}
    plan: dict[str, Any] = {"inputs": [source], "output": source, "drain_limit_s": 1.0}
    with lab.worker(group, variant=variant, fault="order", **plan) as worker:
        worker.until(lambda: len(lab.committed(group, source)) == 3)
        if variant == "stock":
            worker.until(lambda: _beyond(lab, group, source, held) > 0)
            return
        worker.stop()  # which waits for the held record, but not for ever, and commits what it can
        assert worker.exit_code() == 0
    assert lab.committed(group, source) == held


def _beyond(lab: Lab, group: str, source: str, held: dict[int, int]) -> int:
    committed = lab.committed(group, source)
    return sum(committed.get(partition, 0) > offset for partition, offset in held.items())


def _fill_in_a_transaction(lab: Lab, topic: str, values: list[bytes], partition: int) -> None:
    producer = Producer({"bootstrap.servers": lab.bootstrap, "transactional.id": uuid4().hex})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, value, partition)
    producer.commit_transaction(20)


# --- partitions ---------------------------------------------------------------------------------------------------


def _partitions(worker: Worker) -> dict[str, list[int]]:
    told = worker.told("assigned")
    return {} if not told else dict(told[-1]["partitions"])


def _is_whole(workers: list[Worker], topics: list[str]) -> bool:
    """All partitions of all topics are owned once, and each worker owns the same numbers of each topic."""
    owned = [_partitions(worker) for worker in workers]
    for numbers in owned:
        if set(numbers) != set(topics) or len({tuple(held) for held in numbers.values()}) != 1:
            return False
    return sorted(number for numbers in owned for number in numbers[topics[0]]) == list(range(8))


def test_equal_partitions_of_a_stage_stay_together_through_join_leave_and_crash(lab: Lab, group: str) -> None:
    topics = [lab.topic(f"stage{number}", partitions=8) for number in range(4)]
    plan: dict[str, Any] = {"inputs": topics, "output": lab.topic("out"), "groups": [topics]}
    with lab.worker(group, **plan) as first, lab.worker(group, **plan) as second:
        first.until(lambda: _is_whole([first, second], topics), 40)
        second.kill()
        first.until(lambda: _is_whole([first], topics), 40)
        with lab.worker(group, **plan) as third:
            first.until(lambda: _is_whole([first, third], topics), 40)
            third.stop()
            assert third.exit_code() == 0
            first.until(lambda: _is_whole([first], topics), 40)
        assert first.process.poll() is None


def test_a_stage_torn_apart_ends_the_worker_with_70(lab: Lab, group: str) -> None:
    """Topics of one stage with different partition counts cannot be kept together: no worker goes on."""
    topics = [lab.topic("eight", partitions=8), lab.topic("four", partitions=4)]
    with lab.worker(group, inputs=topics, output=lab.topic("out"), groups=[topics]) as worker:
        assert worker.exit_code() == 70
        assert worker.told("batch") == []


def test_a_batch_that_outlasts_its_partitions_ends_the_worker_unconfirmed(lab: Lab, group: str) -> None:
    """At a rebalance batches in flight are waited for, within a limit; the next owner repeats the rest."""
    source, output = lab.topic("in"), lab.topic("out")
    lab.fill(source, _values())
    with lab.worker(group, fault="hang", inputs=[source], output=output, drain_limit_s=0.5) as stuck:
        stuck.until(lambda: bool(stuck.told("batch")))
        with lab.worker(group, inputs=[source], output=output) as successor:
            assert stuck.exit_code() == 70
            successor.until(lambda: lab.committed(group, source).get(0) == RECORDS)
    assert lab.lost(group, source, output) == []


# --- lanes --------------------------------------------------------------------------------------------------------


def test_live_overtakes_a_backlog_of_backfill_which_is_not_starved(lab: Lab, group: str) -> None:
    live, backfill, output = lab.topic("live"), lab.topic("backfill"), lab.topic("out")
    lab.fill(backfill, _values(2_000, "b"))
    plan: dict[str, Any] = {
        "inputs": [live],
        "backfill": [backfill],
        "output": output,
        "max_records": 20,
        "handle_s": 0.05,
    }
    with lab.worker(group, **plan) as worker:
        worker.until(lambda: bool(worker.told("batch")))
        lab.fill(live, _values(1_000, "l"))
        worker.until(lambda: lab.committed(group, live).get(0) == 1_000, 40)
        backfilled = lab.committed(group, backfill).get(0, 0)
        lanes = [batch["lane"] for batch in worker.told("batch")]
    assert backfilled < 2_000
    during_live = lanes[lanes.index("live") : len(lanes) - lanes[::-1].index("live")]
    share = during_live.count("backfill") / len(during_live)
    assert 0.1 < share < 0.45, during_live


# --- standing still -----------------------------------------------------------------------------------------------


def test_a_worker_whose_lag_stands_still_is_ended(lab: Lab, group: str) -> None:
    source = lab.topic("in")
    lab.fill(source, _values())
    with lab.worker(group, fault="hang", inputs=[source], output=lab.topic("out"), watchdog_s=2.0) as worker:
        assert worker.exit_code() == 70
    assert "no progress for 2 s" in worker.tail()
    assert lab.committed(group, source) == {}
