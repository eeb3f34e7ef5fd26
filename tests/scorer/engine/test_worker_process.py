"""One worker as people run it: what it does, tells and measures, how it starts, ends and refuses to start."""

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from schemas.events import Event
from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import VERSION
from services.scorer.engine.failpoints import FailPoints
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.installation import Installation, ago, interaction, now, policy_text, purchase
from tests.scorer.engine.traffic import check, everything_taken
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)


async def test_a_worker_decides_in_time_reports_what_it_cannot_take_and_measures(install: Install) -> None:
    #  calls ●● now, window 2 s ──────────▼ inactive 2 s later, by the clock alone
    installation = await install(window="2s")
    [caller] = installation.customers(0, 1)
    buyer, stray = installation.customers(1, 2)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        at = now()
        order = purchase(buyer, 100)
        calls: list[Event] = [interaction(caller, at=at), interaction(caller, at=at)]
        await asyncio.to_thread(installation.send, [order, order, *calls])
        await asyncio.to_thread(installation.send_raw, b"no event", b"x", 0)
        await asyncio.to_thread(installation.send_raw, msgspec.json.encode(purchase(stray)), stray.encode(), 0)

        async def three() -> bool:
            return len(await asyncio.to_thread(installation.decisions)) >= 3

        await until(three, within=10, what="two in, one out")
        await everything_taken(installation)
        for name, least in {
            'events_total{outcome="taken"}': 3,
            'events_total{outcome="duplicate"}': 1,
            "dead_letters_total": 2,
            "decisions_total": 3,
            "transitions_total": 3,
            "batch_events_count": 2,
            'batch_seconds_sum{stage="commit"}': 0.001,
            'batch_seconds_sum{stage="decide"}': 0.0001,
            "timer_lateness_seconds_count": 1,
            "post_to_decision_seconds_count": 2,
            "customers": 2,
            "state_bytes": 50,
            "takeovers_total": 2,
            "partitions_owned": 2,
        }.items():
            assert await worker.metric("tierline_scorer_" + name) >= least, name
        assert await worker.metric("tierline_scorer_consumer_lag_records") == 0
        late_s = await worker.metric("tierline_scorer_timer_lateness_seconds_sum")
        assert late_s < 1
        assert await worker.stop() == 0
    decisions = {(d.subject, d.after): d for d in await asyncio.to_thread(installation.decisions)}
    assert set(decisions) == {(buyer, "silver"), (caller, True), (caller, False)}
    assert decisions[caller, False].effective_at == at + timedelta(seconds=2)
    assert not any(d.catching_up for d in decisions.values())
    letters = {letter.reason: letter for letter in await asyncio.to_thread(installation.dead_letters)}
    assert set(letters) == {"unreadable", "wrong_partition"}
    assert letters["unreadable"].event == b"no event"
    assert letters["wrong_partition"].subject == stray


async def test_faust_runs_it_too_and_goes_on_without_the_groups_offsets(install: Install) -> None:
    installation = await install()
    began = ago(5)
    events = [
        make(f"c{n % 20}", at=began + timedelta(milliseconds=n))
        for n in range(400)
        for make in [purchase if n % 3 else interaction]
    ]
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, events[:200])
        await everything_taken(installation)
        assert await worker.stop() == 0
    await asyncio.to_thread(forget_offsets, installation)
    await asyncio.to_thread(installation.send, events[200:])
    faust = ("-m", "faust", "-A", "services.scorer", "worker")
    async with await WorkerProcess.start(installation, argv=faust) as worker:
        await worker.ready()
        await everything_taken(installation)
        assert await worker.metric("tierline_scorer_events_total") == 200
        assert await worker.stop() == 0
    await asyncio.to_thread(check, installation, events)
    assert [line for line in worker.lines if "partition taken over" in line and '"backlog": 0' not in line]


def forget_offsets(installation: Installation) -> None:
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    for future in admin.delete_consumer_groups([installation.settings.topic("scorer")]).values():
        future.result(20)


async def ends_with(worker: WorkerProcess, exit_code: int, line: str) -> None:
    """It ends by itself, and the last thing it says to people is `line`."""
    await until(lambda: worker.process.exit_code is not None, within=40, what="ended")
    said = [one for one in worker.lines if one.startswith("scorer: ")]
    assert len(said) == 1, "\n".join(worker.lines[-20:])
    assert line in said[0]
    assert not any("Traceback" in one for one in worker.lines)
    assert worker.process.exit_code == exit_code


async def test_a_policy_file_changed_after_the_first_start_decides_nothing_and_a_line_says_so(install: Install) -> None:
    installation = await install(partitions=1)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        assert await worker.stop() == 0
    installation.policy_file.write_text(policy_text(silver=50))
    await asyncio.to_thread(installation.send, [purchase("c1", 60)])
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await everything_taken(installation)
        assert any("`tierline policy activate` makes it hold" in line for line in worker.lines)
    assert [d for d in await asyncio.to_thread(installation.decisions) if d.dimension == "tier"] == []


async def test_state_of_an_older_version_is_one_line_and_exit_code_2(install: Install) -> None:
    installation = await install(partitions=1)
    await asyncio.to_thread(installation.write, "scorer-state", b"\x01" + bytes(40), POSITION_KEY, 0)
    async with await WorkerProcess.start(installation) as worker:
        await ends_with(worker, 2, f"not a state record of version {VERSION}; its first bytes are b'\\x01")


@pytest.mark.parametrize("topic", ["control", "identities"])
async def test_what_somebody_else_wrote_to_a_topic_all_read_is_one_line_and_exit_code_2(
    install: Install, topic: str
) -> None:
    installation = await install(partitions=1)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.write, topic, b"hello", b"", 0)
        await ends_with(worker, 2, f"{installation.prefix}{topic}-0 offset")
    async with await WorkerProcess.start(installation) as worker:
        await ends_with(worker, 2, f"{installation.prefix}{topic}")


async def test_a_policy_that_cannot_be_used_is_one_line_and_exit_code_2(install: Install, tmp_path: Path) -> None:
    installation = await install(partitions=1)
    async with await WorkerProcess.start(installation, TIERLINE_POLICY=str(tmp_path / "none.yaml")) as worker:
        await ends_with(worker, 2, "none.yaml: the policy cannot be read: No such file or directory")
    installation.policy_file.write_text(policy_text().replace("spend >= 1_000", "spend >"))
    async with await WorkerProcess.start(installation) as worker:
        await ends_with(worker, 2, "policy.yaml:")


async def test_a_first_start_with_what_no_service_carries_out_yet_is_one_line_and_exit_code_2(install: Install) -> None:
    installation = await install(partitions=1)
    installation.policy_file.write_text(policy_text() + "holdout: 10%\n")
    async with await WorkerProcess.start(installation) as worker:
        await ends_with(worker, 2, ":1: checked, but not carried out yet: `holdout: 10%`; leave it out")


async def test_a_port_in_use_is_one_line_and_exit_code_2(install: Install) -> None:
    installation = await install(partitions=1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with await WorkerProcess.start(installation, TIERLINE_SCORER_PORT=port) as worker:
            await ends_with(worker, 2, f"127.0.0.1:{port} (Address already in use)")


async def test_topics_that_are_not_as_configured_are_one_line_and_exit_code_2(install: Install) -> None:
    installation = await install(partitions=1)
    async with await WorkerProcess.start(installation, TIERLINE_PARTITIONS="3") as worker:
        await ends_with(worker, 2, "partitions is 1, wanted 3")


def test_a_misspelt_fail_point_is_refused() -> None:
    with pytest.raises(ValueError, match="after_produce"):
        FailPoints("before_all:1")
    with pytest.raises(ValueError, match="'stopp' is not stop"):
        FailPoints("after_produce:1:stopp")
