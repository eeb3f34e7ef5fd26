"""What the notifier answers and what it takes: the contract of its HTTP API.

Lists come in pages: `next` is the `cursor` of the page behind, null on the last one. Instants are RFC 3339 UTC.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.decisions import Cause, Decision, Next, Step, Value
from schemas.explanations import FeatureValue, Held, RuleView
from schemas.instants import Instant

Cursor = Annotated[str, Meta(description="opaque; give it back as `cursor` to read on")]
Person = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="who does it, as your directory names people",
    ),
]
Outcome = Annotated[
    str, Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]+$", description="what came of it, in your words")
]


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A customer in a list, as decided last.

    since:      from when the rules have placed the customer, whatever an override shows; null: since they are known
    classes:    the class in each list of classes
    churn:      whether churn is raised; null: the policy has no churn rule
    changed_at: the instant in event time at which the newest of the positions held was taken; null: none was taken yet
    """

    subject: str
    tier: str
    since: Instant | None
    classes: dict[str, str]
    segments: list[str]
    churn: bool | None
    changed_at: Instant | None


class CustomerList(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of the bytes of `subject`."""

    customers: list[CustomerRow]
    next: Cursor | None


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer at the instant `at`, by the scorer's own rules and the newest state known.

    at:            as asked; of a customer whose older events are kept by the hour only, the first instant after them
                   where an earlier one is asked
    policy:        the name of the policy that holds at the instant
    currency:      of all money told here, which is the policy's
    tier:          on the ladder `tier`; `tiers` has every ladder
    classes:       the class in each list of classes
    standing:      by dimension, since when it has held and how firmly, and what masks it
    rules:         every rule of the policy with its conditions, and how much is missing where one does not hold
    next:          for each dimension that will change without any event, its first change, soonest first
    last_decision: the record of the newest announced transition; null if there was none
    """

    subject: str
    at: Instant
    policy: str
    currency: str
    tier: str
    tiers: dict[str, str]
    classes: dict[str, str]
    segments: list[str]
    churn: bool | None
    standing: dict[str, Held]
    features: dict[str, FeatureValue]
    rules: list[RuleView]
    next: list[Next]
    last_decision: Decision | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided about a customer, newest first, and what is held of the past now.

    decisions: announced transitions and corrections; with `all` also changes of the path that were not announced
    paths:     per dimension the whole path as now known, oldest step first: late events and refunds are in their places
    """

    subject: str
    decisions: list[Decision]
    paths: dict[str, list[Step]]
    next: Cursor | None


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A follow-up task.

    playbook:   what triggered it, in the policy's words
    to:         the person, team or queue it is for
    state:      open; claimed by a person; done by them; closed by itself, since its reason has gone
    dimension, value: the customer's position that is its reason
    revision:   of the decision that opened it
    flagged:    claimed, and its reason has gone meanwhile
    reason:     why it was closed or flagged
    """

    id: int
    subject: str
    title: str
    to: str
    priority: Literal["low", "normal", "high"]
    playbook: str
    dimension: str
    value: Value
    revision: int
    opened_at: Instant
    due_at: Instant
    state: Literal["open", "claimed", "done", "closed"]
    by: str | None
    claimed_at: Instant | None
    flagged: bool
    reason: str | None
    outcome: str | None
    finished_at: Instant | None


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    tasks: list[TaskView]
    next: Cursor | None


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take a task."""

    by: Person


class Completion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Finish a task you have claimed."""

    by: Person
    outcome: Outcome


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One episode of churn of one customer.

    since:     the instant in event time from which churn has held
    raised_at: when that was decided
    ending:    recovered: an event brought the customer back; retracted: late data or a merge shows that it never was
               so; reason_gone: anything else, as time alone or an override; null while it is open
    raised_by: the decision that raised it, with its conditions
    """

    id: int
    subject: str
    since: Instant
    raised_at: Instant
    open: bool
    ending: Literal["recovered", "retracted", "reason_gone"] | None
    closed_at: Instant | None
    raised_by: Decision


class AlertList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    alerts: list[AlertView]
    next: Cursor | None


class PartitionProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition has come in the database.

    events_offset: what the customers' states stand for: every event of this partition below it
    complete:      whether everything decided of those events is here too
    caught_up:     False while the scorer works off what piled up during a stop
    """

    partition: int
    events_offset: int
    complete: bool
    caught_up: bool


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose acceptance named partition p and offset o is in the database, with all that it changed, once
    partition p has events_offset > o and is complete. Partitions nothing has been decided in are left out."""

    partitions: list[PartitionProgress]


class TransitionCount(msgspec.Struct, frozen=True, kw_only=True):
    dimension: str
    after: Value
    cause: Cause
    count: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The installation in numbers, as of one instant.

    tiers, segments: customers in each, where there is any
    classes:         the same by list of classes
    churn:           customers for whom churn is raised
    transitions:     announced ones, by where they led and what caused them
    position:        of the newest transition on /v1/stream
    """

    customers: int
    tiers: dict[str, int]
    classes: dict[str, dict[str, int]]
    segments: dict[str, int]
    churn: int
    transitions: list[TransitionCount]
    transitions_by_cause: dict[str, int]
    tasks_open: int
    tasks_claimed: int
    alerts_open: int
    position: int
