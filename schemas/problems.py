"""The catalogue of problems: every way a request can be refused, as RFC 9457 problem details.

`type` is a reference to `/problems/<slug>`, which every service answers with the entry below. A problem about one
event of a batch stands in that event's result, with the same members.
"""

from typing import Any

import msgspec

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """slug: last part of `type`.  fix: what the caller can do about it."""

    slug: str
    status: int
    title: str
    fix: str

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an answer that refuses. `field` is a dotted path into what was sent, as `data.amount`."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    fix: str | None = None
    instance: str | None = None


def details(problem: Problem, detail: str, *, field: str | None = None, **more: Any) -> ProblemDetails:
    """The problem as it is sent; `detail` says what was found this time."""
    return ProblemDetails(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=detail,
        field=field,
        fix=problem.fix,
        **more,
    )


class Refused(Exception):
    """Raised where something is refused; whoever answers the caller turns it into `details`.

    retry_after_s: whole seconds for the Retry-After header, where trying again can help
    """

    def __init__(
        self, problem: Problem, detail: str, *, field: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s

    def details(self) -> ProblemDetails:
        return details(self.problem, self.detail, field=self.field)


# -- what was sent cannot be read
MALFORMED_BODY = Problem(
    "malformed-body",
    400,
    "The body is not valid JSON",
    "Send JSON in UTF-8: one event, an array of events, or one event a line (NDJSON).",
)
EMPTY_BODY = Problem("empty-body", 400, "No event was sent", "Send at least one event.")
TOO_DEEP = Problem(
    "too-deep", 400, "The body is nested too deeply", "An event needs no more than a few levels; send it flat."
)
BODY_TOO_LARGE = Problem("body-too-large", 413, "The body is larger than allowed", "Send fewer events in one request.")
TOO_MANY_EVENTS = Problem(
    "too-many-events", 413, "More events than allowed in one request", "Send fewer events in one request."
)
UNSUPPORTED_MEDIA_TYPE = Problem(
    "unsupported-media-type",
    415,
    "The content type is not one we read",
    "Send application/json, application/cloudevents+json, application/cloudevents-batch+json or application/x-ndjson.",
)
# -- one event is not acceptable
NOT_AN_EVENT = Problem("not-an-event", 422, "An event is a JSON object", "Send each event as a JSON object: {...}.")
UNKNOWN_TYPE = Problem(
    "unknown-type",
    422,
    "The event's type is unknown",
    "Use one of: purchase, refund, click, interaction, form, feedback, stage, profile, override.",
)
MISSING_FIELD = Problem("missing-field", 422, "A required field is missing", "Add the field.")
INVALID_FIELD = Problem("invalid-field", 422, "A field has the wrong type or value", "Correct the field.")
UNKNOWN_FIELD = Problem(
    "unknown-field", 422, "A field is not one this event type has", "Correct the field's name or leave it out."
)
MISSING_SUBJECT = Problem("missing-subject", 422, "The event names no customer", "Put the customer's id into subject.")
INVALID_SUBJECT = Problem(
    "invalid-subject",
    422,
    "The customer's id cannot be used",
    "Use 1 to 128 characters without control characters or blanks at the ends.",
)
PERSONAL_SUBJECT = Problem(
    "personal-subject",
    422,
    "The customer's id looks like personal data",
    "Send a pseudonymous id; e-mail addresses and telephone numbers are not taken as ids.",
)
INVALID_ID = Problem(
    "invalid-id",
    422,
    "The event's id or source cannot be used",
    "Use 1 to 128 characters without control characters or blanks at the ends.",
)
NEGATIVE_AMOUNT = Problem(
    "negative-amount",
    422,
    "The amount is negative",
    "Send what was paid as a positive amount; money that went back is a refund event.",
)
INVALID_AMOUNT = Problem(
    "invalid-amount",
    422,
    "The amount is not a plain decimal number",
    'Send a decimal string or number such as "12.30", without exponent.',
)
TOO_MANY_DECIMALS = Problem(
    "too-many-decimals",
    422,
    "The amount has more decimals than its currency",
    "Round the amount to the currency's minor unit.",
)
AMOUNT_TOO_LARGE = Problem(
    "amount-too-large", 422, "The amount is too large", "Amounts go up to 9007199254740991 minor units."
)
MISSING_CURRENCY = Problem("missing-currency", 422, "The amount has no currency", 'Add the ISO 4217 code, as "USD".')
UNKNOWN_CURRENCY = Problem(
    "unknown-currency", 422, "The currency is not an ISO 4217 code", 'Use the three-letter code, as "USD".'
)
INVALID_SCORE = Problem(
    "invalid-score",
    422,
    "The score is not one of its scale",
    "Send a rating from 1 to 5 or an NPS from 0 to 10 as a plain decimal of at most two decimals; a complaint has none.",
)
INVALID_ATTRIBUTE = Problem(
    "invalid-attribute",
    422,
    "The customer's attributes cannot be used",
    "Send at most 50, each with a name of lower case letters, digits and _ that begins with a letter, and a text of up "
    "to 256 characters without control characters; null takes one away.",
)
INVALID_UNTIL = Problem(
    "invalid-until",
    422,
    "The end of the override cannot be used",
    "Send until as 2026-06-01T00:00:00Z or with an offset, later than the event's time.",
)
INVALID_TIME = Problem(
    "invalid-time",
    422,
    "The time is not RFC 3339 with an offset",
    "Send the time as 2026-03-01T12:00:00Z or with an offset.",
)
TIME_IN_FUTURE = Problem(
    "time-in-future", 422, "The time is more than five minutes ahead", "Check the sender's clock and time zone."
)
TIME_OUT_OF_RANGE = Problem(
    "time-out-of-range", 422, "The time is before 1970 or after 5999", "Send the time at which it happened."
)
UNSUPPORTED_SPECVERSION = Problem(
    "unsupported-specversion", 422, "The CloudEvents version is not 1.0", 'Send specversion "1.0".'
)
MERGED_ALREADY = Problem(
    "merged-already",
    409,
    "The two cannot be merged as things stand",
    "Unmerge the one that is another name already, or name the customer it stands for.",
)
NOT_MERGED = Problem(
    "not-merged", 409, "The one is not merged into the other", "Name the customer into which it was merged."
)
# -- we cannot take it now
BROKER_UNAVAILABLE = Problem(
    "broker-unavailable",
    503,
    "It is not known whether the events were kept",
    "Send them again with the same ids after Retry-After seconds; what was kept already counts once.",
)
OVERLOADED = Problem(
    "overloaded",
    503,
    "More is in flight than we can keep safely",
    "Send again with the same ids after Retry-After seconds.",
)
DATABASE_UNAVAILABLE = Problem(
    "database-unavailable", 503, "The database does not answer", "Try again after Retry-After seconds."
)
POLICY_UNAVAILABLE = Problem(
    "policy-unavailable",
    503,
    "The customer was decided under a policy that cannot be read at the moment",
    "Try again after Retry-After seconds.",
)
# -- reading and tasks
NOT_FOUND = Problem("not-found", 404, "There is nothing here", "Check the address.")
METHOD_NOT_ALLOWED = Problem("method-not-allowed", 405, "The method is not allowed here", "See /docs for what is.")
CUSTOMER_NOT_FOUND = Problem(
    "customer-not-found",
    404,
    "No event of this customer has been seen",
    "Check the id; a new customer appears within a second of the first event.",
)
NOT_YET_KNOWN = Problem(
    "not-yet-known",
    404,
    "Nothing is known of this customer by then",
    "Ask of the instant of the first event, which is named here, or of a later one.",
)
TASK_NOT_FOUND = Problem("task-not-found", 404, "There is no such task", "List the tasks at /v1/tasks.")
TASK_CONFLICT = Problem(
    "task-conflict",
    409,
    "The task is not in a state that allows this",
    "Read the task again; someone else may have claimed or finished it.",
)
INVALID_PARAMETER = Problem(
    "invalid-parameter", 422, "A parameter has the wrong type or value", "Correct the parameter."
)
STREAM_GONE = Problem(
    "stream-gone",
    410,
    "The stream no longer reaches back to this id",
    "Read the customers at /v1/customers and follow the stream without Last-Event-ID.",
)
INTERNAL = Problem(
    "internal-error",
    500,
    "Something went wrong on our side",
    "Try again; if it stays, tell the operator the instant and the request.",
)

CATALOGUE: dict[str, Problem] = {p.slug: p for p in list(globals().values()) if isinstance(p, Problem)}
