"""`/v1/customers`: the list, one customer at an instant, and a customer's history."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from schemas import answers
from schemas.decisions import Decision
from schemas.explanations import Explanation
from schemas.instants import asked
from schemas.problems import CUSTOMER_NOT_FOUND, INVALID_PARAMETER, NOT_YET_KNOWN, POLICY_UNAVAILABLE, Refused
from services.notifier.api import documentation
from services.notifier.api.paging import Cursor, Limit, next_cursor, read_cursor
from services.notifier.api.subjects import read_subject
from services.notifier.deciding import Deciding
from services.notifier.domain.history import Revision, paths
from services.notifier.projection import TIER
from services.notifier.store import customers, decisions
from services.notifier.store.database import Database
from services.scorer.domain.eras import Policies
from services.scorer.domain.explain import explain
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.packing import decode, mark
from services.shared.kafka import KafkaUnavailable
from services.shared.web import Json

Name = Annotated[str | None, Query(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Class = Annotated[
    str | None,
    Query(
        alias="class",
        pattern=r"^[a-z][a-z0-9_]{0,63}\.[a-z][a-z0-9_]{0,63}$",
        description="a list of classes and one of them, as `type.growth`",
    ),
]
Subject = Annotated[str, Path(description="the customer's id, percent-encoded")]
At = Annotated[str | None, Query(description="RFC 3339 with an offset (`+` as %2B); now if absent")]

_AT_ONCE = 2
"""So many pages of customers are worked out at a time: none of them holds up the rest of the service, and a small one
need not wait for a large one."""

_revision = msgspec.json.Decoder(Revision).decode


def as_written(record: bytes) -> Decision:
    """A decision record as it stands in an answer: the scorer's bytes, not decoded and encoded again."""
    return cast(Decision, msgspec.Raw(record))


def router(database: Database, deciding: Deciding, clock: Callable[[], datetime]) -> APIRouter:
    routes, explaining = APIRouter(tags=["customers"]), asyncio.Semaphore(_AT_ONCE)

    @routes.get("/v1/customers", **documentation.LIST_CUSTOMERS)
    async def list_customers(
        tier: Name = None,
        class_: Class = None,
        segment: Name = None,
        churn: Annotated[bool | None, Query(description="whether churn is raised")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        after = read_cursor(cursor, str)
        async with database.transaction() as connection:
            rows = await customers.page(
                connection,
                tier=tier,
                class_=_class(class_),
                segment=segment,
                churn=churn,
                after=after,
                limit=limit,
            )
        found = [
            answers.CustomerRow(
                subject=row.subject,
                tier=row.tier,
                since=row.tier_since,
                classes=row.classes,
                segments=row.segments,
                churn=row.churn,
                changed_at=row.changed_at,
            )
            for row in rows
        ]
        return Json(answers.CustomerList(customers=found, next=next_cursor([row.subject for row in found], limit)))

    # Before the page of a customer, whose id takes the rest of the path whatever it is.
    @routes.get("/v1/customers/{subject:path}/history", **documentation.GET_HISTORY)
    async def get_history(
        subject: Subject,
        everything: Annotated[bool, Query(alias="all", description="also what was not announced")] = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        name, before = read_subject(subject), read_cursor(cursor, int)
        async with database.reading() as connection:
            name = await customers.survivor(connection, name)
            if await customers.state(connection, name) is None:
                raise _unknown(name)
            rows = await decisions.page(connection, name, everything=everything, before=before, limit=limit)
            records = await decisions.all_of(connection, name)
        return Json(
            answers.History(
                subject=name,
                decisions=[as_written(row.record) for row in rows],
                paths=paths(_revision(record) for record in records),
                next=next_cursor([row.sequence for row in rows], limit),
            )
        )

    @routes.get("/v1/customers/{subject:path}", **documentation.GET_CUSTOMER)
    async def get_customer(subject: Subject, at: At = None) -> Response:
        name, instant = read_subject(subject), clock() if at is None else _instant(at)
        async with database.reading() as connection:
            name = await customers.survivor(connection, name)
            state = await customers.state(connection, name)
            if state is None:
                raise _unknown(name)
            last = await decisions.page(connection, name, everything=False, before=None, limit=1)
        try:
            await deciding.know_marks([mark(state)])
        except KafkaUnavailable as error:
            raise Refused(POLICY_UNAVAILABLE, str(error), retry_after_s=1) from error
        async with explaining:
            answer = await asyncio.to_thread(_explained, name, state, deciding.policies, instant)
        return Json(
            answers.CustomerView(
                subject=name,
                at=answer.at,
                policy=answer.policy,
                currency=answer.currency,
                tier=answer.tiers[TIER],
                tiers=answer.tiers,
                classes=answer.classes,
                segments=answer.segments,
                churn=answer.churn,
                standing=answer.standing,
                features=answer.features,
                rules=answer.rules,
                next=answer.next,
                last_decision=as_written(last[0].record) if last else None,
            )
        )

    return routes


def _explained(name: str, state: bytes, policies: Policies, at: datetime) -> Explanation:
    """In a thread of its own: of a customer with very many events it takes seconds. Refused before the first event."""
    customer, at_ms = decode(state, policies), to_ms(at)
    began_ms = customer.ledger.began_ms(NEVER)
    if at_ms < began_ms < NEVER:
        first = to_datetime(began_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        problem = msgspec.structs.replace(NOT_YET_KNOWN, fix=f"Ask of {first}, the first event's, or a later instant.")
        raise Refused(problem, f"nothing is known of customer {name!r} by then")
    return explain(customer, policies, at_ms)


def _class(written: str | None) -> tuple[str, str] | None:
    if written is None:
        return None
    dimension, _, name = written.partition(".")
    return dimension, name


def _instant(text: str) -> datetime:
    try:
        return asked(text)
    except Refused as refused:
        problem = msgspec.structs.replace(INVALID_PARAMETER, fix="Write it as 2026-03-01T00:00:00Z (a + is %2B).")
        raise Refused(problem, refused.detail, field="at") from None


def _unknown(subject: str) -> Refused:
    return Refused(CUSTOMER_NOT_FOUND, f"no event of customer {subject!r} has been seen")
