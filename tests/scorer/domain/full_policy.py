"""Policies that use every part of the language once, to be spoilt in one place at a time.

FULL has all that is carried out, EXCERPT also what is checked, but not carried out yet.
"""

from pathlib import Path

EXCERPT = (Path(__file__).parent / "excerpt.yaml").read_text("utf-8")
FULL = """\
policy: full
currency: EUR
zone: Europe/Berlin
rates:
  USD: {2026-07-01: 0.90, 2000-01-01: 0.85}
  JPY: {2000-01-01: 0.006}
attributes: [region, size]
features:
  spend:      {sum: purchase.amount, minus: refund.amount}
  spend_1y:   {sum: purchase.amount, minus: refund.amount, window: 1y}
  taken_back: {sum: refund.amount}
  orders:     {count: purchase}
  touches:    {count: [click, interaction], window: 30d}
  calls:      {count: interaction, window: 90d, where: "channel == 'call'"}
  visits_out: {count: interaction, where: "direction == 'outbound'"}
  complaints: {count: feedback, where: "kind == 'complaint'"}
  nps:        {mean: feedback.score, window: 1y, where: "kind == 'nps'"}
  mood:       {feedback: {rating: 1, nps: 2, complaint: 0.5}, window: 1y}
  basket:     {ratio: [spend, orders]}
  quiet:      {since_last: purchase}
  gaps:       {regularity: purchase}
  late:       {overdue: purchase}
  trend:      {trend: [click, interaction], recent: 30d, base: 180d}
  engagement: {score: {purchase: 10, feedback: -2, click: 0.1}, half_life: 30d}
  alive:      {p_alive: purchase}
  next_year:  {expected: purchase, horizon: 365d}
  worth:      {value: purchase}
  rfm:        {rfm: purchase}
  deal:       {stage: opportunity}
ladders:
  tier:
    - {name: gold, when: "spend_1y >= 1_000 and tenure >= 1y", stay: "spend_1y >= 800", grace: 14d, dwell: 1mo}
    - {name: basic}
classes:
  type:
    - {name: at_risk, when: "complaints >= 3 or alive < 0.3", from: [high, growth], dwell: 30d, resources: 10%}
    - {name: high, when: "spend >= calibrated.top_spend", strategy: "care", resources: 40%}
    - {name: growth, when: "touches > 10 and rfm.r >= 3 and late > 1d", resources: 30%}
    - {name: other, resources: 20%}
segments:
  north: "region in ['Hamburg', 'Kiel'] and size != 'small'"
  won: "deal == 'won' or deal.time > 30d"
  slowing: "trend.fewer < 0.01 or gaps.variation > 1.5 or gaps.mean > 60d"
  good: "quality >= 50 and known_for > 30d"
scorecards:
  quality: {spend_1y: {weight: 60, full: 1_000}, nps: {weight: 40, full: 10}}
calibration:
  bg_nbd: {r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, unit: week}
  gamma_gamma: {p: 6.25, q: 3.74, v: 15.44}
  rfm: {recency: [30d, 90d, 180d, 365d], frequency: [1, 2, 4, 8], monetary: [50, 200, 1_000, 5_000]}
  top_spend: 8_000
churn:
  at_risk: "alive < 0.3 or quiet >= 180d"
playbooks:
  - {on: "tier falls to basic", when: "spend > 10", task: {title: "Call", to: sales, due: 3d}}
  - {on: "type leaves growth", task: {title: "Ask", to: sales, due: 3d, priority: low}}
  - {on: "churn raised", when: "worth > 20", task: {title: "Win back", to: sales, due: 3d}}
"""
