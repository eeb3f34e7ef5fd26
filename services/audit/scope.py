"""Whom an audit looks at: always whole families."""

from hashlib import blake2b
from typing import NamedTuple

from services.shared.families import Families


class Scope(NamedTuple):
    """Whom an audit looks at: the families of slice `number` of `slices`, by hash, or `customer` and their family."""

    slices: int = 1
    number: int = 0
    customer: str | None = None

    def takes(self, head: bytes, families: Families) -> bool:
        if self.customer is not None:
            return head == families.head(self.customer.encode())
        if self.slices == 1:
            return True
        return int.from_bytes(blake2b(head, digest_size=8).digest()) % self.slices == self.number
