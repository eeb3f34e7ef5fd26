"""What a caller may post to ingest, and what ingest answers: the contract of `POST /v1/events`.

An event comes as a structured-mode CloudEvent 1.0, whose unknown attributes are extension attributes and are ignored,
or in shorthand: the same attributes without `specversion`, with the fields of `data` beside them. An object with
`specversion` is a CloudEvent. Fields that are unknown in `data` or in shorthand are refused, so that nothing is lost
silently. An optional field that is null counts as absent.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas import events
from schemas.instants import Instant
from schemas.policy import Name
from schemas.problems import ProblemDetails

MAX_IDENTIFIER = 128
MAX_TEXT = 2048
MAX_REASON = 256
MAX_ATTRIBUTES = 50
MAX_ATTRIBUTE_VALUE = 256


def _text(about: str, longest: int = MAX_IDENTIFIER, **more: Any) -> Meta:
    return Meta(min_length=1, max_length=longest, description=about, extra_json_schema=more)


Identifier = Annotated[str, _text("Of the event; with `source` it is the event's identity within the customer.")]
Source = Annotated[str, _text("The system the event comes from.")]
Subject = Annotated[str, _text("The customer's id as you know it: pseudonymous, no e-mail address or phone number.")]
Order = Annotated[str, _text("The order's key, unique within the customer.")]
Page = Annotated[str, _text("The page or screen.", MAX_TEXT)]
Channel = Annotated[str, _text("Where it happened, as web, shop, call.")]
FormName = Annotated[str, _text("Which form.")]
Timestamp = Annotated[
    str,
    Meta(
        description="RFC 3339 with an offset, cut to milliseconds; without it the instant of acceptance.",
        extra_json_schema={"format": "date-time"},
    ),
]
CurrencyCode = Annotated[
    str, Meta(description="ISO 4217.", extra_json_schema={"pattern": "^[A-Z]{3}$", "examples": ["USD"]})
]
Amount = Annotated[
    msgspec.Raw,  # its text decides: 1e3 and 15 would be lost in a number
    Meta(
        description="A decimal string or number, not negative, without exponent, with the currency's decimals at most.",
        extra_json_schema={
            "anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}, {"type": "number", "minimum": 0}],
            "examples": ["600.00"],
        },
    ),
]
Direction = Annotated[Literal["inbound", "outbound"], Meta(description="Who began it; inbound if not said.")]
FeedbackKind = Annotated[events.FeedbackKind, Meta(description="What was given.")]
Score = Annotated[
    msgspec.Raw,  # its text decides, as an amount's
    Meta(
        description="A decimal string or number without exponent, two decimals at most. A rating has one from 1 to 5, "
        "an NPS from 0 to 10, a complaint none.",
        extra_json_schema={
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,2})?$"},
                {"type": "number", "minimum": 0, "maximum": 10},
                {"type": "null"},
            ],
            "examples": ["4.50"],
        },
    ),
]
Opportunity = Annotated[str, _text("Which opportunity, unique within the customer.")]
StageName = Annotated[str, _text("The stage it reached.")]
AttributeValue = Annotated[
    str, Meta(max_length=MAX_ATTRIBUTE_VALUE, description="Without control characters; null takes the attribute away.")
]
ProfileAttributes = Annotated[
    dict[Name, AttributeValue | None],
    Meta(max_length=MAX_ATTRIBUTES, description="What is to be set; attributes not named stay as they are."),
]
Dimension = Annotated[str, _text("The ladder, the classes, the segment, or churn.")]
Position = Annotated[
    Annotated[str, _text("A tier or class.")] | bool | None,
    Meta(description="A tier or class, true or false for a segment or churn; null ends what was set before."),
]
Owner = Annotated[str, _text("Who answers for it.")]
Reason = Annotated[str, _text("Why, in your words.", MAX_REASON)]
Until = Annotated[
    str,
    Meta(
        description="RFC 3339 with an offset, cut to milliseconds, later than the event's time.",
        extra_json_schema={"format": "date-time"},
    ),
]


class _Fields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The fields of one type of event: `data` of its CloudEvent, and beside the attributes in shorthand."""


class PurchaseFields(_Fields, kw_only=True):
    amount: Amount
    currency: CurrencyCode
    order: Order | None = None
    channel: Channel | None = None


class RefundFields(_Fields, kw_only=True):
    """Without an amount it takes what is left of the order, without an order it is an entry of its own; one of the two
    is given."""

    amount: Amount = msgspec.field(default_factory=msgspec.Raw)
    currency: CurrencyCode | None = None
    order: Order | None = None


class ClickFields(_Fields, kw_only=True):
    page: Page | None = None
    channel: Channel | None = None


class InteractionFields(_Fields, kw_only=True):
    channel: Channel | None = None
    direction: Direction | None = None


class FormFields(_Fields, kw_only=True):
    form: FormName | None = None
    channel: Channel | None = None


class FeedbackFields(_Fields, kw_only=True):
    kind: FeedbackKind
    score: Score = msgspec.field(default_factory=msgspec.Raw)
    channel: Channel | None = None


class StageFields(_Fields, kw_only=True):
    """A sales opportunity reached this stage."""

    opportunity: Opportunity
    stage: StageName


class ProfileFields(_Fields, kw_only=True):
    """What is known of the customer from the event's time on."""

    attributes: ProfileAttributes


class OverrideFields(_Fields, kw_only=True):
    """Somebody sets a position by hand, from the event's time until `until`."""

    dimension: Dimension
    value: Position
    owner: Owner
    reason: Reason
    until: Until


class Attributes(msgspec.Struct, kw_only=True, tag_field="type", gc=False):
    """What every event has, in both forms."""

    id: Identifier
    source: Source
    subject: Subject
    time: Timestamp | None = None


class _CloudEvent(Attributes, kw_only=True):
    specversion: Literal["1.0"]
    datacontenttype: str | None = None
    data_base64: None = None


class PurchaseCloudEvent(_CloudEvent, kw_only=True, tag="purchase"):
    data: PurchaseFields


class RefundCloudEvent(_CloudEvent, kw_only=True, tag="refund"):
    data: RefundFields


class ClickCloudEvent(_CloudEvent, kw_only=True, tag="click"):
    data: ClickFields | None = None


class InteractionCloudEvent(_CloudEvent, kw_only=True, tag="interaction"):
    data: InteractionFields | None = None


class FormCloudEvent(_CloudEvent, kw_only=True, tag="form"):
    data: FormFields | None = None


class FeedbackCloudEvent(_CloudEvent, kw_only=True, tag="feedback"):
    data: FeedbackFields


class StageCloudEvent(_CloudEvent, kw_only=True, tag="stage"):
    data: StageFields


class ProfileCloudEvent(_CloudEvent, kw_only=True, tag="profile"):
    data: ProfileFields


class OverrideCloudEvent(_CloudEvent, kw_only=True, tag="override"):
    data: OverrideFields


# In shorthand the fields are repeated, as a struct cannot inherit from two that have fields; a test compares them.
class PurchaseShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="purchase"):
    amount: Amount
    currency: CurrencyCode
    order: Order | None = None
    channel: Channel | None = None


class RefundShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="refund"):
    """Without an amount it takes what is left of the order, without an order it is an entry of its own; one of the two
    is given."""

    amount: Amount = msgspec.field(default_factory=msgspec.Raw)
    currency: CurrencyCode | None = None
    order: Order | None = None


class ClickShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="click"):
    page: Page | None = None
    channel: Channel | None = None


class InteractionShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="interaction"):
    channel: Channel | None = None
    direction: Direction | None = None


class FormShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="form"):
    form: FormName | None = None
    channel: Channel | None = None


class FeedbackShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="feedback"):
    kind: FeedbackKind
    score: Score = msgspec.field(default_factory=msgspec.Raw)
    channel: Channel | None = None


class StageShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="stage"):
    """A sales opportunity reached this stage."""

    opportunity: Opportunity
    stage: StageName


class ProfileShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="profile"):
    """What is known of the customer from the event's time on."""

    attributes: ProfileAttributes


class OverrideShorthand(Attributes, kw_only=True, forbid_unknown_fields=True, tag="override"):
    """Somebody sets a position by hand, from the event's time until `until`."""

    dimension: Dimension
    value: Position
    owner: Owner
    reason: Reason
    until: Until


CloudEvent = (
    PurchaseCloudEvent
    | RefundCloudEvent
    | ClickCloudEvent
    | InteractionCloudEvent
    | FormCloudEvent
    | FeedbackCloudEvent
    | StageCloudEvent
    | ProfileCloudEvent
    | OverrideCloudEvent
)
Shorthand = (
    PurchaseShorthand
    | RefundShorthand
    | ClickShorthand
    | InteractionShorthand
    | FormShorthand
    | FeedbackShorthand
    | StageShorthand
    | ProfileShorthand
    | OverrideShorthand
)

FIELDS: dict[str, type[_Fields]] = {
    "purchase": PurchaseFields,
    "refund": RefundFields,
    "click": ClickFields,
    "interaction": InteractionFields,
    "form": FormFields,
    "feedback": FeedbackFields,
    "stage": StageFields,
    "profile": ProfileFields,
    "override": OverrideFields,
}


class PairWanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of a merge: `from` becomes another name for `into`. Of an unmerge: `from` is a customer of its own again."""

    from_: Subject = msgspec.field(name="from")
    into: Subject


class ErasureWanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything known so far of the customer, and of all merged into them, is to be forgotten."""

    subject: Subject


class IdentityAccepted(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The answer to a merge, an unmerge or an erasure that Kafka has.

    status:   `already` for a merge that was made before: nothing was written
    sequence: its place in the one sequence of all of them
    customer: who goes on: whom the name that was given stands for
    at:       the instant it takes effect
    """

    status: Literal["accepted", "already"]
    sequence: int | None = None
    customer: str | None = None
    at: Instant | None = None


class EventAccepted(msgspec.Struct, kw_only=True):
    """The answer to one event that Kafka has. offset: left out where the broker no longer knows it (a retry)."""

    id: str
    status: Literal["accepted"] = "accepted"
    partition: int
    offset: int | UnsetType = UNSET


class EventResult(msgspec.Struct, kw_only=True):
    """What became of one event of a batch: accepted with its place on the topic, or refused with the problem.

    index: its place in what was sent, from 0.  id: as sent, null if it could not be read
    """

    index: int
    id: str | None
    status: Literal["accepted", "refused"]
    partition: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    problem: ProblemDetails | UnsetType = UNSET


class BatchAnswer(msgspec.Struct, kw_only=True):
    """The answer to a batch: one result for each event, in the order sent."""

    accepted: int
    refused: int
    results: list[EventResult]
