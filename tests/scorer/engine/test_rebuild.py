"""`tierline rebuild` on a broker: workers are killed in the middle, customers are merged, events come meanwhile."""

import asyncio
import os
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.events import Event, Interaction, InteractionData
from services.scorer.domain.entries import read_profile
from services.scorer.sequence import Book
from services.shared.control import Control
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.families import merge
from tests.scorer.engine.installation import Installation, ago, now, policy_text
from tests.scorer.engine.test_identities import revisions_are_gapless
from tests.scorer.engine.traffic import everything_taken
from tests.scorer.engine.workers import ROOT, WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)
BY_PHONE = policy_text().replace("window: 30d}", "window: 30d, where: \"channel == 'phone'\"}")


def call(subject: str, channel: str, *, at: datetime | None = None) -> Event:
    at = at or now()
    call.count += 1  # type: ignore[attr-defined]
    return Interaction(
        id=f"i{call.count}",  # type: ignore[attr-defined]
        source="test",
        subject=subject,
        time=at,
        receivedtime=now(),
        data=InteractionData(channel=channel),
    )


call.count = 0  # type: ignore[attr-defined]


async def tierline(of: Installation, *args: object) -> tuple[int, str]:
    """A command of an analyst's: its exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli.main",
        *map(str, args),
        env={**os.environ, **of.env, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, said.decode()


def channels(of: Installation) -> dict[str, list[str | None]]:
    """By customer the channels kept of their calls, sorted."""
    of.policies = Book(Control(of.settings).records()).policies
    found: dict[str, list[str | None]] = defaultdict(list)
    for subject, customer in of.state()[0].items():
        for entry in (*customer.ledger.entries, *(w.entry for w in customer.waiting)):
            found[subject].append(dict(read_profile(entry.profile).fields).get("channel"))
    return {subject: sorted(kept, key=str) for subject, kept in found.items()}


def active(of: Installation) -> set[str]:
    """Who was said last to be active."""
    said = {d.subject: d.after for d in of.decisions() if d.dimension == "active"}
    return {subject for subject, after in said.items() if after is True}


def called(names: list[str], merged: list[str]) -> dict[str, list[str | None]]:
    """The channels of all calls of the test below, by customer."""
    wanted: dict[str, list[str | None]] = {
        name: ["phone", "phone" if n % 2 else "mail"] for n, name in enumerate(names)
    }
    for name in names[:50]:
        wanted[name] += ["mail"]
    for name in names[:500]:
        wanted[name] += ["phone"]
    for into in merged:
        wanted[into] += ["phone", "mail", "phone"]
    return {name: sorted(of, key=str) for name, of in wanted.items()}


async def test_a_field_no_policy_named_is_found_again_and_nothing_is_lost_or_doubled_whoever_is_killed(
    install: Install, tmp_path: Path
) -> None:
    #  calls     phone + mail, or twice phone, with a late name    phone ...          phone ...
    #  rebuild   ─────────────────────────────────────────▮ replay, switch ╳ replay, switch ▮
    #  policy    every call counts ────────────────────────────────────────────────────────▮ phone only
    installation = await install()
    file = tmp_path / "by-phone.yaml"
    file.write_text(BY_PHONE)
    names = [f"c{n}" for n in range(2000)]
    olds = [f"old{n}" for n in range(30)]
    pairs = list(zip(olds, names[: len(olds)], strict=True))
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        first = [call(name, "phone", at=ago(90)) for name in (*names, *olds)]
        first += [call(name, "phone" if n % 2 else "mail", at=ago(60)) for n, name in enumerate(names)]
        await asyncio.to_thread(installation.send, first)
        await everything_taken(installation)
        await asyncio.to_thread(merge, installation, pairs)
        code, said = await tierline(installation, "policy", "activate", file, "--by", "li")
        assert (code, said.count("\n")) == (2, 1), said
        assert f"channel, which is not kept of the events so far: `tierline rebuild --for {file} --wait`" in said
        assert await worker.stop() == 0
    async with await WorkerProcess.start(installation, TIERLINE_FAILPOINT="after_commit:10") as worker:
        await worker.ready()
        code, said = await tierline(installation, "rebuild", "--for", file, "--by", "li")
        assert code == 0, said
        assert said.startswith("rebuild 1 for channel: done in ")
        await asyncio.to_thread(installation.send, [call(name, "mail") for name in (*names[:50], *olds)])
        await worker.killed()
    kept = await asyncio.to_thread(channels, installation)
    assert 0 < sum("phone" in of for of in kept.values()) < len(names), "it was not killed in the middle of the switch"
    audited, said = await tierline(installation, "audit")
    assert audited == 0, said
    async with await WorkerProcess.start(installation) as worker:
        waiting = asyncio.create_task(tierline(installation, "rebuild", "--for", file, "--wait"))
        live = [call(name, "phone") for name in (*names[:500], *olds)]
        for begin in range(0, len(live), 20):
            await asyncio.to_thread(installation.send, live[begin : begin + 20])
        assert await waiting == (0, "rebuild 1 for channel: done\n")
        await everything_taken(installation)
        wanted = called(names, [into for _, into in pairs])
        await until(lambda: asyncio.to_thread(lambda: channels(installation) == wanted), within=30)
        causes = {d.cause for d in await asyncio.to_thread(installation.decisions)}
        assert "rebuild" not in causes, "no policy has looked at the channel yet"
        code, said = await tierline(installation, "policy", "activate", file, "--by", "li", "--most", 100)
        assert code == 0, said
        phoned = {name for name, of in wanted.items() if of.count("phone") >= 2}
        await until(lambda: asyncio.to_thread(lambda: active(installation) == phoned), within=30)
        partitions = (await worker.partitions()).values()
        assert {one["rebuilt"] for one in partitions} == {1}
        assert await worker.metric("tierline_scorer_rebuild_remaining_records") == 0
        assert await worker.stop() == 0
    audited, said = await tierline(installation, "audit")
    assert audited == 0, said
    await asyncio.to_thread(revisions_are_gapless, installation)
    assert await asyncio.to_thread(installation.dead_letters) == []


async def test_a_rebuild_is_refused_once_the_topic_has_lost_its_beginning(install: Install, tmp_path: Path) -> None:
    installation = await install()
    file = tmp_path / "by-phone.yaml"
    file.write_text(BY_PHONE)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, [call(f"c{n}", "phone", at=ago(60)) for n in range(40)])
        await everything_taken(installation)
        assert await worker.stop() == 0
    assert (await tierline(installation, "rebuild", "--by", "li"))[0] == 0, "as long as it is whole"
    place = TopicPartition(installation.settings.topic("events"), 1, 5)
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    await asyncio.to_thread(lambda: admin.delete_records([place])[place].result(20))
    code, said = await tierline(installation, "rebuild", "--for", file, "--by", "li")
    assert (code, said.count("\n")) == (2, 1), said
    assert "events-1 begins at offset 5" in said
    assert len(await asyncio.to_thread(Control(installation.settings).records)) == 2, "it was asked for all the same"
    code, said = await tierline(installation, "policy", "activate", file, "--by", "li")
    assert code == 2
    # What was asked for before is not done by halves either.
    before = await asyncio.to_thread(channels, installation)
    async with await WorkerProcess.start(installation) as worker:

        async def refused() -> bool:
            partitions = await worker.partitions()
            return [one.get("rebuild", "")[:9] for one in partitions.values()] == ["none", "1 refused"]

        await until(refused, within=60)
        assert await worker.metric("tierline_scorer_rebuild_refused") == 1
        assert (await tierline(installation, "rebuild", "--wait", "--by", "li"))[0] == 2
        assert await worker.stop() == 0
    assert await asyncio.to_thread(channels, installation) == before
