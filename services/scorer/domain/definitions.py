"""The features of a policy's document as definitions (`features.py`): kinds, settings, windows, what they need."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

from schemas import policy as shape
from services.scorer.domain import literals, where
from services.scorer.domain.calibration import Calibration
from services.scorer.domain.document import Document, suggest
from services.scorer.domain.entries import CLICK, COMPLAINT, FORM, INTERACTION, NPS, PURCHASE, RATING, REFUND, STAGE
from services.scorer.domain.expressions import ExpressionError
from services.scorer.domain.features import (
    Count,
    Expected,
    Feature,
    Feedback,
    Mean,
    Overdue,
    PAlive,
    Ratio,
    Regularity,
    Rfm,
    Score,
    SinceLast,
    Stage,
    Sum,
    Trend,
    Value,
    Which,
)
from services.scorer.domain.spans import Span, parse_span

T = TypeVar("T")

KINDS: dict[str, tuple[int, ...]] = {
    "purchase": (PURCHASE,),
    "refund": (REFUND,),
    "click": (CLICK,),
    "interaction": (INTERACTION,),
    "form": (FORM,),
    "feedback": (RATING, NPS, COMPLAINT),
    "stage": (STAGE,),
}
FEEDBACK = {"rating": RATING, "nps": NPS, "complaint": COMPLAINT}

SETTINGS: dict[str, tuple[str, ...]] = {
    "count": ("window", "where"),
    "sum": ("minus", "window", "where"),
    "mean": ("window", "where"),
    "feedback": ("window", "where"),
    "ratio": (),
    "since_last": ("where",),
    "regularity": (),
    "overdue": (),
    "trend": ("recent", "base", "where"),
    "score": ("half_life",),
    "p_alive": (),
    "expected": ("horizon",),
    "value": (),
    "rfm": (),
    "stage": (),
}
"""The kinds of features and the settings that go with each."""

NEEDED = {"trend": ("recent", "base"), "score": ("half_life",), "expected": ("horizon",)}


class Definitions:
    """Makes the document's features, each once; PolicyError where one cannot be."""

    def __init__(self, document: Document, calibration: Calibration) -> None:
        self._document, self._calibration = document, calibration
        self._given = document.policy.features
        self._made: dict[str, Feature] = {}
        self._making: list[str] = []

    def all(self) -> dict[str, Feature]:
        """In the document's order."""
        return {name: self._feature(name) for name in self._given}

    def _feature(self, name: str) -> Feature:
        if name not in self._made:
            self._making.append(name)
            self._made[name] = self._define(name, self._given[name])
            self._making.pop()
        return self._made[name]

    def _define(self, name: str, given: shape.Feature) -> Feature:  # noqa: PLR0911, PLR0912 - one branch a kind
        match self._kind(name, given):
            case "count":
                return Count(name, self._typed(name, given.count), self._span(name, "window"))
            case "sum":
                kind = REFUND if given.sum == "refund.amount" else PURCHASE
                if given.minus and kind == REFUND:
                    self._refuse(name, "minus", message="`minus` goes with `sum: purchase.amount`")
                which = self._which(name, (kind,))
                return Sum(name, which, given.minus is not None, self._span(name, "window"))
            case "mean":  # a complaint has no score
                return Mean(name, self._which(name, (RATING, NPS)), self._span(name, "window"))
            case "feedback":
                return self._feedback(name, given)
            case "ratio":
                return self._ratio(name, given.ratio or [])
            case "since_last":
                return SinceLast(name, self._typed(name, given.since_last))
            case "regularity":
                return Regularity(name)
            case "overdue":
                return Overdue(name)
            case "trend":
                which = self._typed(name, given.trend)
                return Trend(name, which, self._fixed(name, "recent"), self._fixed(name, "base"))
            case "score":
                return self._score(name, given.score or {})
            case "p_alive":
                return PAlive(name, self._calibrated(name, "bg_nbd", self._calibration.bg_nbd))
            case "expected":
                model = self._calibrated(name, "bg_nbd", self._calibration.bg_nbd)
                return Expected(name, model, self._fixed(name, "horizon"))
            case "value":
                return Value(name, self._calibrated(name, "gamma_gamma", self._calibration.gamma_gamma))
            case "rfm":
                cuts: Rfm = self._calibrated(name, "rfm", self._calibration.rfm(name))
                return cuts
            case _:
                return Stage(name)

    def _kind(self, name: str, given: shape.Feature) -> str:
        """The feature's kind; its settings are those that go with it."""
        kinds = [kind for kind in SETTINGS if getattr(given, kind) is not None]
        if len(kinds) != 1:
            found = f"has {' and '.join(kinds)}" if kinds else "has none"
            place = self._document.place("features", name)
            place.refuse(f"feature {name!r} {found}; give it exactly one of {', '.join(SETTINGS)}")
        kind = kinds[0]
        settings = {setting for allowed in SETTINGS.values() for setting in allowed}
        for setting in sorted(settings - set(SETTINGS[kind])):
            if getattr(given, setting) is not None:
                allowed = f"only {', '.join(SETTINGS[kind])}" if SETTINGS[kind] else "it takes no settings"
                self._document.key("features", name, setting).refuse(
                    f"feature {name!r}: `{setting}` does not go with `{kind}`; {allowed}"
                )
        for setting in NEEDED.get(kind, ()):
            if getattr(given, setting) is None:
                self._refuse(name, message=f"`{kind}` needs `{setting}`, as {setting}: 30d")
        return kind

    def _typed(self, name: str, types: shape.EventType | list[shape.EventType] | None) -> Which:
        """The entries of an event type or of several."""
        named = [types] if isinstance(types, str) else types or []
        if not named:
            self._refuse(name, message="no event type is named; write one, as purchase")
        return self._which(name, tuple(sorted({kind for event_type in named for kind in KINDS[event_type]})))

    def _which(self, name: str, kinds: tuple[int, ...]) -> Which:
        """The entries of these kinds that meet the feature's condition."""
        text = self._given[name].where
        if text is None:
            return Which(kinds)
        place = self._document.place("features", name, "where")
        if REFUND in kinds:
            place.refuse("refunds have no fields to ask for; ask their orders, with `sum: purchase.amount` and `minus`")
        try:
            return where.compiled(text, kinds)
        except ExpressionError as error:
            place.refuse(f"feature {name!r}, where: {error.message}", offset=error.offset)

    def _feedback(self, name: str, given: shape.Feature) -> Feedback:
        weights = []
        for kind, text in (given.feedback or {}).items():
            weight = self._read(name, "feedback", kind, text=text, reader=literals.number)
            if weight <= 0:
                self._refuse(name, "feedback", kind, message=f"a weight of {text} cannot be; it must be above 0")
            weights.append((FEEDBACK[kind], weight))
        kinds = tuple(sorted(kind for kind, _ in weights))
        if not kinds:
            self._refuse(
                name, "feedback", message="no kind has a weight; write it as {rating: 1, nps: 2, complaint: 1}"
            )
        which = self._which(name, kinds)
        return Feedback(name, which, tuple(sorted(weights)), self._span(name, "window"))

    def _score(self, name: str, given: dict[shape.EventType, str]) -> Score:
        points = []
        for event_type, text in given.items():
            number = self._read(name, "score", event_type, text=text, reader=literals.number)
            if number == 0:
                self._refuse(name, "score", event_type, message="0 points say nothing; leave the type out")
            points += [(kind, number) for kind in KINDS[event_type]]
        if not points:
            self._refuse(name, "score", message="no event type has points; write it as {purchase: 10, click: 0.1}")
        return Score(name, tuple(sorted(points)), self._fixed(name, "half_life"))

    def _ratio(self, name: str, given: list[str]) -> Ratio:
        if len(given) != 2:
            self._refuse(name, "ratio", message="a ratio is of two features; write it as [spend, orders]")
        top, bottom = (self._part(name, i, part) for i, part in enumerate(given))
        return Ratio(name, top, bottom)

    def _part(self, name: str, index: int, part: str) -> Count | Sum:
        if part in self._making:
            circle = [*self._making[self._making.index(part) :], part]
            self._refuse(name, "ratio", index, message=f"features go round in a circle: {' -> '.join(circle)}")
        if part not in self._given:
            message = f"there is no feature {part!r}; {suggest(part, self._given)}"
            self._refuse(name, "ratio", index, message=message)
        feature = self._feature(part)
        if not isinstance(feature, Count | Sum):
            self._refuse(name, "ratio", index, message=f"a ratio is of counts and sums; {part!r} is neither")
        return feature

    def _calibrated(self, name: str, section: str, found: T | None) -> T:
        if found is None:
            message = f"this needs the calibration's `{section}`; add it, or let `tierline fit` write it"
            self._refuse(name, message=message)
        return found

    def _span(self, name: str, setting: str) -> Span | None:
        text = getattr(self._given[name], setting)
        return None if text is None else self._read(name, setting, text=text, reader=parse_span)

    def _fixed(self, name: str, setting: str) -> Span:
        span = self._span(name, setting)
        if span is None or not span.fixed_ms:
            message = f"{span.text if span else setting} has no fixed length here; use ms, s, min, h, d or w"
            self._refuse(name, setting, message=message)
        return span

    def _read(self, *path: str | int, text: str, reader: Callable[[str], T]) -> T:
        try:
            return reader(text)
        except ValueError as error:
            self._refuse(*path, message=str(error))

    def _refuse(self, name: str | int, *path: str | int, message: str) -> NoReturn:
        self._document.place("features", name, *path).refuse(f"feature {name!r}: {message}")
