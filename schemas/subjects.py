"""Whose key a record's key can be: some mean something else on the topics about customers."""

from typing import Final

LONGEST_KEY: Final = 1_024
"""Bytes. Ingest takes ids of at most 128 characters; records about one with an id without end would not be taken."""

POSITION_KEY: Final = b"\x00"
"""Of a partition's position, on the changelog topic; no subject can be it."""

_NOBODYS: Final = {b"": "is that of markers", POSITION_KEY: "is that of a partition's position"}


def nobodys(key: bytes) -> str | None:
    """Why the key cannot be a customer's, to be read after "the key"; None if it can."""
    if len(key) > LONGEST_KEY:
        return f"has {len(key)} bytes, {LONGEST_KEY} are the most"
    return _NOBODYS.get(key)
