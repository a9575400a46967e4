"""Where a key goes: every client of Kafka must say the same."""

from __future__ import annotations

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from rapport_schemas.topics import composite_key, partition_of


@given(st.binary(max_size=80), st.integers(1, 64))
def test_a_key_goes_where_other_clients_put_it(key: bytes, partitions: int) -> None:
    """Against the partitioner of another client."""
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


def test_it_stays_as_it_is() -> None:
    """Changing it would take connections from their owners."""
    found = [partition_of(composite_key("acme", f"microsoft-m{number}")) for number in range(8)]
    assert found == [2, 0, 5, 7, 6, 2, 7, 3]
