"""What the OpenAPI document says of the notifier's endpoints."""

import inspect
from typing import Any

from schemas import answers, problems
from schemas.decisions import Decision
from services.shared import openapi

TITLE = "Tierline notifier"

DESCRIPTION = inspect.cleandoc(
    """
    Who is in which tier and segment, why, what happens next; what is to be done about it; and the stream of changes.

    The database follows the scorer within a fraction of a second; `/v1/progress` says how far it has come.
    """
)

TYPES: dict[str, Any] = {
    "Decision": Decision,
    "CustomerList": answers.CustomerList,
    "CustomerView": answers.CustomerView,
    "History": answers.History,
    "TaskView": answers.TaskView,
    "TaskList": answers.TaskList,
    "Claim": answers.Claim,
    "Completion": answers.Completion,
    "AlertList": answers.AlertList,
    "Progress": answers.Progress,
    "Summary": answers.Summary,
}

_AWAY = problems.DATABASE_UNAVAILABLE
_RETRY = {503: "Retry-After"}


def _get(summary: str, answer: str, *refusals: problems.Problem, description: str | None = None) -> dict[str, Any]:
    about = {} if description is None else {"description": inspect.cleandoc(description)}
    return {
        "summary": summary,
        **about,
        **openapi.answers({200: answer}, problems=(*refusals, _AWAY), headers_on=_RETRY),
    }


def _post(summary: str, body: str, description: str) -> dict[str, Any]:
    refusals = (
        problems.MALFORMED_BODY,
        problems.INVALID_FIELD,
        problems.BODY_TOO_LARGE,
        problems.TASK_NOT_FOUND,
        problems.TASK_CONFLICT,
        _AWAY,
    )
    request = {"required": True, "content": {"application/json": {"schema": openapi.ref(body)}}}
    return {
        "summary": summary,
        "description": inspect.cleandoc(description),
        **openapi.answers({200: "TaskView"}, problems=refusals, headers_on=_RETRY, requestBody=request),
    }


LIST_CUSTOMERS = _get("Customers, by tier, class, segment and churn", "CustomerList", problems.INVALID_PARAMETER)
GET_CUSTOMER = _get(
    "One customer at an instant: features, position, why, and what happens next",
    "CustomerView",
    problems.CUSTOMER_NOT_FOUND,
    problems.NOT_YET_KNOWN,
    problems.INVALID_PARAMETER,
    problems.POLICY_UNAVAILABLE,
    description="A name that was merged into a customer is answered for by that customer, whose id `subject` gives.",
)
GET_HISTORY = _get(
    "What was decided about a customer, and the path that follows from it",
    "History",
    problems.CUSTOMER_NOT_FOUND,
    problems.INVALID_PARAMETER,
    description="Of a name that was merged into a customer, that customer's.",
)
LIST_TASKS = _get("Follow-up tasks", "TaskList", problems.INVALID_PARAMETER)
CLAIM_TASK = _post(
    "Take an open task",
    "Claim",
    "The same person's claim again changes nothing, so a lost answer can be asked for again.",
)
COMPLETE_TASK = _post(
    "Finish a task with what came of it",
    "Completion",
    "Only who claimed it can. The same again changes nothing, so a lost answer can be asked for again.",
)
LIST_ALERTS = _get("Churn alerts, one an episode", "AlertList", problems.INVALID_PARAMETER)
GET_PROGRESS = _get(
    "How far the database has come",
    "Progress",
    description="""
        An event accepted as partition p, offset o is in the database with all that it changed once partition p has
        `events_offset` above o and is `complete`.
        """,
)
GET_SUMMARY = _get("The installation in numbers", "Summary")

STREAM: dict[str, Any] = {
    "summary": "Announced transitions as they happen (server-sent events)",
    "description": inspect.cleandoc(
        """
        Each event is named `transition`; its id is the position in the feed, 1, 2, 3 ... without gaps; its data is
        the decision record. Give the last id back - as the header Last-Event-ID, which browsers send by themselves, or
        as `after` - and nothing is missed. Without either the stream begins with what comes next; `after=0` begins at
        the beginning. A comment is sent when nothing else was for a while.
        """
    ),
    "openapi_extra": {
        "responses": {
            "200": {
                "description": "Until either side ends it",
                "content": {
                    "text/event-stream": {
                        "schema": {"type": "string", "contentMediaType": "text/event-stream"},
                        "example": 'id: 42\nevent: transition\ndata: {"record":"decision","subject":"c-20017"}\n\n',
                    }
                },
            },
            **openapi.answers(problems=(problems.STREAM_GONE, problems.INVALID_PARAMETER, _AWAY), headers_on=_RETRY)[
                "openapi_extra"
            ]["responses"],
        }
    },
}
