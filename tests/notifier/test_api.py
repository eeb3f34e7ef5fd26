"""The query API over a real database: tasks, alerts, progress, the summary, and what cannot be answered."""

from datetime import timedelta

import msgspec
import pytest
import pytest_asyncio
from openapi_spec_validator import validate

from schemas import answers
from services.notifier.consumer import Consumer
from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from tests.fixtures.database import embedded_postgres
from tests.notifier import serving
from tests.notifier.asking import Clock, get, problem, walk
from tests.notifier.desk import Desk
from tests.notifier.scribe import NOON, Scribe


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
        ("/v1/customers/c1?at=1969-12-31T23:59:59Z", "invalid-parameter", "at"),
        ("/v1/customers/c1?at=6000-01-01T00:00:00Z", "invalid-parameter", "at"),
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
        ("/v1/tasks/1/claim", b'{"by": "\xff"}', "malformed-body", None),
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
