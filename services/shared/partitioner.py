"""Which partition a customer lives in: the Java client's murmur2 of the key, positive, modulo the partitions.

Every producer and the scorer agree on it, else a customer would be split in two.
"""

from functools import lru_cache

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]


@lru_cache(maxsize=131_072)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a record's key. Cached, as murmur2 in Python takes some microseconds."""
    positive: int = murmur2(key) & 0x7FFFFFFF
    return positive % partitions
