"""One batch into the database, in one transaction, against a real PostgreSQL."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from schemas.decisions import Decision
from services.notifier.deciding import OtherPolicy
from services.notifier.domain.tasks import claim
from services.notifier.intake import Unreadable
from services.notifier.store import customers, tasks
from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from services.notifier.store.offsets import OffsetConflict
from services.scorer.domain.packing import encode, encode_alias
from services.scorer.domain.state import Customer
from tests.fixtures.database import fresh_database
from tests.notifier.desk import Desk, contents
from tests.notifier.scribe import CHANGELOG, DECISIONS, NOON, POLICY
from tests.waiting import until


async def test_what_is_in_the_database_does_not_depend_on_how_it_was_cut_into_batches(desk, policy, postgres):
    desk.scribe.varied_life()
    await desk.deliver()
    at_once = await contents(desk)
    assert [len(at_once[name]) for name in ("customers", "decisions", "alerts")] == [6, 24, 3]
    assert at_once["tasks"] != []
    async with fresh_database(postgres) as url:
        await migrate(url)
        other = Desk(Database(url), policy, desk.scribe)
        await other.deliver_singly()
        singly = await contents(other)
        await other.database.close()
    assert singly == at_once


async def test_of_a_customer_the_newest_state_of_the_batch_is_kept(desk):
    desk.scribe.move("c1", "tier", "silver")
    desk.scribe.move("c1", "active", True, at=NOON + timedelta(days=1))
    newest = desk.scribe.state("c1")
    await desk.deliver()
    (row,) = await desk.rows("SELECT state, tier, tier_since, segments, churn, changed_at FROM customers")
    assert row == (newest, "silver", NOON, ["active"], False, NOON + timedelta(days=1))


async def test_a_tombstone_removes_the_customer(desk):
    desk.scribe.state("c1")
    desk.scribe.state("c2")
    await desk.deliver()
    desk.scribe.forget("c1")
    await desk.deliver()
    assert await desk.rows("SELECT subject FROM customers") == [("c2",)]


async def test_of_one_who_was_erased_nothing_is_known(desk):
    desk.scribe.purchase("c1", 150)
    desk.scribe.purchase("c2", 150)
    await desk.deliver()
    nothing = encode(Customer.new(desk.scribe.policies))
    desk.scribe.append(CHANGELOG, 0, b"c1", nothing)
    desk.scribe.append(CHANGELOG, 0, b"never-seen", nothing)
    await desk.deliver()
    assert await desk.rows("SELECT subject FROM customers") == [("c2",)]


async def test_a_name_that_was_merged_away_leads_to_whom_it_stands_for_until_they_are_parted(desk):
    desk.scribe.state("old")
    desk.scribe.state("new")
    await desk.deliver()
    desk.scribe.append(CHANGELOG, 0, b"old", encode_alias("new"))
    await desk.deliver()
    assert await desk.rows("SELECT subject FROM customers") == [("new",)]
    async with desk.database.transaction() as connection:
        assert await customers.survivor(connection, "old") == "new"
    desk.scribe.state("old")
    await desk.deliver()
    assert await desk.rows("SELECT subject FROM customers ORDER BY 1") == [("new",), ("old",)]
    async with desk.database.transaction() as connection:
        assert await customers.survivor(connection, "old") == "old"


async def test_a_repeated_revision_changes_nothing(desk):
    record = desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    before = await contents(desk)
    desk.scribe.repeat(record)
    desk.scribe.repeat(msgspec.structs.replace(record, after="basic", sequence=2))
    applied = await desk.deliver()
    assert applied.turns == []
    after = await contents(desk)
    assert {**after, "consumed": None, "progress": None} == {**before, "consumed": None, "progress": None}
    assert await desk.rows("SELECT position FROM feed") == [(1,)]


async def test_announced_transitions_take_positions_in_order_and_the_others_none(desk):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.move("c1", "tier", "gold", cause="late_event")
    desk.scribe.move("c2", "tier", "silver")
    await desk.deliver()
    desk.scribe.move("c1", "tier", "basic")
    await desk.deliver()
    assert await desk.rows("SELECT subject, position FROM decisions ORDER BY sequence") == [
        ("c1", 1),
        ("c1", None),
        ("c2", 2),
        ("c1", 3),
    ]


async def test_a_batch_whose_offset_another_instance_moved_leaves_nothing_behind(desk):
    desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    before = await contents(desk)
    desk.scribe.move("c1", "churn", True)
    desk.scribe.move("c2", "tier", "gold")
    late = desk.scribe.batch({(CHANGELOG, 0): 1, (DECISIONS, 0): 0})  # it thinks one topic is where it no longer is
    with pytest.raises(OffsetConflict):
        async with desk.database.transaction() as connection:
            await desk.applier.apply(connection, late)
    assert await contents(desk) == before


async def test_whatever_fails_after_rows_were_copied_takes_them_back(desk, monkeypatch):
    desk.scribe.move("c1", "tier", "gold")

    async def fail(*_):
        raise RuntimeError("struck by lightning")

    monkeypatch.setattr("services.notifier.store.tasks.add", fail)
    with pytest.raises(RuntimeError, match="lightning"):
        await desk.deliver()
    assert await desk.rows("SELECT count(*) FROM decisions") == [(0,)]
    assert await desk.rows("SELECT position FROM feed") == [(0,)]
    assert await desk.rows("SELECT sum(next_offset) FROM consumed") == [(0,)]


async def test_a_task_opens_and_closes_by_itself_in_the_database(desk):
    desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    assert await desk.rows("SELECT title, state FROM tasks") == [("Say thank you", "open")]
    desk.scribe.move("c1", "tier", "silver", at=NOON + timedelta(days=1))
    await desk.deliver()
    assert await desk.rows("SELECT state, reason FROM tasks") == [("closed", "tier went from gold to silver (event)")]


async def test_decisions_of_a_catch_up_hold_their_playbooks_until_the_marker(desk):
    #  catching up                          marker
    #  gold ──── silver ──── gold ──────────●
    #                        c1: still gold: one task, not two
    #  gold ──── silver ────────────────────●  c2: none
    for subject, *tiers in (("c1", "gold", "silver", "gold"), ("c2", "gold", "silver")):
        for tier in tiers:
            desk.scribe.move(subject, "tier", tier, catching_up=True)
    desk.scribe.position(caught_up=False)
    await desk.deliver()
    assert await desk.rows("SELECT count(*) FROM tasks") == [(0,)]
    desk.scribe.caught_up()
    await desk.deliver()
    assert await desk.rows("SELECT subject, revision, state FROM tasks") == [("c1", 3, "open")]
    assert await desk.rows("SELECT * FROM held") == []


async def test_what_a_catch_up_ends_closes_tasks_at_the_marker(desk):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.move("c2", "tier", "gold")
    desk.scribe.position()
    await desk.deliver()
    desk.scribe.move("c1", "tier", "silver", catching_up=True)
    desk.scribe.move("c2", "tier", "silver", catching_up=True)
    desk.scribe.move("c2", "tier", "gold", catching_up=True)
    desk.scribe.position()
    await desk.deliver()
    assert await desk.rows("SELECT DISTINCT state FROM tasks") == [("open",)]
    desk.scribe.caught_up()
    await desk.deliver()
    assert await desk.rows("SELECT subject, state FROM tasks ORDER BY id") == [("c1", "closed"), ("c2", "open")]


async def test_markers_free_their_own_partition_only(desk):
    desk.scribe.partition_of["c2"] = 1
    for subject in ("c1", "c2"):
        desk.scribe.move(subject, "tier", "gold", catching_up=True)
    desk.scribe.position(0)
    desk.scribe.position(1)
    desk.scribe.caught_up(1)
    await desk.deliver()
    assert await desk.rows("SELECT subject FROM tasks") == [("c2",)]


async def test_a_playbook_that_asks_for_the_state_waits_for_it(desk):
    desk.scribe.purchase("c1", 10)
    desk.scribe.purchase("c1", 10, NOON + timedelta(days=100))  # active again, and it is the second order
    changelog = desk.scribe.logs.pop((CHANGELOG, 0))
    await desk.deliver()
    assert await desk.rows("SELECT count(*) FROM tasks") == [(0,)]
    assert await desk.rows("SELECT DISTINCT dimension FROM held") == [("active",)]
    desk.scribe.logs[CHANGELOG, 0] = changelog
    await desk.deliver()
    assert await desk.rows("SELECT title, opened_at FROM tasks WHERE state = 'open'") == [
        ("Send the catalogue", NOON + timedelta(days=100))
    ]
    assert await desk.rows("SELECT count(*) FROM held") == [(0,)]


async def test_a_playbook_whose_condition_is_not_true_opens_nothing(desk):
    desk.scribe.purchase("c1", 10)
    await desk.deliver()
    assert await desk.rows("SELECT count(*) FROM tasks") == [(0,)]
    assert await desk.rows("SELECT segments FROM customers") == [(["active"],)]


async def test_what_was_held_is_released_a_bounded_number_at_a_time(desk, monkeypatch):
    monkeypatch.setattr("services.notifier.apply.RELEASED_AT_ONCE", 2)
    for number in range(5):
        desk.scribe.move(f"c{number}", "tier", "gold", catching_up=True)
    desk.scribe.position()
    desk.scribe.caught_up()
    assert (await desk.deliver()).more
    releases = []
    while not releases or releases[-1]:
        async with desk.database.transaction() as connection:
            releases.append(await desk.applier.release(connection, [0]))
    assert releases == [True, False]
    assert await desk.rows("SELECT count(*) FROM tasks") == [(5,)]


async def test_a_claim_and_a_closing_batch_wait_for_each_other(desk):
    """Whichever commits first, the task is never both claimed and closed."""
    desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    desk.scribe.move("c1", "tier", "silver")
    async with desk.database.transaction() as connection:
        task = await tasks.one(connection, 1)
        claim(task, "ann", NOON)
        await tasks.save(connection, task)
        closing = asyncio.create_task(desk.deliver())
        await until(lambda: desk.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), what="it waits for the lock")
    await closing
    assert await desk.rows("SELECT state, flagged FROM tasks") == [("claimed", True)]


@pytest.mark.parametrize("cause", ["late_event", "refund", "policy", "manual", "merge"])
async def test_alerts_are_kept_as_episodes(desk, cause):
    desk.scribe.move("c1", "churn", True, cause="time")
    await desk.deliver()
    assert await desk.rows("SELECT since, ending FROM alerts") == [(NOON, None)]
    desk.scribe.move("c1", "churn", False, at=NOON + timedelta(days=3))
    desk.scribe.move("c1", "churn", True, at=NOON + timedelta(days=90), cause="time")
    await desk.deliver()
    # The path is another one: neither the first raise nor its end was ever so.
    desk.scribe.move("c1", "churn", True, at=NOON, path=[(NOON + timedelta(days=90), True)], cause=cause)
    await desk.deliver()
    assert await desk.rows("SELECT since, ending FROM alerts ORDER BY id") == [
        (NOON, "retracted"),
        (NOON + timedelta(days=90), None),
    ]


async def test_progress_tells_what_both_topics_say(desk):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.position(events_offset=7)
    decisions = desk.scribe.logs.pop((DECISIONS, 0))
    await desk.deliver()
    query = "SELECT events_offset, state_sequence, sequence FROM progress"
    assert await desk.rows(query) == [(7, 1, 0)]
    desk.scribe.logs[DECISIONS, 0] = decisions
    await desk.deliver()
    assert await desk.rows(query) == [(7, 1, 1)]


async def test_a_policy_activated_meanwhile_is_read_when_a_record_names_it(desk):
    desk.scribe.purchase("c1", 150)
    await desk.deliver()
    desk.scribe.activate(POLICY.replace('spend >= 100"', 'spend >= 200"'), at=NOON + timedelta(days=1))
    desk.scribe.purchase("c2", 150, NOON + timedelta(days=2))
    await desk.deliver()
    assert await desk.rows("SELECT subject, tier FROM customers ORDER BY 1") == [("c1", "silver"), ("c2", "basic")]


async def test_the_playbooks_that_run_are_those_of_the_policy_that_decided(desk):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.move("c2", "tier", "gold")
    desk.scribe.activate(POLICY.replace("Say thank you", "Send flowers"), at=NOON + timedelta(days=1))
    desk.scribe.move("c3", "tier", "gold", at=NOON + timedelta(days=2), decided_at=NOON + timedelta(days=2))
    desk.scribe.purchase("c4", 10, NOON + timedelta(days=2))  # its state names the other policy
    await desk.deliver()
    assert await desk.rows("SELECT subject, title FROM tasks ORDER BY 1") == [
        ("c1", "Say thank you"),
        ("c2", "Say thank you"),
        ("c3", "Send flowers"),
    ]


async def test_what_a_switch_without_playbooks_moves_opens_no_task_and_still_closes_those_whose_reason_has_gone(desk):
    desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    desk.scribe.activate(POLICY.replace("spend >= 1_000", "spend >= 2_000"), playbooks=False)
    later = {"decided_at": NOON + timedelta(days=2)}
    desk.scribe.move("c1", "tier", "basic", cause="policy", **later)
    desk.scribe.move("c2", "tier", "gold", cause="policy", **later)
    desk.scribe.move("c3", "tier", "gold", cause="event", **later)
    await desk.deliver()
    assert await desk.rows("SELECT subject, title, state FROM tasks ORDER BY 1") == [
        ("c1", "Say thank you", "closed"),
        ("c3", "Say thank you", "open"),
    ]


async def test_state_of_another_policy_is_refused_in_one_line(desk):
    desk.scribe.state("c1")
    desk.scribe.position(policy="older", policy_digest="0123456789abcdef")
    with pytest.raises(OtherPolicy) as refused:
        await desk.deliver()
    line = str(refused.value)
    assert "\n" not in line
    assert all(part in line for part in ("corner_shop.yaml", "older (0123456789abcdef)", "not on topic control"))
    assert await desk.rows("SELECT count(*) FROM customers") == [(0,)]


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        (DECISIONS, b"c1", b"{"),
        (DECISIONS, b"c1", None),
        (CHANGELOG, b"c1", b"\x07nonsense"),
        (CHANGELOG, b"\xff", b""),
    ],
)
async def test_what_cannot_be_read_is_named_and_nothing_is_kept(desk, topic, key, value):
    desk.scribe.state("c0")
    desk.scribe.append(topic, 3, key, value)
    with pytest.raises(Unreadable, match="partition 3"):
        await desk.deliver()
    assert await desk.rows("SELECT count(*) FROM customers") == [(0,)]


async def test_the_record_is_kept_as_it_was_written(desk):
    told = desk.scribe.move("c1", "tier", "gold")
    await desk.deliver()
    ((record,),) = await desk.rows("SELECT record FROM decisions")
    assert msgspec.json.decode(record, type=Decision) == told


async def test_dashes_and_dots_of_any_language_are_fine_in_a_subject(desk):
    desk.scribe.move('шоп/№ 7, 東京\'s "best" \\ {x}', "tier", "gold")
    await desk.deliver()
    await desk.deliver()
    async with desk.database.transaction() as connection:
        assert await connection.scalar(text("SELECT subject FROM tasks")) == 'шоп/№ 7, 東京\'s "best" \\ {x}'
