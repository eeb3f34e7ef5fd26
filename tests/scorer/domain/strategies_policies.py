"""Random policies, drawn from the grammar as YAML text: every kind of feature, ladders with stay, grace and dwell,
classes with from and dwell, segments, scorecards, rates and a calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Draw = Any


@dataclass(frozen=True)
class Scale:
    """How long things last, and where in time they happen.

    anchors:     per zone instants (UTC) near which something happens with the calendar
    spans:       of windows and comparisons, shortest first.  fixed: those that are no months
    halves:      half-lives.  lengths: constants for gaps between orders
    steps:       from one event to another, ms.  lateness: of its arrival, ms
    pauses:      how long a batch may lie about, ms.  ends: how long after the last arrival it is all over, ms
    bg_nbd:      parameters, with thresholds of P(alive) below b / (a + b)
    """

    anchors: dict[str, list[str]]
    spans: list[str]
    fixed: list[str]
    halves: list[str]
    steps: list[int]
    lateness: list[int]
    pauses: list[int]
    ends: list[int]
    bg_nbd: list[str]


HOUR, DAY, AHEAD = 3_600_000, 86_400_000, 300_000

TOY = Scale(
    anchors={
        "UTC": ["2026-02-28T23:59:59.990", "2026-03-01T12:00"],
        "Asia/Shanghai": ["2026-03-01T15:59:59.985", "2026-03-01T16:00"],
    },
    spans=["1ms", "2ms", "3ms", "5ms", "8ms", "13ms", "21ms", "34ms", "50ms"],
    fixed=["1ms", "2ms", "3ms", "5ms", "8ms", "13ms", "21ms", "34ms", "50ms"],
    halves=["1ms", "3ms", "5ms", "8ms", "20ms"],
    steps=[1, 2, 3, 5, 8, 0, -1, -3, 13, 21, 40],
    lateness=[0, 0, 0, 1, 2, 5, 12, 30, 60, -1, -8],
    pauses=[0, 0, 0, 1, 3, 8, 20],
    ends=[0, 8, 60, 200],
    bg_nbd=[
        "{r: 1, alpha: 0.000000625, a: 2, b: 2, unit: day}",  # 54 ms
        "{r: 0.243, alpha: 0.00000001, a: 0.793, b: 2.426, unit: week}",  # 6.048 ms
        "{r: 2.5, alpha: 0.00000003, a: 1.5, b: 2.5}",
    ],
)

REAL = Scale(
    anchors={
        "Europe/Berlin": ["2026-03-28T23:00", "2026-10-25T00:30", "2026-01-30T22:30", "2024-02-28T23:00"],
        "America/Sao_Paulo": ["2018-11-03T15:00", "2018-02-17T14:00", "2018-10-04T02:59", "2015-01-31T03:00"],
        "Asia/Shanghai": ["1986-05-03T17:30", "1991-09-14T16:30", "2026-01-31T15:59", "2024-02-29T04:00"],
        "UTC": ["2026-01-31T00:00", "2023-12-31T23:59", "2024-02-29T12:00"],
    },
    spans=["1h", "90min", "6h", "1d", "2d", "1w", "1mo", "2mo", "3mo", "1y"],
    fixed=["1h", "90min", "6h", "1d", "2d", "1w", "30d", "90d", "365d"],
    halves=["6h", "1d", "1w", "30d"],
    steps=[HOUR, DAY, 2 * DAY, 0, 12 * HOUR, 5 * HOUR, -HOUR, -DAY, 10 * DAY, 31 * DAY, 92 * DAY],
    lateness=[0, 0, 0, 1, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 40 * DAY, -1, -AHEAD],
    pauses=[0, 0, 0, 1, AHEAD, HOUR, 2 * DAY],
    ends=[0, AHEAD, DAY, 40 * DAY, 2 * 366 * DAY],
    bg_nbd=[
        "{r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, unit: week}",
        "{r: 1, alpha: 1, a: 2, b: 2, unit: day}",
        "{r: 2.5, alpha: 0.3, a: 1.5, b: 2.5}",
    ],
)


class Picks:
    """Choices made from drawn bytes, one a choice: cheap to draw, evenly spread, and 0 is the simplest.

    given: bytes to use; when they are used up, more are drawn
    """

    def __init__(self, draw: Draw, given: bytes = b"") -> None:
        self._draw = draw
        self._left = [*reversed(given)]

    def of(self, choices: Sequence[T]) -> T:
        if not self._left:
            self._left = [*reversed(self._draw(st.binary(min_size=64, max_size=64)))]
        return choices[self._left.pop() % len(choices)]

    def below(self, n: int) -> int:
        return self.of(range(n))

    def one_in(self, n: int) -> bool:
        """Simple is not to."""
        return self.below(n) == n - 1


MONEY = {
    "EUR": ["1", "5", "2.50", "0", "1_0", "10.00", "calibrated.top_spend"],
    "JPY": ["250", "500", "1", "0", "1_000", "1000", "calibrated.top_spend"],
    "KWD": ["0.25", "0.500", "0.001", "0", "1", "1.000", "calibrated.top_spend"],
}
"""Amounts in major units that meet those of events in minor units."""
COUNTS = ["1", "2", "0", "3"]
SCORES = ["1", "3", "4.5", "5", "0", "8", "10"]
PERCENTS = ["50", "0", "25", "87.5", "100", "66"]
REALS = {
    "basket": ["1", "2.5", "0.5", "5", "500"],
    "share": ["1", "0.5", "2"],
    "activity": ["1", "2", "0.5", "0", "3.25"],
    "activity.fewer": ["0.5", "0.05", "0.9", "0.2"],
    "activity.more": ["0.5", "0.05", "0.9", "0.2"],
    "engagement": ["1", "5", "0.5", "10", "2.5", "0", "15", "0.125", "-1"],
    "cadence.variation": ["0.5", "0", "1", "0.25"],
    "coming": ["0.5", "0.1", "1", "2"],
    "worth": ["1", "3", "10", "100"],
    "card": ["10", "0", "50", "25", "12.5", "60"],
    "nps": SCORES,
    "mood": PERCENTS,
}
ALIVE = ["0.2", "0.05", "0.3", "0.45", "0.01"]
GRADES = ["3", "1", "2", "4", "5"]
TEXTS = {"deal": ["'won'", "'new'", "'lost'"], "region": ["'north'", "'south'", "'x'"], "kind_": ["'a'", "'b'"]}

SIGNS = [">=", "<", ">", "<=", "==", "!="]
SHAPES = ["{}", "{}", "{}", "{} and {}", "{} or {}", "not {}", "not ({} and {})", "({} or {}) and not {}"]

CHANNELS = ["channel == 'web'", "channel != 'web'", "channel in ['web', 'shop']", "not channel == 'web'"]
WHERES = {
    "purchase": CHANNELS,
    "click": ["page == 'home'", *CHANNELS],
    "interaction": ["direction == 'outbound'", "direction in ['inbound', 'outbound'] and channel == 'web'", *CHANNELS],
    "form": ["form == 'contact'", *CHANNELS],
    "feedback": ["kind == 'complaint'", "score > 3", "score between 1 and 4.5 or kind != 'rating'", *CHANNELS],
    "scores": ["kind == 'nps'", "score > 3", "kind != 'rating' or score < 4.5", *CHANNELS],
    "stage": ["stage == 'won'", "opportunity != 'o1'"],
    "[click, interaction]": ["direction == 'inbound'", *CHANNELS],
    "[purchase, form]": CHANNELS,
    "refund": [],
}
"""What a feature counts, and which conditions on the event's fields go with it."""


KEEPING = {
    "deal": "stage: opportunity",
    "keeps_pages": "count: click, where: \"page == 'q' or channel == 'q'\"",
    "keeps_forms": "count: form, where: \"form == 'q'\"",
    "keeps_feedback": "count: feedback, where: \"kind == 'nps' and score > 1\"",
    "keeps_directions": "count: interaction, where: \"direction == 'inbound'\"",
    "keeps_stages": "count: stage, where: \"stage == 'q' or opportunity == 'q'\"",
}
"""Features that ask for every field there is."""


class Drawn:
    """One policy's text in the making."""

    def __init__(self, draw: Draw, scale: Scale, zone: str, currency: str) -> None:
        self.picks = Picks(draw)
        self.scale, self.zone, self.currency = scale, zone, currency
        self.windows = [self.picks.of(scale.spans) for _ in range(2)]
        self.thresholds = sorted({*self.windows, self.picks.of(scale.spans)}, key=scale.spans.index)
        self.lengths = sorted({self.picks.of(scale.fixed) for _ in range(3)}, key=scale.fixed.index)
        self.features = self.menu()
        whole = [*self.features, "tenure", "known_for", "card", "region", "kind_"]
        self.asked = [name for name in whole if not self.picks.one_in(3)] or ["known_for"]

    # -- features

    def window(self) -> str:
        return f", window: {self.picks.of(self.windows)}" if self.picks.below(3) else ""

    def where(self, types: str) -> str:
        choices = WHERES[types]
        return f', where: "{self.picks.of(choices)}"' if choices and self.picks.one_in(3) else ""

    def counted(self) -> str:
        types = self.picks.of([types for types in WHERES if types != "scores"])
        return types + self.window() + self.where(types)

    def menu(self) -> dict[str, str]:
        """A few features; those that others rest on always."""
        pick = self.picks.of
        summed = pick(["purchase.amount, minus: refund.amount", "purchase.amount", "refund.amount"])
        asked = "" if summed == "refund.amount" else self.where("purchase")
        last = pick(["purchase", "interaction", "click", "refund", "feedback", "stage"])
        trend = pick(["[click, interaction]", "purchase", "click"])
        points = pick(
            [
                "{purchase: 10, click: 1}",
                "{click: 5}",
                "{purchase: 10, interaction: -2.5, click: 0.1}",
                "{form: 1, feedback: 3}",
            ]
        )
        weights = pick(["{rating: 1, nps: 1, complaint: 1}", "{rating: 2, complaint: 3}", "{nps: 0.5}"])
        ratio = pick(["[spend, orders]", "[net, touches]"])
        extra = {
            "quiet": "since_last: purchase",
            "silent": f"since_last: {last}{self.where(last)}",
            "nps": f"mean: feedback.score{self.window()}{self.where('scores')}",
            "mood": f"feedback: {weights}{self.window()}",
            "basket": f"ratio: {ratio}",
            "share": "ratio: [orders, touches]",
            "cadence": "regularity: purchase",
            "late": "overdue: purchase",
            "activity": f"trend: {trend}, recent: {pick(self.lengths)}, base: {pick(self.lengths)}{self.where(trend)}",
            "engagement": f"score: {points}, half_life: {pick(self.scale.halves)}",
            "alive": "p_alive: purchase",
            "coming": f"expected: purchase, horizon: {pick(self.scale.fixed)}",
            "worth": "value: purchase",
            "rfm": "rfm: purchase",
            "deal": "stage: opportunity",
        }
        chosen = [name for name in extra if self.picks.one_in(3)]
        always = {
            "orders": f"count: purchase{self.window()}{self.where('purchase')}",
            "touches": f"count: {self.counted()}",
            "spend": f"sum: {summed}{self.window()}{asked}",
            "net": f"sum: purchase.amount, minus: refund.amount{self.window()}",
        }
        return always | {name: extra[name] for name in chosen}

    # -- conditions

    def operand(self) -> tuple[str, list[str]]:
        """And the literals that go with it, smallest first where that is needed."""
        name = self.picks.of(self.asked)
        parts = {"cadence": [".mean", ".spread", ".variation"], "activity": ["", ".fewer", ".more"]}
        parts |= {"rfm": [".r", ".f", ".m"], "deal": ["", ".time"]}
        name += self.picks.of(parts.get(name, [""]))
        literals = dict.fromkeys(("orders", "touches"), COUNTS) | {"alive": ALIVE} | REALS | TEXTS
        literals |= dict.fromkeys(("spend", "net"), MONEY[self.currency])
        literals |= dict.fromkeys(("quiet", "silent", "tenure", "known_for", "late", "deal.time"), self.thresholds)
        literals |= dict.fromkeys(("cadence.mean", "cadence.spread"), self.lengths)
        literals |= {f"rfm.{part}": GRADES for part in "rfm"}
        return name, literals[name]

    def comparison(self) -> str:
        """Literals of a range are put in order of size; P(alive) and expected purchases are never asked to be equal."""
        name, literals = self.operand()
        text, real = literals[0].startswith("'"), name in ("alive", "coming")
        shapes = ["sign", "sign", "sign", "between", "left", "in"][: 5 if real else 6]
        how = self.picks.of(["sign", "in"] if text else shapes)
        negated = "not " if self.picks.one_in(3) else ""
        low, high = self.picks.of(literals), self.picks.of(literals)
        if how == "in":
            return f"{name} {negated}in [{low}, {high}]" if low != high else f"{name} {negated}in [{low}]"
        if how == "between" and "calibrated" not in low + high:
            low, high = sorted((low, high), key=self.size)
            return f"{name} {negated}between {low} and {high}"
        sign = self.picks.of(["==", "!="] if text else SIGNS[: 4 if real else 6])
        return f"{low} {sign} {name}" if how == "left" else f"{name} {sign} {low}"

    def size(self, literal: str) -> float:
        if literal in self.scale.spans:
            return self.scale.spans.index(literal)
        return self.scale.fixed.index(literal) if literal in self.scale.fixed else float(literal.replace("_", ""))

    def rule(self) -> str:
        shape = self.picks.of(SHAPES)
        return shape.format(*(self.comparison() for _ in range(shape.count("{}"))))

    # -- dimensions

    def ladder(self, names: list[str]) -> list[str]:
        lines = []
        for name in names[:-1]:
            line = f'    - {{name: {name}, when: "{self.rule()}"'
            if self.picks.one_in(3):
                line += f', stay: "{self.rule()}"'
            if self.picks.one_in(3):
                line += f", grace: {self.picks.of(self.windows + self.scale.spans)}"
            if self.picks.one_in(3):
                line += f", dwell: {self.picks.of(self.windows + self.scale.spans)}"
            lines.append(line + "}")
        return [*lines, f"    - {{name: {names[-1]}}}"]

    def classes(self, names: list[str]) -> list[str]:
        lines = []
        for name in names:
            last = name == names[-1]
            line = f"    - {{name: {name}" if last else f'    - {{name: {name}, when: "{self.rule()}"'
            if self.picks.one_in(3) and not last:
                line += f", from: [{self.picks.of([n for n in names if n != name])}]"
            if self.picks.one_in(3):
                line += f", dwell: {self.picks.of(self.scale.spans)}"
            lines.append(line + "}")
        return lines

    def calibration(self) -> list[str]:
        spans = [self.scale.spans[i] for i in (0, 2, 4, 6)]
        cuts = {"EUR": "[1, 2.50, 5, 10]", "JPY": "[1, 250, 500, 1000]", "KWD": "[0.001, 0.25, 0.5, 1]"}
        top = {"EUR": "5", "JPY": "500", "KWD": "0.5"}[self.currency]
        return [
            "calibration:",
            f"  bg_nbd: {self.picks.of(self.scale.bg_nbd)}",
            "  gamma_gamma: {p: 6.25, q: 3.74, v: 15.44}",
            f"  rfm: {{recency: [{', '.join(spans)}], frequency: [1, 2, 3, 5], monetary: {cuts[self.currency]}}}",
            f"  top_spend: {top}",
        ]

    def text(self, days: list[str], among_others: bool = False) -> str:
        """`days`: on which rates may change.  among_others: keep every field, as a policy to come may ask for it."""
        lines = ["policy: small", f"currency: {self.currency}", f"zone: {self.zone}"]
        if self.picks.one_in(2):
            first, *then = [f"{day}: {self.picks.of(['7.10', '0.005', '1.5', '0.333'])}" for day in days]
            lines += ["rates:", f"  USD: {{{', '.join([first] + (then if self.picks.one_in(2) else []))}}}"]
        lines += ["attributes: [region, kind_]", "features:"]
        rungs = ["gold", "silver", "bronze"]
        if self.picks.one_in(4):
            rungs = self.picks.of([["gold", "bronze"], ["silver", "gold"], ["gold", "silver", "iron"]])
        ladders = {"tier": self.ladder([*rungs[: 1 + self.picks.below(3)], self.picks.of(["basic", "basic", "none"])])}
        if self.picks.one_in(3):
            ladders["worthy"] = self.ladder(["yes", self.picks.of(["no", "no", "nay"])])
        classes = {}
        if self.picks.one_in(2):
            name = "type" if "worthy" in ladders else self.picks.of(["type", "type", "type", "worthy"])
            classes[name] = self.classes(["growth", "loyal", self.picks.of(["plain", "plain", "yes"])])
        segments = {name: self.rule() for name in ("north", "south")[: self.picks.below(3)]}
        churn = f'  at_risk: "{self.rule()}"' if self.picks.one_in(3) else ""
        features = self.features | (KEEPING if among_others else {})
        lines += [f"  {name}: {{{feature}}}" for name, feature in features.items()]
        for kind, lists in (("ladders", ladders), ("classes", classes)):
            lines += [f"{kind}:" + ("" if lists else " {}")]
            for name, rows in lists.items():
                lines += [f"  {name}:", *rows]
        lines.append("segments:" + ("" if segments else " {}"))
        lines += [f'  {name}: "{when}"' for name, when in segments.items()]
        full = MONEY[self.currency][1]
        lines += ["scorecards:", f"  card: {{spend: {{weight: 50, full: {full}}}, touches: {{weight: 25.5, full: 3}}}}"]
        lines += self.calibration()
        return "\n".join([*lines, *(["churn:", churn] if churn else [])]) + "\n"
