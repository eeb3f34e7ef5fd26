"""Records land where the Java client would put them."""

import pytest
from aiokafka.partitioner import murmur2 as aiokafkas
from hypothesis import given
from hypothesis import strategies as st

from services.shared.partitioner import murmur2, partition_of

# From Apache Kafka's own UtilsTest.testMurmur2, as signed 32-bit integers.
JAVA = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "expected"), JAVA)
def test_hashes_like_the_java_client(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected % 2**32
    assert partition_of(key, 12) == (expected & 0x7FFFFFFF) % 12


@given(st.binary(max_size=40))
def test_hashes_like_another_client(key: bytes) -> None:
    assert murmur2(key) == aiokafkas(key) % 2**32


def test_spreads_customers_over_all_partitions() -> None:
    assert {partition_of(f"c-{n}".encode(), 12) for n in range(1000)} == set(range(12))
