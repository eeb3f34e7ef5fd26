"""What two values tell of the events behind them contradicts only where no customer ever has both."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.scorer.domain.formulas import Formulas
from services.scorer.domain.policy import compiled, parse
from services.scorer.domain.rules import Policy, Segment
from tests.scorer.domain.rules.life_of import ANY_LADDER, DAY, LifeOf
from tests.scorer.domain.strategies import REAL, TOY, Setting, Telling
from tests.scorer.domain.strategies_policies import Scale
from tests.scorer.domain.timeline import buy, click, ms, refund

BODY = """\
policy: p
currency: EUR
zone: UTC
rates:
  USD: {{2000-01-01: 0.005}}
features:
  n_all: {{count: purchase}}
  n_short: {{count: purchase, window: {short}}}
  n_long: {{count: purchase, window: {long}}}
  n_web: {{count: purchase, where: "channel == 'web'"}}
  n_back: {{count: refund, window: {short}}}
  n_any: {{count: [purchase, refund, form], window: {long}}}
  touches: {{count: [click, interaction], window: {long}}}
  clicks: {{count: click, window: {short}}}
  told: {{count: feedback}}
  staged: {{count: stage}}
  s_all: {{sum: purchase.amount, minus: refund.amount}}
  s_short: {{sum: purchase.amount, minus: refund.amount, window: {short}}}
  s_web: {{sum: purchase.amount, minus: refund.amount, where: "channel == 'web'"}}
  paid: {{sum: purchase.amount}}
  paid_short: {{sum: purchase.amount, window: {short}}}
  back: {{sum: refund.amount, window: {short}}}
  basket: {{ratio: [s_all, n_all]}}
  share: {{ratio: [n_short, s_all]}}
  quiet: {{since_last: purchase}}
  silent: {{since_last: interaction}}
  unclicked: {{since_last: click}}
  unpaid: {{since_last: refund}}
  alive: {{p_alive: purchase}}
  coming: {{expected: purchase, horizon: {fixed}}}
  worth: {{value: purchase}}
  rfm: {{rfm: purchase}}
  pace: {{regularity: purchase}}
  late: {{overdue: purchase}}
  nps: {{mean: feedback.score, window: {short}, where: "kind == 'nps'"}}
  mood: {{feedback: {{rating: 1, complaint: 1}}}}
  trend: {{trend: click, recent: {fixed}, base: {fixed}}}
  deal: {{stage: opportunity}}
calibration:
  bg_nbd: {bg_nbd}
  gamma_gamma: {{p: 6.25, q: 3.74, v: 15.44}}
  rfm: {{recency: [{spans}], frequency: [1, 2, 3, 5], monetary: [1, 2.50, 5, 10]}}
segments:
"""
COUNTS = ["n_all", "n_short", "n_long", "n_web", "n_back", "n_any", "touches", "clicks", "told", "staged"]
SUMS = ["s_all", "s_short", "s_web", "paid", "paid_short", "back"]
AGES = ["quiet", "silent", "unclicked", "unpaid", "tenure", "known_for", "deal.time"]
NUMBERS = ["basket", "share", "coming", "worth", "pace.variation", "nps", "mood", "trend", "alive"]

HISTORIES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # the pair that is met says enough
    suppress_health_check=list(HealthCheck),
)


def literals(scale: Scale) -> list[str]:
    """Conditions of every operand: that it is more, that it is not, and that it is not known."""
    spans, length = [scale.spans[i] for i in (0, 1, 4, 6)], scale.fixed[2]
    found = [f"{name} {ask}" for name in COUNTS for ask in ("== 0", "> 0", "<= 1", "> 1", "<= 2", "> 2")]
    found += [f"{name} {ask}" for name in SUMS for ask in ("<= 0", "> 0", "< 5", ">= 5")]
    found += [f"{name} {sign} {span}" for name in AGES for sign in ("<", ">=") for span in spans]
    found += [f"{name} {ask}" for name in NUMBERS for ask in ("<= 0.3", "> 0.3", "<= 0", "> 0")]
    found += [f"rfm.{part} {sign} {score}" for part in "rfm" for score in (2, 3, 4, 5) for sign in ("<", ">=")]
    found += [f"{name} {sign} {length}" for name in ("late", "pace.mean", "pace.spread") for sign in ("<", ">=")]
    unknown = [f"not {name} < 36500d" for name in (*AGES, "pace.mean")] + [f"not {name} >= 0" for name in NUMBERS]
    return [*found, *unknown, "not rfm.f >= 1"]


def a_policy(scale: Scale) -> Policy:
    """Each condition is a segment: i0, i1 and so on."""
    spans = ", ".join(scale.spans[i] for i in (0, 2, 4, 6))
    body = BODY.format(
        short=scale.spans[2], long=scale.spans[5], fixed=scale.fixed[3], spans=spans, bg_nbd=scale.bg_nbd[0]
    )
    lines = [f'  i{i}: "{condition}"' for i, condition in enumerate(literals(scale))]
    return compiled(body + "\n".join(lines) + ANY_LADDER)


class Pairs:
    """Which pairs of conditions are said never to hold together; each is looked at when it is first met."""

    def __init__(self, policy: Policy) -> None:
        self.rules = {d.name: d.rule for d in policy.dimensions if isinstance(d, Segment)}
        self.never_both = cache(self._never_both)

    def _never_both(self, one: str, other: str) -> bool:
        a, b = self.rules[one], self.rules[other]
        formulas = Formulas(a, b)
        return not formulas.possible(formulas.of(a), formulas.of(b))


@pytest.mark.parametrize("scale", [TOY, REAL], ids=["by the millisecond", "by the calendar"])
def test_what_is_said_never_to_hold_together_never_does(scale: Scale) -> None:
    policy = a_policy(scale)
    pairs = Pairs(policy)

    @HISTORIES
    @given(st.data(), st.sampled_from([*scale.anchors]))
    def held(data: st.DataObject, zone: str) -> None:
        setting = Setting(scale, ZoneInfo(zone), scale.spans, "EUR")
        log = Telling(data.draw, setting).log(10)
        life = LifeOf(msgspec.structs.replace(policy, zone=ZoneInfo(zone)))
        for logged in sorted(log, key=lambda logged: logged.event.time):
            life.sees(logged.event)
        life.until(life.now + 400 * DAY)
        for together in at_every_instant(life, [*pairs.rules]):
            for one, other in combinations(together, 2):
                assert not pairs.never_both(one, other), (pairs.rules[one].text, pairs.rules[other].text)

    held()


def at_every_instant(life: LifeOf, names: list[str]) -> Iterator[list[str]]:
    """The segments the customer is in, after each instant at which that changes."""
    steps: dict[int, list[tuple[str, bool]]] = {}
    for name in names:
        for at, value in life.path(name):
            steps.setdefault(ms(at), []).append((name, value is True))
    now: set[str] = set()
    for at in sorted(steps):
        for name, inside in steps[at]:
            (now.add if inside else now.discard)(name)
        yield sorted(now)


A, DAY_31 = "2026-01-30T10:00Z", "2026-01-31T09:00Z"


@pytest.mark.parametrize(
    ("condition", "events"),
    [
        # a month of 30 January 10:00 is over on 28 February 10:00, of 31 January 09:00 at 09:00
        ("tenure >= 1mo and known_for < 1mo", [click(A), buy(DAY_31, 100)]),
        # the order of 31 January goes back, the one before stands
        ("quiet >= 20d and paid_30d > 0", [buy("2026-01-05T00:00Z", 1), buy(DAY_31, 1, "B"), refund(DAY_31, 1, "B")]),
        ("n_all == 0 and paid_30d > 0", [buy(A, 1, "B"), refund(DAY_31, 1, "B")]),
        # the refund that names no order leaves the 30 days first
        ("s_30d > 0.50 and s_all <= 0.50", [refund(A, 50), buy("2026-02-10T00:00Z", 100)]),
        ("n_all > 0 and s_all <= 0", [buy(A, 0)]),
        ("basket <= 0", [buy(A, 0)]),
        ("n_back > 0 and back <= 0", [buy(A, 0, "B"), refund(DAY_31, None, "B")]),
        # two orders of one day are one purchase
        ("n_all == 2 and not alive < 0.3", [buy(A, 1), buy("2026-01-30T11:00Z", 1)]),
    ],
)
def test_what_passes_though_it_looks_impossible_does_happen(condition, events):
    life = LifeOf(
        parse(
            f"""policy: p
currency: EUR
zone: UTC
features:
  n_all: {{count: purchase}}
  n_back: {{count: refund}}
  s_all: {{sum: purchase.amount, minus: refund.amount}}
  s_30d: {{sum: purchase.amount, minus: refund.amount, window: 30d}}
  paid_30d: {{sum: purchase.amount, window: 30d}}
  back: {{sum: refund.amount}}
  basket: {{ratio: [s_all, n_all]}}
  quiet: {{since_last: purchase}}
  alive: {{p_alive: purchase}}
calibration:
  bg_nbd: {{r: 0.243, alpha: 4.414, a: 0.793, b: 2.426}}
segments:
  it: "{condition}"
{ANY_LADDER}"""
        )
    )
    life.sees(*events)
    life.until("2026-06-01T00:00Z")
    assert (life.path("it") or [(None, None)])[0][1] is True
