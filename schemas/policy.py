"""The shape of a policy document (YAML): one versioned document that says who is in which tier, and why.

The language of the expressions and everything that is checked beyond the shape stands in `services/scorer/domain/`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

NUMBER = r"^-?[0-9][0-9_]*(\.[0-9]+)?$"

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="lower case letters, digits, _")]
Expression = Annotated[str, Meta(max_length=2000, description="a condition, as `spend_1y >= 1_000_000`")]
Where = Annotated[str, Meta(max_length=2000, description="a condition on the event's fields, as `channel == 'call'`")]
EventType = Literal["purchase", "refund", "click", "interaction", "form", "feedback", "stage"]
Span = Annotated[str, Meta(pattern=r"^[1-9][0-9_]{0,8}(ms|s|min|h|d|w|mo|y)$", description="as 30d, 12mo, 1y")]
Number = Annotated[str, Meta(pattern=NUMBER, description="as 10_000 or 12.50")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217")]
Date = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="a day in the policy's zone")]
Share = Annotated[str, Meta(pattern=r"^(100|[0-9]{1,2})(\.[0-9]+)?%$", description="as 40%")]
HoldOut = Annotated[
    str,
    Meta(
        pattern=r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$",
        description="as 10% or 2.5%, from 0% to 100% with at most 4 decimals",
    ),
]
Due = Annotated[
    str,
    Meta(
        pattern=r"^([1-9][0-9_]{0,8}(ms|s|min|h|d|w)|[1-9][0-9]{0,2} working (hour|day)s?)$",
        description="as 36h, 9 working hours or 3 working days, at most 999; months and years have no fixed length",
    ),
]
Assignee = Annotated[
    str,
    Meta(
        pattern=r"^(owner|team \S{1,64}|(?!([Oo][Ww][Nn][Ee][Rr]|[Tt][Ee][Aa][Mm]( .*)?)$).{1,200})$",
        description="`owner`, `team NAME` with a name of one word, or the name of a queue or a person",
    ),
]
Webhook = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="lower case letters, digits, _ and -")]
Flag = Literal["true", "false"]
Code = Annotated[
    str,
    Meta(
        max_length=200,
        description="a template in quotes, as '{region}-{serial:06}'",
        extra_json_schema={"pattern": r"\{serial(:0([1-9]|1[0-2]))?\}"},
    ),
]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Numbers are kept as they were written, so that nothing is rounded on the way."""


class Feature(_Part, frozen=True, kw_only=True):
    """What is kept per customer: exactly one of the kinds below, with the settings that go with it.

    count:      how many events of these types
    sum:        the field to add up; `minus: refund.amount` takes refunds off
    mean:       the mean score of feedback
    feedback:   the mean of all feedback, weighted by its kind, from 0 (worst) to 100: ratings of 1 to 5, NPS of 0 to
                10, a complaint is 0
    ratio:      one count or sum divided by another, unknown while the other is 0
    since_last: the time since the newest event of this type, a duration
    regularity: of orders: `x.mean` and `x.spread` of the gaps between them (durations), `x.variation` = spread / mean
    overdue:    the time past the order expected, the last one plus the mean gap; unknown before it is due
    trend:      events of the last `recent` against the rate in the `base` before: `x` is the ratio of the two rates,
                `x.fewer` and `x.more` the probability of so few or so many under the base rate (Poisson)
    score:      points per event type, halved after each `half_life`
    p_alive:    the probability that the customer still buys (BG/NBD)
    expected:   the number of purchases to expect within `horizon` (BG/NBD)
    value:      the expected value of a purchase (Gamma-Gamma)
    rfm:        `x.r`, `x.f`, `x.m` from 1 to 5, by the calibration's cut points
    stage:      the stage of the opportunity that moved last, a text; `x.time` is the time in it
    window:     only events not older than this count; for life without it
    where:      only events whose fields meet this condition count
    """

    count: EventType | list[EventType] | None = None
    sum: Literal["purchase.amount", "refund.amount"] | None = None
    minus: Literal["refund.amount"] | None = None
    mean: Literal["feedback.score"] | None = None
    feedback: dict[Literal["rating", "nps", "complaint"], Number] | None = None
    ratio: list[Name] | None = None
    since_last: EventType | None = None
    regularity: Literal["purchase"] | None = None
    overdue: Literal["purchase"] | None = None
    trend: EventType | list[EventType] | None = None
    recent: Span | None = None
    base: Span | None = None
    score: dict[EventType, Number] | None = None
    half_life: Span | None = None
    p_alive: Literal["purchase"] | None = None
    expected: Literal["purchase"] | None = None
    horizon: Span | None = None
    value: Literal["purchase"] | None = None
    rfm: Literal["purchase"] | None = None
    stage: Literal["opportunity"] | None = None
    window: Span | None = None
    where: Where | None = None


class Tier(_Part, frozen=True, kw_only=True):
    """A rung. The last of a ladder has no `when`: everyone begins there.

    when:  to enter, at once
    stay:  to remain, beside `when`; a customer falls when neither has held for `grace`, and after `dwell` in the tier
    """

    name: Name
    when: Expression | None = None
    stay: Expression | None = None
    grace: Span | None = None
    dwell: Span | None = None


class Class(_Part, frozen=True, kw_only=True):
    """One of a list of which the first match holds. The last has no `when`: everyone begins there.

    from:      only customers now in one of these may enter
    dwell:     how long at least a customer remains
    strategy:  what to do with such customers.  resources: the share of effort they are to get
    """

    name: Name
    when: Expression | None = None
    from_: list[Name] | None = msgspec.field(default=None, name="from")
    dwell: Span | None = None
    strategy: str | None = None
    resources: Share | None = None


class ScorePart(_Part, frozen=True, kw_only=True):
    """weight: points at most, given in full from a value of `full` on and in proportion below."""

    weight: Number
    full: Number


class BgNbd(_Part, frozen=True, kw_only=True):
    """Parameters of Fader, Hardie and Lee (2005), with time in `unit`s."""

    r: Number
    alpha: Number
    a: Number
    b: Number
    unit: Literal["day", "week"] = "week"


class GammaGamma(_Part, frozen=True, kw_only=True):
    """Parameters of Fader and Hardie (2013), with money in major units of the policy's currency."""

    p: Number
    q: Number
    v: Number


class RfmCuts(_Part, frozen=True, kw_only=True):
    """Four cuts each, ascending: recency from 5 downwards as the last order ages, the others from 1 upwards."""

    recency: list[Span]
    frequency: list[Number]
    monetary: list[Number]


class Calibration(_Part, frozen=True, kw_only=True):
    """Numbers taken from the whole population, by `tierline fit` or by hand.

    top_spend: the spend that parts the customers who bring 80 % of revenue; `calibrated.top_spend` in a condition
    """

    bg_nbd: BgNbd | None = None
    gamma_gamma: GammaGamma | None = None
    rfm: RfmCuts | None = None
    top_spend: Number | None = None


class Churn(_Part, frozen=True, kw_only=True):
    at_risk: Expression


class Task(_Part, frozen=True, kw_only=True):
    """A follow-up task.

    to:  the `owner` of the customer, `team NAME`, or the name of a queue or a person
    due: as 36h, 9 working hours or 3 working days, counted from the transition's decision
    """

    title: str
    to: Assignee
    due: Due
    priority: Literal["low", "normal", "high"] = "normal"


class Playbook(_Part, frozen=True, kw_only=True):
    """What a transition triggers: at least one of `task`, `alert` and `webhook`.

    on: `tier enters gold`, `tier falls to basic`, `tier rises to gold`, `type enters growth`, `active enters`,
        `active leaves`, `churn raised`, `churn gone`; from a tier that the policy no longer has nobody rises or falls
    alert:   whether somebody is to be alerted
    webhook: the name of the endpoint that is told
    """

    on: str
    when: Expression | None = None
    task: Task | None = None
    alert: Flag = "false"
    webhook: Webhook | None = None


class Policy(_Part, frozen=True, kw_only=True):
    """policy: its name.  currency: ISO 4217, of every literal and sum.  zone: IANA, of days, months and years.

    rates:      per other currency its rate into the policy's, from its local midnight on
    attributes: profile fields that rules may ask for
    scorecards: features with weights; each card is a number from 0 to the sum of its weights (100 at most), by its name
    holdout:    the share of customers who get no playbook, so that what playbooks do can be measured
    code:       how a customer's code is made, of text and fields in braces: attributes, classes, ladders, `{channel}`
                they first came through, `{importance}` (their tier), and `{serial}` or `{serial:06}`, without which
                codes would not be unique
    """

    policy: Name
    currency: Currency
    zone: str
    rates: dict[Currency, dict[Date, Number]] = {}
    attributes: list[Name] = []
    features: dict[Name, Feature] = {}
    ladders: dict[Name, list[Tier]]
    classes: dict[Name, list[Class]] = {}
    segments: dict[Name, Expression] = {}
    scorecards: dict[Name, dict[Name, ScorePart]] = {}
    calibration: Calibration = Calibration()
    churn: Churn | None = None
    playbooks: list[Playbook] = []
    holdout: HoldOut | None = None
    code: Code | None = None
