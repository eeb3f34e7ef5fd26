"""How a life stands at the instant it has been played to: what its decision records are made of."""

from collections.abc import Sequence

import msgspec

from services.scorer.domain.gauges import Registers
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.machine import Machine


class Now(msgspec.Struct, gc=False):
    """`truths` and `registers` are those of the machine at `at_ms`, and all entries of the ledger by then are entered.

    said:  by index, what gauges that have just met an event said of when they change; None where none did
    nexts: the same of every gauge, once all have been asked, at least a bound of it
    """

    machine: Machine
    ledger: Ledger
    registers: Sequence[Registers]
    truths: int
    at_ms: int
    said: dict[int, int] | None = None
    nexts: list[int] | None = None
