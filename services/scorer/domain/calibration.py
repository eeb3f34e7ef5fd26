"""A policy's calibration: numbers of the whole population, as the features take them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NoReturn, TypeVar

from services.scorer.domain import literals
from services.scorer.domain.churn import DAY_MS, WEEK_MS, BgNbd, GammaGamma
from services.scorer.domain.document import Document
from services.scorer.domain.features import Rfm
from services.scorer.domain.spans import Span, parse_span

UNITS_MS = {"day": DAY_MS, "week": WEEK_MS}
CUTS = 4
MONTH_MS = 2_629_746_000  # the mean one, to put spans into order only

T = TypeVar("T")


class Calibration:
    """What the document gives, None where it gives nothing. PolicyError where it cannot be.

    gamma_gamma: with money in major units.  top_spend: in minor units
    """

    def __init__(self, document: Document, currency: str, digits: int) -> None:
        self._document, self._currency, self._digits = document, currency, digits
        given = document.policy.calibration
        self.bg_nbd = self._bg_nbd() if given.bg_nbd else None
        self.gamma_gamma = self._gamma_gamma() if given.gamma_gamma else None
        self._cuts = self._rfm() if given.rfm else None
        self.top_spend: Fraction | None = None
        if given.top_spend is not None:
            self.top_spend = Fraction(self._read("top_spend", text=given.top_spend, reader=self._money))
            if self.top_spend <= 0:
                self._refuse("top_spend", message="top_spend must be above 0")

    def rfm(self, name: str) -> Rfm | None:
        return Rfm(name, *self._cuts) if self._cuts else None

    def _bg_nbd(self) -> BgNbd:
        given = self._document.policy.calibration.bg_nbd
        assert given is not None
        r, alpha, a, b = (self._parameter("bg_nbd", name, getattr(given, name)) for name in ("r", "alpha", "a", "b"))
        return BgNbd(r, alpha, a, b, UNITS_MS[given.unit])

    def _gamma_gamma(self) -> GammaGamma:
        given = self._document.policy.calibration.gamma_gamma
        assert given is not None
        p, q, v = (self._parameter("gamma_gamma", name, getattr(given, name)) for name in ("p", "q", "v"))
        try:
            return GammaGamma(p, q, v)
        except ValueError as error:
            self._refuse("gamma_gamma", "q", message=str(error))

    def _parameter(self, model: str, name: str, text: str) -> float:
        value = self._read(model, name, text=text, reader=literals.number)
        if value <= 0:
            self._refuse(model, name, message=f"{name} = {text} must be above 0")
        return float(value)

    def _rfm(self) -> tuple[tuple[Span, ...], tuple[int, ...], tuple[int, ...]]:
        given = self._document.policy.calibration.rfm
        assert given is not None
        return (
            self._ascending("recency", given.recency, parse_span, _nominal_ms),
            self._ascending("frequency", given.frequency, lambda text: literals.whole(text, "a number of orders"), int),
            self._ascending("monetary", given.monetary, self._money, int),
        )

    def _ascending(
        self, name: str, texts: Sequence[str], reader: Callable[[str], T], size: Callable[[T], int]
    ) -> tuple[T, ...]:
        if len(texts) != CUTS:
            self._refuse("rfm", name, message=f"{name} has {len(texts)} cuts; give exactly {CUTS}, as scores go to 5")
        cuts = tuple(self._read("rfm", name, i, text=text, reader=reader) for i, text in enumerate(texts))
        sizes = [0, *map(size, cuts)]
        for i in range(CUTS):
            if sizes[i] >= sizes[i + 1]:
                message = f"{texts[i]} is not above {texts[i - 1] if i else 0}; cuts ascend"
                self._refuse("rfm", name, i, message=message)
        return cuts

    def _money(self, text: str) -> int:
        return literals.minor_units(text, self._digits, self._currency)

    def _read(self, *path: str | int, text: str, reader: Callable[[str], T]) -> T:
        try:
            return reader(text)
        except ValueError as error:
            self._refuse(*path, message=str(error))

    def _refuse(self, *path: str | int, message: str) -> NoReturn:
        self._document.place("calibration", *path).refuse(message)


def _nominal_ms(span: Span) -> int:
    return span.fixed_ms or span.months * MONTH_MS
