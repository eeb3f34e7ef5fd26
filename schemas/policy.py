"""The shape of a policy document (YAML): one versioned document that says who is in which tier, and why.

The language of the expressions and everything that is checked beyond the shape stands in
`services/scorer/domain/policy.py`. Fields named here but not built yet are refused there in one line.
"""

from typing import Annotated, Literal

import msgspec

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="lower case letters, digits, _")]
Expression = Annotated[str, msgspec.Meta(max_length=2000, description="a condition, as `spend_1y >= 1_000_000`")]
EventType = Literal["purchase", "refund", "click", "interaction", "form"]
Span = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,5}(ms|s|min|h|d|w|mo|y)$", description="as 30d, 12mo, 1y")]


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A number kept per customer: exactly one of `count`, `sum`, `since_last`.

    count:      how many events of these types
    sum:        the field to add up, `purchase.amount` or `refund.amount`; `minus: refund.amount` takes refunds off
    since_last: the time since the newest event of this type, a duration
    window:     only events not older than this count; for life without it
    """

    count: EventType | list[EventType] | None = None
    sum: Literal["purchase.amount", "refund.amount"] | None = None
    minus: Literal["refund.amount"] | None = None
    since_last: EventType | None = None
    window: Span | None = None


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A rung. The last of a ladder has no `when`: everyone begins there."""

    name: Name
    when: Expression | None = None


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A follow-up task: `to` names a person, a team or a queue, `due` is counted from the transition's decision."""

    title: str
    to: str
    due: Span
    priority: Literal["low", "normal", "high"] = "normal"


class Playbook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a transition triggers.

    on: `tier enters gold`, `tier falls to basic`, `tier rises to gold`, `active enters`, `active leaves`,
        `churn raised`, `churn gone`
    """

    on: str
    when: Expression | None = None
    task: Task | None = None


class Churn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    at_risk: Expression


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """policy: its name.  currency: ISO 4217, of every literal and sum.  zone: IANA, of calendar windows."""

    policy: Name
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    zone: str
    features: dict[Name, Feature]
    ladders: dict[Name, list[Tier]]
    segments: dict[Name, Expression] = {}
    churn: Churn | None = None
    playbooks: list[Playbook] = []
