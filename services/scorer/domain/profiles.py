"""Gauges of texts: attributes of the customer's profile, and the stage of the opportunity that moved last."""

from collections.abc import Sequence

from services.scorer.domain.comparisons import Threshold
from services.scorer.domain.entries import PROFILE, STAGE, read_profile
from services.scorer.domain.features import Attribute, Stage, Which
from services.scorer.domain.gauges import Ages, Figure, Gauge, Reading, Registers, Setting, texts
from services.scorer.domain.ledger import NEVER, Ledger


class Noted(Gauge):
    """An attribute. Registers: the entry that set it, -1 while unknown."""

    def __init__(self, feature: Attribute, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(Which((PROFILE,)), asked, setting)
        self._name = feature.name
        self._bits = texts(asked)

    def fresh(self) -> Registers:
        return [-1]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        text = self._text(ledger, index)
        if text is not None:
            registers[0] = index if text else -1

    def _text(self, ledger: Ledger, index: int) -> str | None:
        return dict(read_profile(ledger.profile(index)).fields).get(self._name)

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        if registers[0] < 0:
            return 0, NEVER
        return self._bits.get(self._text(ledger, registers[0]) or "", self._bits[""]), NEVER

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return None if registers[0] < 0 else self._text(ledger, registers[0])

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return [] if registers[0] < 0 else [registers[0]]


class Staged(Gauge):
    """An opportunity's stage. Registers: the newest stage entry, -1 without one, and since when it has been there."""

    def __init__(self, feature: Stage, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(Which((STAGE,)), asked, setting)
        self._bits = texts([t for t in asked if not t.operand.part])
        self._ages = Ages(asked, setting.zone, "time")

    def fresh(self) -> Registers:
        return [-1, 0]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        if registers[0] < 0 or self._fields(ledger, registers[0]) != self._fields(ledger, index):
            registers[1] = at_ms
        registers[0] = index

    @staticmethod
    def _fields(ledger: Ledger, index: int) -> dict[str, str]:
        return dict(read_profile(ledger.profile(index)).fields)

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        if registers[0] < 0:
            return 0, NEVER
        stage = self._fields(ledger, registers[0]).get("stage", "")
        bits, next_ms = self._ages.read(registers[1], at_ms)
        return bits | self._bits.get(stage, self._bits[""]), next_ms

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        if registers[0] < 0:
            return None
        return at_ms - registers[1] if part == "time" else self._fields(ledger, registers[0]).get("stage")

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return [] if registers[0] < 0 else [registers[0]]
