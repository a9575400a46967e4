"""The aiokafka client in Faust's consumer thread, with everything stated that Faust leaves to chance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka.errors import ConsumerStoppedError  # type: ignore[import-untyped]
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from rapport_processors.edge.app_settings import FETCH_MAX_BYTES, FETCH_MAX_WAIT_MS
from rapport_processors.edge.assignment import CopartitionAssignor

RecordMap = Mapping[TP, list[Any]]


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The aiokafka client, with the assignor and the fetch sizes stated, and every partition given its turn."""

    _turn = 0

    def _create_worker_consumer(self, transport: Any) -> Any:
        conf = self.app.conf
        self._assignor = CopartitionAssignor
        return AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[CopartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset=conf.consumer_auto_offset_reset,
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_bytes=FETCH_MAX_BYTES,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def fetch(self, wanted: Sequence[tuple[set[TP], int]], wait_s: float) -> RecordMap:
        """Records that are here already, at most so many per group of partitions; waits for some if there are none."""
        found: RecordMap = await self.call_thread(self._fetch, wanted, wait_s)
        return found

    async def _fetch(self, wanted: Sequence[tuple[set[TP], int]], wait_s: float) -> RecordMap:
        consumer = self._ensure_consumer()
        # Asked again here: the flow may have been stopped while this call stood in the queue.
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher  # noqa: SLF001
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001
            found: dict[TP, list[Any]] = {}
            for tps, records in wanted:
                for tp, share in self._shares(fetcher, tps, records):
                    found |= await fetcher.fetched_records({tp}, timeout=0, max_records=share)
            if found:
                return found
            everything = set().union(*(tps for tps, _ in wanted))
            fewest = min(records for _, records in wanted)
            waited: RecordMap = await fetcher.fetched_records(everything, timeout=wait_s, max_records=fewest)
            return waited

    def _shares(self, fetcher: Any, tps: set[TP], records: int) -> list[tuple[TP, int]]:
        """The partitions of which something is here, and how many records each may give now.

        Asked for all at once, aiokafka would empty what it holds of one partition, up to a megabyte, before it touches the next:
        with more coming in all the time some would never have their turn.
        """
        here = [tp for tp in fetcher._records if tp in tps]  # noqa: SLF001
        if not here:
            return []
        self._turn += 1
        first = self._turn % len(here)
        share, more = divmod(records, len(here))
        turns = [*here[first:], *here[:first]]
        return [(tp, share + (place < more)) for place, tp in enumerate(turns) if share + (place < more)]

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Goes back to what is committed, and to the beginning where nothing is.

        Without the second half a partition without a commit stays behind records that were fetched and thrown away.
        """
        offsets: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return offsets

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        offsets: Mapping[TP, int] = await consumer.seek_to_committed()
        fresh = [tp for tp, offset in offsets.items() if not offset]
        if fresh:
            await consumer.seek_to_beginning(*fresh)
        return offsets

    async def ends_and_positions(self, tps: Sequence[TP]) -> dict[TP, tuple[int, int | None]]:
        """For each partition its end at the broker, and the next offset to be read here.

        Asked past the method queue, whose workers may be the ones that hang.
        """
        asked = asyncio.run_coroutine_threadsafe(self._ends_and_positions(tps), self.thread_loop)
        return await asyncio.wrap_future(asked)

    async def _ends_and_positions(self, tps: Sequence[TP]) -> dict[TP, tuple[int, int | None]]:
        consumer = self._ensure_consumer()
        plain = {tp: driver.ensure_aiokafka_TP(tp) for tp in tps}
        ends = await consumer.end_offsets(list(plain.values()))
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001
        found: dict[TP, tuple[int, int | None]] = {}
        for tp, key in plain.items():
            state = assignment.state_value(key) if assignment is not None and key in assignment.tps else None
            found[tp] = (
                ends[key],
                state.position if state is not None and state.has_valid_position else None,
            )
        return found
