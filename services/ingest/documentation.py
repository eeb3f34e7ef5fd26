"""What the OpenAPI document says of `POST /v1/events`, with examples that work as they stand."""

import inspect
from typing import Any

from schemas import intake, problems
from services.ingest.body import CLOUD_EVENT, CLOUD_EVENTS, JSON, NDJSON
from services.shared import openapi

TITLE = "Tierline ingest"

DESCRIPTION = inspect.cleandoc(
    """
    Takes what customers did. An event is answered 202 only once Kafka has it on disk in all replicas.

    The same event may be sent again at any time: `source` and `id` identify it within the customer, and it counts once.
    A 503 means that it is not known whether the events were kept: send them again, with the same ids, after
    Retry-After seconds.
    """
)

TYPES: dict[str, Any] = {
    "CloudEvent": intake.CloudEvent,
    "Shorthand": intake.Shorthand,
    "EventAccepted": intake.EventAccepted,
    "BatchAnswer": intake.BatchAnswer,
    "PairWanted": intake.PairWanted,
    "ErasureWanted": intake.ErasureWanted,
    "IdentityAccepted": intake.IdentityAccepted,
}

SHORTHAND = {
    "type": "purchase",
    "id": "order-1042",
    "source": "shop",
    "subject": "c-20017",
    "time": "2026-03-01T12:00:00Z",
    "amount": "319.00",
    "currency": "USD",
    "order": "1042",
}
_CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "interaction",
    "id": "call-5",
    "source": "call-centre",
    "subject": "c-20017",
    "time": "2026-03-01T14:30:00+08:00",
    "data": {"channel": "call", "direction": "inbound"},
}
_REFUND = {
    "type": "refund",
    "id": "refund-77",
    "source": "shop",
    "subject": "c-20017",
    "time": "2026-03-05T09:00:00Z",
    "order": "1042",
}

_FEEDBACK = {
    "type": "feedback",
    "id": "survey-8",
    "source": "survey",
    "subject": "c-20017",
    "time": "2026-03-06T10:00:00Z",
    "kind": "rating",
    "score": "4.5",
}
_STAGE = {
    "type": "stage",
    "id": "deal-3-offer",
    "source": "crm",
    "subject": "c-20017",
    "time": "2026-03-06T11:00:00Z",
    "opportunity": "deal-3",
    "stage": "offer",
}
_PROFILE = {
    "type": "profile",
    "id": "profile-12",
    "source": "crm",
    "subject": "c-20017",
    "time": "2026-03-06T12:00:00Z",
    "attributes": {"region": "Beijing", "industry": None},
}
_OVERRIDE = {
    "type": "override",
    "id": "contract-4",
    "source": "crm",
    "subject": "c-20017",
    "time": "2026-03-07T09:00:00Z",
    "dimension": "tier",
    "value": "key",
    "owner": "li",
    "reason": "contract of 2026",
    "until": "2026-06-01T00:00:00Z",
}

_EVENT = {"anyOf": [openapi.ref("Shorthand"), openapi.ref("CloudEvent")]}

_REQUEST: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {"anyOf": [_EVENT, {"type": "array", "minItems": 1, "items": _EVENT}]},
            "examples": {
                "shorthand": {"summary": "One event in shorthand", "value": SHORTHAND},
                "cloud-event": {"summary": "One CloudEvent", "value": _CLOUD_EVENT},
                "batch": {"summary": "A batch of both", "value": [_REFUND, _CLOUD_EVENT]},
                "feedback": {"summary": "What a customer thinks: a rating, an NPS or a complaint", "value": _FEEDBACK},
                "stage": {"summary": "A sales opportunity moves on", "value": _STAGE},
                "profile": {"summary": "Attributes of a customer; null takes one away", "value": _PROFILE},
                "override": {"summary": "A position set by hand until an instant", "value": _OVERRIDE},
            },
        },
        CLOUD_EVENT: {"schema": openapi.ref("CloudEvent"), "example": _CLOUD_EVENT},
        CLOUD_EVENTS: {
            "schema": {"type": "array", "minItems": 1, "items": openapi.ref("CloudEvent")},
            "example": [_CLOUD_EVENT],
        },
        NDJSON: {"schema": {"type": "string", "description": "One event a line; empty lines are skipped."}},
    },
}

_PROBLEMS = (
    problems.MALFORMED_BODY,
    problems.EMPTY_BODY,
    problems.TOO_DEEP,
    problems.BODY_TOO_LARGE,
    problems.TOO_MANY_EVENTS,
    problems.UNSUPPORTED_MEDIA_TYPE,
    problems.NOT_AN_EVENT,
    problems.UNKNOWN_TYPE,
    problems.MISSING_FIELD,
    problems.INVALID_FIELD,
    problems.UNKNOWN_FIELD,
    problems.MISSING_SUBJECT,
    problems.INVALID_SUBJECT,
    problems.PERSONAL_SUBJECT,
    problems.INVALID_ID,
    problems.NEGATIVE_AMOUNT,
    problems.INVALID_AMOUNT,
    problems.TOO_MANY_DECIMALS,
    problems.AMOUNT_TOO_LARGE,
    problems.MISSING_CURRENCY,
    problems.UNKNOWN_CURRENCY,
    problems.INVALID_SCORE,
    problems.INVALID_ATTRIBUTE,
    problems.INVALID_UNTIL,
    problems.INVALID_TIME,
    problems.TIME_IN_FUTURE,
    problems.TIME_OUT_OF_RANGE,
    problems.UNSUPPORTED_SPECVERSION,
    problems.BROKER_UNAVAILABLE,
    problems.OVERLOADED,
)

POST_EVENTS: dict[str, Any] = {
    "summary": "Post one event or many",
    "description": (
        "One event is answered by itself. A batch - a JSON array or NDJSON - is answered event by event: 202 if any "
        "was kept, otherwise the status its problems have in common or 422, and 503 if Kafka kept none."
    ),
    **openapi.answers(
        {
            202: {"anyOf": [openapi.ref("EventAccepted"), openapi.ref("BatchAnswer")]},
            400: "BatchAnswer",
            422: "BatchAnswer",
        },
        descriptions={
            202: "Kafka has the event, or at least one of the batch",
            400: "Cannot be read; a batch by its results, anything else by problem details",
            422: "Not acceptable; a batch by its results, anything else by problem details",
        },
        problems=_PROBLEMS,
        headers_on={503: "Retry-After"},
        requestBody=_REQUEST,
    ),
}


def _identity(
    summary: str,
    body: str,
    example: dict[str, str],
    description: str,
    *conflicts: problems.Problem,
    again: bool = False,
) -> dict[str, Any]:
    refusals = (
        problems.MALFORMED_BODY,
        problems.TOO_DEEP,
        problems.INVALID_FIELD,
        problems.INVALID_SUBJECT,
        problems.PERSONAL_SUBJECT,
        *conflicts,
        problems.BROKER_UNAVAILABLE,
        problems.OVERLOADED,
    )
    accepted = {200: "IdentityAccepted", 202: "IdentityAccepted"} if again else {202: "IdentityAccepted"}
    return {
        "summary": summary,
        "description": inspect.cleandoc(description),
        **openapi.answers(
            accepted,
            descriptions={200: "It was so already; nothing was written", 202: "Kafka has it"},
            problems=refusals,
            headers_on={503: "Retry-After"},
            requestBody={"required": True, "content": {JSON: {"schema": openapi.ref(body), "example": example}}},
        ),
    }


_PAIR = {"from": "c-20017-old", "into": "c-20017"}

POST_MERGES = _identity(
    "Two ids are one customer",
    "PairWanted",
    _PAIR,
    """
    From now on `from` is another name for `into`: their events are one ledger, played again from the beginning, and an
    event filed under both counts once. Events that still come for `from` go to `into`. If `into` is itself another
    name, whoever it stands for is meant. 503: it is not known whether it was kept, send it again.
    """,
    problems.MERGED_ALREADY,
    again=True,
)
POST_UNMERGES = _identity(
    "They are two customers after all",
    "PairWanted",
    _PAIR,
    """
    `from` is a customer of its own again, with everything that was filed under it, and with all who came in through it.
    503: it is not known whether it was kept; sent again, a 409 says that it was.
    """,
    problems.NOT_MERGED,
)
POST_ERASURES = _identity(
    "Forget a customer",
    "ErasureWanted",
    {"subject": "c-20017"},
    """
    Everything up to this instant of the customer and of all merged into them is suppressed for ever, also when events
    of before come later or are replayed; other names end. Later events begin a new life from zero.
    """,
)
