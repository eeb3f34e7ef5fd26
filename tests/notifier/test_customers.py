"""The query API of customers: the list, one customer's page and history, over a real database."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from schemas import answers
from schemas.explanations import OverrideView
from schemas.topics import CONTROL
from services.notifier.api import customers
from services.notifier.consumer import Consumer
from services.scorer.domain.explain import explain
from services.shared.control import Control
from services.shared.kafka import create_topics
from tests.notifier import serving
from tests.notifier.asking import get, problem, walk
from tests.notifier.scribe import NOON, POLICY
from tests.waiting import until


async def test_customers_are_listed_in_pages_without_gap_or_repetition(http, desk):
    names = sorted(f"c{number}" for number in range(25))
    for name in names:
        desk.scribe.move(name, "tier", "silver")
    await desk.deliver()
    rows, pages = await walk(http, "/v1/customers", answers.CustomerList, "customers", limit=10)
    assert [row.subject for row in rows] == names
    assert pages == 3
    assert (await get(http, "/v1/customers", answers.CustomerList, limit=25)).next is not None
    assert rows[0] == answers.CustomerRow(
        subject="c0",
        tier="silver",
        since=NOON,
        classes={"type": "potential"},
        segments=[],
        churn=False,
        changed_at=NOON,
    )


async def test_customers_are_filtered_by_tier_class_segment_and_churn(http, desk):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.move("c2", "tier", "gold")
    desk.scribe.move("c2", "active", True)
    desk.scribe.move("c2", "type", "growth")
    desk.scribe.move("c3", "churn", True, at=NOON + timedelta(hours=1))
    await desk.deliver()

    async def found(**filters):
        rows, _ = await walk(http, "/v1/customers", answers.CustomerList, "customers", limit=1, **filters)
        return [row.subject for row in rows]

    assert await found(tier="gold") == ["c1", "c2"]
    assert await found(tier="gold", segment="active") == ["c2"]
    assert await found(**{"class": "type.growth"}) == ["c2"]
    assert await found(**{"class": "type.potential"}, tier="gold") == ["c1"]
    assert await found(**{"class": "stage.growth"}) == []
    assert await found(churn="true") == ["c3"]
    assert await found(churn="false") == ["c1", "c2"]
    assert await found(tier="basic") == ["c3"]
    assert await found(tier="bronze") == []


async def test_a_customer_never_moved_has_no_instants(http, desk):
    desk.scribe.state("c1")
    await desk.deliver()
    (row,) = (await get(http, "/v1/customers", answers.CustomerList)).customers
    assert (row.tier, row.since, row.changed_at) == ("basic", None, None)


async def test_a_customer_is_explained_at_the_instant_asked(http, desk, clock):
    #  NOON          +29 d          +30 d      +60 d
    #  purchase 150  active         not        churn
    desk.scribe.purchase("c1", 150)
    await desk.deliver()
    clock.now = NOON + timedelta(days=29)
    page = await get(http, "/v1/customers/c1", answers.CustomerView)
    assert (page.subject, page.at, page.tier, page.tiers) == ("c1", clock.now, "silver", {"tier": "silver"})
    assert (page.policy, page.currency, page.classes, page.segments, page.churn) == (
        "corner_shop", "USD", {"type": "potential"}, ["active"], False,
    )  # fmt: skip
    assert (page.standing["tier"].value, page.standing["tier"].since) == ("silver", NOON)
    assert (page.standing["type"].value, page.standing["type"].since) == ("potential", None)
    assert page.features["spend"].value == "150.00"
    assert [(n.at, n.dimension, n.after) for n in page.next] == [
        (NOON + timedelta(days=30), "active", False),
        (NOON + timedelta(days=60), "churn", True),
    ]
    gold = next(rule for rule in page.rules if rule.rule == "tier.gold")
    assert gold.conditions[0].short_by == "850.00"
    assert page.last_decision is not None
    assert page.last_decision.subject == "c1"
    later = await get(http, "/v1/customers/c1", answers.CustomerView, at=(NOON + timedelta(days=60)).isoformat())
    assert (later.segments, later.churn, later.next) == ([], True, [])


async def test_before_the_first_event_nothing_is_known_of_a_customer(http, desk):
    desk.scribe.purchase("c1", 150)
    await desk.deliver()
    before = await http.get("/v1/customers/c1", params={"at": (NOON - timedelta(milliseconds=1)).isoformat()})
    assert problem(before, "not-yet-known") == "nothing is known of customer 'c1' by then"
    assert before.json()["fix"] == "Ask of 2026-03-01T12:00:00.000Z, the first event's, or a later instant."
    assert (await get(http, "/v1/customers/c1", answers.CustomerView, at=NOON.isoformat())).tier == "silver"


async def test_an_instant_is_asked_of_as_one_of_an_event_is_written(http, desk):
    desk.scribe.purchase("c1", 150)
    await desk.deliver()
    for at, instant in (
        ("2026-03-31T23:59:60Z", datetime(2026, 4, 1, tzinfo=UTC)),
        ("5999-12-31T23:59:59.999Z", datetime(5999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ):
        assert (await get(http, "/v1/customers/c1", answers.CustomerView, at=at)).at == instant
    for at, wrong in (
        ("6000-01-01T00:00:00Z", "'6000-01-01T00:00:00Z' is after the year 5999"),
        ("1969-12-31T23:59:59Z", "'1969-12-31T23:59:59Z' is before 1970"),
        ("2026-03-01T12:00:00", "'2026-03-01T12:00:00' is not RFC 3339 with an offset"),
    ):
        refused = await http.get("/v1/customers/c1", params={"at": at})
        assert problem(refused, "invalid-parameter", field="at") == wrong
        assert "2026-03-01T00:00:00Z" in refused.json()["fix"]


async def test_the_service_answers_while_pages_of_customers_are_worked_out_two_at_a_time(http, desk, monkeypatch):
    desk.scribe.purchase("c1", 150)
    await desk.deliver()
    begun, go_on, ended = threading.Semaphore(0), threading.Event(), []

    def slowly(*args):
        begun.release()
        ended.append(go_on.wait(5))
        return explain(*args)

    monkeypatch.setattr(customers, "explain", slowly)
    pages = [asyncio.create_task(http.get("/v1/customers/c1")) for _ in range(3)]
    for _ in range(2):
        assert await asyncio.to_thread(begun.acquire, timeout=5)
    assert (await http.get("/livez")).status_code == 200
    assert (ended, begun.acquire(blocking=False)) == ([], False), "both still at it, and no third"
    go_on.set()
    assert [page.status_code for page in await asyncio.gather(*pages)] == [200] * 3


async def test_a_page_tells_what_a_class_means(http, desk):
    for _ in range(5):
        desk.scribe.purchase("c1", 10)
    await desk.deliver()
    held = (await get(http, "/v1/customers/c1", answers.CustomerView)).standing["type"]
    assert (held.value, held.since, held.strategy, held.resources) == ("growth", NOON, "bundles, loyalty", "30%")
    history = await get(http, "/v1/customers/c1/history", answers.History)
    assert history.paths["type"] == [(NOON, "growth")]
    assert ("type", "class", "growth") in [(d.dimension, d.kind, d.after) for d in history.decisions]


async def test_an_override_is_shown_with_what_it_masks_and_until_when(http, desk, clock):
    #  NOON          +1 d                      +10 d
    #  purchase 150  by hand: gold             silver again
    overridden, until = NOON + timedelta(days=1), NOON + timedelta(days=10)
    desk.scribe.purchase("c1", 150)
    desk.scribe.override("c1", "tier", "gold", overridden, until)
    await desk.deliver()
    clock.now = NOON + timedelta(days=2)
    (row,) = (await get(http, "/v1/customers", answers.CustomerList, tier="gold")).customers
    assert (row.subject, row.changed_at) == ("c1", overridden)
    page = await get(http, "/v1/customers/c1", answers.CustomerView)
    held = page.standing["tier"]
    assert (page.tier, held.value, held.since, held.computed) == ("gold", "gold", overridden, "silver")
    assert held.override == OverrideView(owner="li", reason="contract", until=until)
    assert ("tier", until, "silver") in [(n.dimension, n.at, n.after) for n in page.next]
    assert page.last_decision is not None
    assert (page.last_decision.cause, page.last_decision.before) == ("manual", "silver")
    assert [t.title for t in (await get(http, "/v1/tasks", answers.TaskList)).tasks] == ["Say thank you"]


async def test_a_customers_history_is_told_newest_first_in_pages(http, desk):
    for day, tier in enumerate(["silver", "gold", "silver", "basic"]):
        desk.scribe.move("c1", "tier", tier, at=NOON + timedelta(days=day))
    desk.scribe.move("c1", "tier", "basic", at=NOON + timedelta(days=2), path=[(NOON + timedelta(days=2), "basic")])
    await desk.deliver()
    told, pages = await walk(http, "/v1/customers/c1/history", answers.History, "decisions", limit=3)
    assert [d.after for d in told] == ["basic", "silver", "gold", "silver"]
    assert pages == 2
    everything, _ = await walk(http, "/v1/customers/c1/history", answers.History, "decisions", limit=3, all="true")
    assert [d.revision for d in everything] == [5, 4, 3, 2, 1]
    history = await get(http, "/v1/customers/c1/history", answers.History, limit=1)
    assert history.paths == {
        "tier": [
            (NOON, "silver"),
            (NOON + timedelta(days=1), "gold"),
            (NOON + timedelta(days=2), "basic"),
        ]
    }


@pytest.mark.parametrize(
    ("subject", "encoded"),
    [
        ("eu/shop/17", "eu%2Fshop%2F17"),
        ("eu/shop/17", "eu/shop/17"),
        ("x/history", "x%2Fhistory"),
        ("100%", "100%25"),
        ("a b+c", "a%20b+c"),
        ("东京", "%E4%B8%9C%E4%BA%AC"),
        ("q?x#y", "q%3Fx%23y"),
        (".", "%2E"),
    ],
)
async def test_any_subject_can_stand_in_an_address(http, desk, subject, encoded):
    desk.scribe.move(subject, "tier", "gold")
    desk.scribe.move("x", "tier", "silver")
    await desk.deliver()
    address = str(http.base_url).rstrip("/") + "/v1/customers/" + encoded
    assert (await get(http, address, answers.CustomerView)).subject == subject
    assert (await get(http, f"{address}/history", answers.History)).subject == subject


async def test_a_policy_that_is_still_to_take_effect_is_in_the_forecast(settings, desk, policy, clock, monkeypatch):
    """Nobody need have an event for that."""
    await asyncio.to_thread(create_topics, settings, (CONTROL,))
    monkeypatch.setattr(Consumer, "run", serving.idle)
    desk.scribe.purchase("c1", 150)
    await desk.deliver()
    async with serving.client(serving.app(settings, policy, clock)) as http:

        async def falls_at():
            told = await get(http, "/v1/customers/c1", answers.CustomerView)
            return next((n.at for n in told.next if (n.dimension, n.after) == ("tier", "basic")), None)

        assert await falls_at() is None
        switch = clock.now + timedelta(days=1)
        desk.scribe.activate(POLICY.replace('spend >= 100"', 'spend >= 200"'), at=switch)
        await asyncio.to_thread(lambda: Control(settings).append(lambda _: desk.scribe.activations))

        async def is_known():
            return await falls_at() == switch

        await until(is_known, within=20, what="the policy is in the forecast")
        later = await get(http, "/v1/customers/c1", answers.CustomerView, at=switch.isoformat())
        assert later.tier == "basic"
