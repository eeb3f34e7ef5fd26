"""Which partition a customer lives in: the Java client's murmur2 of the key, positive, modulo the partitions.

Every producer and the scorer agree on it, else a customer would be split in two. It is asked for every event that is
posted, and for every customer's first: hence written so that it compiles to steps of a machine word.
"""

from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR_HIGH: Final = 0x5BD1  # the factor is 0x5BD1E995
_FACTOR_LOW: Final = 0xE995
_WORD: Final = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a record's key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """Austin Appleby's MurmurHash2 of 32 bits, unsigned, with Kafka's seed."""
    size = len(key)
    left = size & 3
    mixed = _SEED ^ size
    for at in range(0, size - left, 4):
        word = _times(key[at] | key[at + 1] << 8 | key[at + 2] << 16 | key[at + 3] << 24)
        mixed = _times(mixed) ^ _times(word ^ word >> 24)
    if left:
        rest = key[size - left]
        if left > 1:
            rest |= key[size - left + 1] << 8
        if left > 2:
            rest |= key[size - 1] << 16
        mixed = _times(mixed ^ rest)
    mixed = _times(mixed ^ mixed >> 13)
    return mixed ^ mixed >> 15


def _times(number: int) -> int:
    """The 32-bit number times the factor modulo 2**32, by the halves of both: compiled code multiplies numbers below
    2**30 in one step, and goes to Python with longer ones."""
    low, high = number & 0xFFFF, number >> 16
    return low * _FACTOR_LOW + ((low * _FACTOR_HIGH + high * _FACTOR_LOW & 0xFFFF) << 16) & _WORD
