"""The query API over a real database."""

from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from schemas import answers
from schemas.explanations import OverrideView
from schemas.problems import CATALOGUE
from services.notifier.consumer import Consumer
from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from tests.fixtures.database import embedded_postgres
from tests.notifier import serving
from tests.notifier.desk import Desk
from tests.notifier.scribe import NOON, Scribe


class Clock:
    def __init__(self):
        self.now = NOON + timedelta(days=1)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest_asyncio.fixture(loop_scope="session")
async def http(migrated_url, policy, clock, monkeypatch):
    monkeypatch.setattr(Consumer, "run", serving.idle)
    async with serving.client(serving.app(serving.settings(migrated_url), policy, clock)) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def calm(module_database_url, policy):
    """A client for what changes nothing: one customer, c1, for all tests of this module."""
    await migrate(module_database_url)
    desk = Desk(Database(module_database_url), policy, Scribe(policy))
    desk.scribe.state("c1")
    await desk.deliver()
    await desk.database.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Consumer, "run", serving.idle)
        async with serving.client(serving.app(serving.settings(module_database_url), policy, Clock())) as client:
            yield client


async def get(http, path, kind, **params):
    """The answer, checked against its contract."""
    response = await http.get(path, params=params)
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=kind)


def problem(response, slug, *, field=None):
    """The problem it is, which must be one of the catalogue, whole."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["status"], body.get("field")) == (f"/problems/{slug}", response.status_code, field)
    assert body["status"] == CATALOGUE[slug].status
    return body["detail"]


async def walk(http, path, kind, key, limit, **params):
    """Every entry of a list, page by page."""
    entries, pages, cursor = [], 0, {}
    while True:
        answer = await get(http, path, kind, limit=limit, **params, **cursor)
        entries += getattr(answer, key)
        pages += 1
        if answer.next is None:
            return entries, pages
        cursor = {"cursor": answer.next}


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
    assert (page.policy, page.classes, page.segments, page.churn) == (
        "corner_shop", {"type": "potential"}, ["active"], False,
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


async def test_tasks_are_claimed_and_completed(http, desk, clock):
    desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    (task,) = (await get(http, "/v1/tasks", answers.TaskList, state="open")).tasks
    assert (task.title, task.to, task.subject, task.value) == ("Say thank you", "sales", "c1", "gold")
    claimed = await http.post(f"/v1/tasks/{task.id}/claim", json={"by": "ann"})
    assert claimed.status_code == 200
    assert msgspec.json.decode(claimed.content, type=answers.TaskView).claimed_at == clock.now
    assert "claimed by ann" in problem(
        await http.post(f"/v1/tasks/{task.id}/claim", json={"by": "bob"}), "task-conflict"
    )
    done = await http.post(f"/v1/tasks/{task.id}/complete", json={"by": "ann", "outcome": "had tea"})
    assert (done.status_code, done.json()["state"], done.json()["outcome"]) == (200, "done", "had tea")
    assert "done by ann" in problem(await http.post(f"/v1/tasks/{task.id}/claim", json={"by": "ann"}), "task-conflict")
    assert (await get(http, "/v1/tasks", answers.TaskList, state="unfinished")).tasks == []
    assert (await get(http, "/v1/tasks", answers.TaskList, state="done")).tasks[0].by == "ann"


async def test_tasks_are_filtered_and_paged(http, desk):
    for number in range(5):
        desk.scribe.move(f"c{number}", "tier", "gold")
    desk.scribe.move("c1", "tier", "basic")
    await desk.deliver()
    tasks, pages = await walk(http, "/v1/tasks", answers.TaskList, "tasks", limit=2)
    assert [task.id for task in tasks] == [6, 5, 4, 3, 2, 1]
    assert pages == 4
    assert [t.title for t in (await get(http, "/v1/tasks", answers.TaskList, subject="c1")).tasks] == [
        "Ask why",
        "Say thank you",
    ]
    assert [t.subject for t in (await get(http, "/v1/tasks", answers.TaskList, to="service")).tasks] == ["c1"]
    assert [t.subject for t in (await get(http, "/v1/tasks", answers.TaskList, state="closed")).tasks] == ["c1"]


async def test_alerts_are_listed_with_the_decision_that_raised_them(http, desk):
    desk.scribe.move("c1", "churn", True, cause="time")
    desk.scribe.move("c2", "churn", True, cause="time")
    desk.scribe.move("c1", "churn", False, at=NOON + timedelta(days=2))
    await desk.deliver()
    (still,) = (await get(http, "/v1/alerts", answers.AlertList, state="open")).alerts
    assert (still.subject, still.open, still.since, still.raised_by.cause) == ("c2", True, NOON, "time")
    (ended,) = (await get(http, "/v1/alerts", answers.AlertList, state="closed", subject="c1")).alerts
    assert (ended.ending, ended.raised_by.revision) == ("recovered", 1)
    _, pages = await walk(http, "/v1/alerts", answers.AlertList, "alerts", limit=1)
    assert pages == 3


async def test_progress_is_complete_once_the_decisions_are_there_too(http, desk):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.position(events_offset=7)
    decisions = desk.scribe.logs.pop(("decisions", 0))
    await desk.deliver()
    (partition,) = (await get(http, "/v1/progress", answers.Progress)).partitions
    assert (partition.partition, partition.events_offset, partition.complete) == (0, 7, False)
    desk.scribe.logs["decisions", 0] = decisions
    await desk.deliver()
    (partition,) = (await get(http, "/v1/progress", answers.Progress)).partitions
    assert partition.complete


async def test_the_summary_counts_what_there_is(http, desk):
    desk.scribe.partition_of["c2"] = 1
    for subject in ("c1", "c2"):
        desk.scribe.move(subject, "tier", "gold")
        desk.scribe.move(subject, "active", True, cause="time")
    desk.scribe.move("c2", "type", "growth", cause="manual")
    desk.scribe.move("c3", "churn", True, cause="time")
    await desk.deliver()
    summary = await get(http, "/v1/summary", answers.Summary)
    assert summary.classes == {"type": {"growth": 1, "potential": 2}}
    assert (summary.customers, summary.tiers, summary.segments, summary.churn) == (
        3, {"basic": 1, "gold": 2}, {"active": 2}, 1,
    )  # fmt: skip
    assert {(t.dimension, t.after, t.cause, t.count) for t in summary.transitions} == {
        ("tier", "gold", "event", 2),
        ("active", True, "time", 2),
        ("type", "growth", "manual", 1),
        ("churn", True, "time", 1),
    }
    assert summary.transitions_by_cause == {"event": 2, "time": 3, "manual": 1}
    assert (summary.tasks_open, summary.tasks_claimed, summary.alerts_open, summary.position) == (3, 0, 1, 6)


@pytest.mark.parametrize(
    ("path", "slug", "field"),
    [
        ("/v1/customers/nobody", "customer-not-found", None),
        ("/v1/customers/nobody/history", "customer-not-found", None),
        ("/v1/customers/%00", "customer-not-found", None),
        ("/v1/customers/%FF", "customer-not-found", None),
        ("/v1/customers/c1?at=yesterday", "invalid-parameter", "at"),
        ("/v1/customers/c1?at=2026-03-01T12:00:00", "invalid-parameter", "at"),
        ("/v1/customers/c1?at=9999-03-01T12:00:00Z", "invalid-parameter", "at"),
        ("/v1/customers?limit=1001", "invalid-parameter", "limit"),
        ("/v1/customers?limit=0", "invalid-parameter", "limit"),
        ("/v1/customers?cursor=me", "invalid-parameter", "cursor"),
        ("/v1/customers?cursor=Ilx1MDAwMCI", "invalid-parameter", "cursor"),  # a NUL inside
        ("/v1/tasks?cursor=ImMxIg", "invalid-parameter", "cursor"),  # another list's
        ("/v1/customers?tier=Gold!", "invalid-parameter", "tier"),
        ("/v1/customers?class=growth", "invalid-parameter", "class"),
        ("/v1/customers?churn=perhaps", "invalid-parameter", "churn"),
        ("/v1/tasks?state=lost", "invalid-parameter", "state"),
        ("/v1/tasks?subject=%00", "invalid-parameter", "subject"),
        ("/v1/nothing", "not-found", None),
    ],
)
async def test_what_cannot_be_answered_is_a_problem_that_names_it(calm, path, slug, field):
    problem(await calm.get(path), slug, field=field)


@pytest.mark.parametrize(
    ("path", "body", "slug", "field"),
    [
        ("/v1/tasks/99/claim", b'{"by": "ann"}', "task-not-found", None),
        ("/v1/tasks/1/claim", b"", "malformed-body", None),
        ("/v1/tasks/1/claim", b"[" * 50_000, "invalid-field", None),
        ("/v1/tasks/1/claim", b" " * 70_000, "body-too-large", None),
        ("/v1/tasks/1/claim", b"{}", "invalid-field", None),
        ("/v1/tasks/1/claim", b'{"by": ""}', "invalid-field", "by"),
        ("/v1/tasks/1/claim", b'{"by": "a\\u0000b"}', "invalid-field", "by"),
        ("/v1/tasks/1/claim", b'{"by": "ann", "and": 1}', "invalid-field", None),
        ("/v1/tasks/1/complete", b'{"by": "ann"}', "invalid-field", None),
        ("/v1/tasks/one/claim", b'{"by": "ann"}', "invalid-parameter", "number"),
        ("/v1/tasks/99999999999999999999/claim", b'{"by": "ann"}', "invalid-parameter", "number"),
    ],
)
async def test_what_cannot_be_done_is_a_problem_that_names_it(calm, path, body, slug, field):
    problem(await calm.post(path, content=body), slug, field=field)


async def test_a_database_that_is_away_is_a_503_to_come_back_to(policy, clock, monkeypatch):
    monkeypatch.setattr(Consumer, "run", serving.idle)
    async with embedded_postgres() as server:
        await migrate(server.url)
        async with serving.client(serving.app(serving.settings(server.url), policy, clock)) as http:
            assert (await http.get("/v1/customers")).status_code == 200
            await server.kill()
            response = await http.get("/v1/customers")
            problem(response, "database-unavailable")
            assert response.headers["retry-after"] == "1"
            ready = (await http.get("/readyz")).json()
            assert {d["name"]: d["ok"] for d in ready["dependencies"]} == {"database": False, "kafka": False}
            await server.start()
            assert (await http.get("/v1/customers")).status_code == 200


async def test_the_openapi_document_is_valid_and_names_every_answer(calm):
    document = (await calm.get("/openapi.json")).json()
    validate(document)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            bodies = [c.get("schema") for r in operation["responses"].values() for c in r["content"].values()]
            assert bodies, path
            assert all(bodies), path
    assert "{subject}" in "".join(document["paths"])


async def test_requests_are_measured_by_route(calm):
    await calm.get("/v1/customers/c1")
    metrics = (await calm.get("/metrics")).text
    assert 'route="/v1/customers/{subject:path}"' in metrics
