"""What stands on topic `events`: one accepted event, a structured-mode CloudEvent 1.0 as JSON.

Ingest is the only writer and has checked everything said here; the key of the record is the subject in UTF-8.
`time` is UTC, cut to milliseconds; money is integer minor units of its ISO 4217 currency (DESIGN: money on the wire
of the HTTP API is decimal, `schemas/intake.py`).
"""

from typing import Literal

import msgspec

from schemas.instants import Instant

FeedbackKind = Literal["rating", "nps", "complaint"]

MAX_AMOUNT_MINOR = 2**53 - 1
"""Largest amount in minor units: the largest integer every JSON reader keeps exactly."""


class PurchaseData(msgspec.Struct, frozen=True, omit_defaults=True):
    """amount_minor: of the whole order, >= 0.  order: the order's key, by default the event's source and id."""

    amount_minor: int
    currency: str
    order: str | None = None
    channel: str | None = None


class RefundData(msgspec.Struct, frozen=True, omit_defaults=True):
    """amount_minor: None takes what is left of the order.  order: None makes the refund an entry of its own."""

    amount_minor: int | None = None
    currency: str | None = None
    order: str | None = None


class ClickData(msgspec.Struct, frozen=True, omit_defaults=True):
    page: str | None = None
    channel: str | None = None


class InteractionData(msgspec.Struct, frozen=True, omit_defaults=True):
    """direction: who began it; only inbound ones count unless a rule says otherwise."""

    channel: str | None = None
    direction: Literal["inbound", "outbound"] = "inbound"


class FormData(msgspec.Struct, frozen=True, omit_defaults=True):
    form: str | None = None
    channel: str | None = None


class FeedbackData(msgspec.Struct, frozen=True, omit_defaults=True):
    """score_centi: hundredths of the score given, 1 to 5 for a rating, 0 to 10 for an NPS; None for a complaint."""

    kind: FeedbackKind
    score_centi: int | None = None
    channel: str | None = None


class StageData(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sales opportunity reached this stage."""

    opportunity: str
    stage: str


class ProfileData(msgspec.Struct, frozen=True, omit_defaults=True):
    """Attributes from the event's time on; None takes one away. Those not named stay as they are."""

    attributes: dict[str, str | None]


class OverrideData(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody sets a position by hand, from the event's time until `until`; None for `value` ends what was set before.

    dimension: a ladder, class, segment or `churn`.  owner: who answers for it
    """

    dimension: str
    value: str | bool | None
    owner: str
    reason: str
    until: Instant


class AcceptedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every accepted event has.

    id, source:   the event's identity, unique together within the customer
    subject:      the customer's id as upstream knows it, pseudonymous by contract
    time:         when it happened
    stamped:      True if the event came without a time and got the instant of its acceptance
    receivedtime: when ingest took it off the wire, for end-to-end latency
    """

    id: str
    source: str
    subject: str
    time: Instant
    specversion: str = msgspec.field(default_factory=lambda: "1.0")  # a plain default would be left out of the record
    stamped: bool = False
    receivedtime: Instant | None = None


class Purchase(AcceptedEvent, frozen=True, kw_only=True, tag="purchase"):
    data: PurchaseData


class Refund(AcceptedEvent, frozen=True, kw_only=True, tag="refund"):
    data: RefundData


class Click(AcceptedEvent, frozen=True, kw_only=True, tag="click"):
    data: ClickData = ClickData()


class Interaction(AcceptedEvent, frozen=True, kw_only=True, tag="interaction"):
    data: InteractionData = InteractionData()


class Form(AcceptedEvent, frozen=True, kw_only=True, tag="form"):
    data: FormData = FormData()


class Feedback(AcceptedEvent, frozen=True, kw_only=True, tag="feedback"):
    data: FeedbackData


class Stage(AcceptedEvent, frozen=True, kw_only=True, tag="stage"):
    data: StageData


class Profile(AcceptedEvent, frozen=True, kw_only=True, tag="profile"):
    data: ProfileData


class Override(AcceptedEvent, frozen=True, kw_only=True, tag="override"):
    data: OverrideData


Event = Purchase | Refund | Click | Interaction | Form | Feedback | Stage | Profile | Override

EVENT_TYPES = ("purchase", "refund", "click", "interaction", "form", "feedback", "stage", "profile", "override")
