"""What the scorer says: the records of topics `decisions`, of what is announced, and of `dead-letters`.

A *dimension* is one thing a customer has a position in: a ladder or a list of classes (value: the tier's or class's
name), a segment or `churn` (value: true or false). Instants are RFC 3339 UTC with milliseconds.
"""

from typing import Literal

import msgspec

from schemas.instants import Instant

Value = str | bool
"""A position in a dimension: the tier's or class's name, or whether the segment's rule holds."""

Kind = Literal["ladder", "class", "segment", "churn"]

Cause = Literal["event", "time", "late_event", "refund", "policy", "manual", "merge", "rebuild", "folding"]
"""What moved the customer: an event in order, time alone, a late event (the path was played again), a refund, another
policy, an override by hand or an erasure, a merge or unmerge of two customers, a replay of all events, or that a long
ledger's old clicks and interactions are now known by the hour only."""

Figure = int | float | str | None
"""Money in major units as a decimal string (an average rounded half to even to the currency's decimals), counts as
integers, durations in ms, other numbers as such, texts as they are; None while unknown."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One comparison of a rule, as it stood at the instant decided.

    rule:      the dimension's value it belongs to, as `tier.gold`, `tier.gold.stay` or `active`
    text:      the comparison as the policy writes it
    operand:   the feature compared
    value:     what it was.  threshold: what it was compared with, in the same units; money with all its decimals
    entries:   how many events contributed, `first` and `last` the times of the earliest and latest of them
    unpriced:  how many of them counted as 0 because their currency has no rate
    short_by:  of `>`, `>=` and `between`: how much more of the operand is missing where it does not hold
    bound:     the count may be too high by at most so much, as older events are only known by the hour
    """

    rule: str
    text: str
    operand: str
    operator: str
    threshold: Figure | list[int | float | str]
    value: Figure
    holds: bool
    entries: int
    first: Instant | None = None
    last: Instant | None = None
    unpriced: int = 0
    short_by: Figure = None
    bound: int = 0


class Trigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The event that moved the customer; absent where time did."""

    type: str
    id: str
    source: str
    time: Instant
    received_at: Instant | None = None


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What happens next to this dimension if no event comes."""

    at: Instant
    dimension: str
    after: Value


Step = tuple[Instant, Value]
"""From this instant on the dimension has this value, until the next step."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="record", tag="decision"):
    """One change of one customer's path in one dimension, announced or not.

    A reader ignores revisions it has seen, cuts its path at `from`, appends `path`, and then holds exactly the path
    the scorer holds. `before` and `after` differ if and only if the change was announced.

    revision:     1, 2, 3 ... without gaps per customer and dimension
    sequence:     1, 2, 3 ... without gaps per partition of `decisions`, markers included
    effective_at: the instant in event time the change belongs to; for a net correction, since when `after` has held
    decided_at:   when it was committed
    retracts:     steps of the old path that no longer are
    catching_up:  True while the partition works off what piled up during a stop: playbooks wait for the marker
    """

    subject: str
    dimension: str
    kind: Kind
    revision: int
    sequence: int
    from_: Instant = msgspec.field(name="from")
    path: list[Step]
    before: Value
    after: Value
    effective_at: Instant
    decided_at: Instant
    cause: Cause
    trigger: Trigger | None
    policy: str
    policy_digest: str
    conditions: list[Condition]
    next: Next | None
    retracts: list[Step] = []
    catching_up: bool = False


class CaughtUp(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="caught_up"):
    """The partition has worked off its backlog: decisions before this that still hold are free for the playbooks."""

    partition: int
    sequence: int
    at: Instant


DecisionRecord = Decision | CaughtUp
"""What stands on topic `decisions`; keys are the subject, or empty for a marker."""


class Announcement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change that was announced: topics `tier-changes`, `segment-changes` and `churn-alerts`, keyed by subject.

    The fields mean what they mean in `Decision`.
    """

    subject: str
    dimension: str
    revision: int
    before: Value
    after: Value
    effective_at: Instant
    decided_at: Instant
    cause: Cause
    trigger: Trigger | None
    policy: str
    conditions: list[Condition]
    next: Next | None
    retracts: list[Step] = []
    catching_up: bool = False


DeadLetterReason = Literal[
    "id_conflict",
    "order_conflict",
    "refund_exceeds_order",
    "refund_currency",
    "wrong_partition",
    "unreadable",
    "too_old",
    "ledger_full",
    "poison",
]
"""Why an event has a dead letter. `poison`: the scorer failed at it, a fault of ours; the others: docs/semantics.md."""

LETTER_BYTES = 700_000
"""Of an event, so many bytes stand in its dead letter: in base64 and with the rest they must fit into a record."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event the scorer could not take, or took in part (the two `refund_` reasons: the surplus counts as nothing).

    subject: None if it could not be read; at most 1,000 characters of it, as of `id`. What was cut `detail` says
    event: the record's bytes as they stood on `events` (base64 in JSON), so that it can be repaired and sent again;
           of more than 700,000 the first so many, the whole stands at `topic`, `partition` and `offset`
    """

    reason: DeadLetterReason
    detail: str
    subject: str | None
    id: str | None
    topic: str
    partition: int
    offset: int
    at: Instant
    event: bytes
