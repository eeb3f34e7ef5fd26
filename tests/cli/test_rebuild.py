"""`tierline rebuild`: what is asked for, and when its policy is taken; scorers: tests/scorer/engine/test_rebuild.py."""

import asyncio
import json
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest
from confluent_kafka import Producer

from schemas.control import Activation
from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import encode_position
from services.scorer.domain.policy import parse
from services.scorer.domain.state import Position
from services.scorer.engine import progress
from services.scorer.sequence import first
from services.shared.control import Control
from services.shared.kafka import create_topics
from services.shared.settings import KafkaSettings
from tests import commandline
from tests.analyst.scripts import POLICY
from tests.fixtures.broker import Broker
from tests.waiting import until

BY_CHANNEL = POLICY.replace("features:", "features:\n  phoned: {count: interaction, where: \"channel == 'phone'\"}", 1)
START = Position(events_offset=0, sequence=0, policy="p", policy_digest=parse(POLICY).digest)


@pytest.fixture
async def settings(kafka: Broker, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2)
    await asyncio.to_thread(create_topics, settings)
    (tmp_path / "first.yaml").write_text(POLICY)
    (tmp_path / "by-channel.yaml").write_text(BY_CHANNEL)
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("TIERLINE_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("TIERLINE_PARTITIONS", "2")
    monkeypatch.setenv("TIERLINE_POLICY", str(tmp_path / "first.yaml"))
    monkeypatch.chdir(tmp_path)
    return settings


@pytest.fixture
def tierline(settings: KafkaSettings, monkeypatch, capsys):
    async def run(*args: object) -> tuple[int, str, str]:
        return await commandline.tierline(monkeypatch, capsys, *args)

    return run


async def started(settings: KafkaSettings) -> None:
    """As a scorer's first start leaves it."""
    await asyncio.to_thread(Control(settings).append, lambda known: [first(POLICY)])
    await reached(settings, 0, 0)


async def reached(settings: KafkaSettings, *rebuilt: int, behind: int = 0) -> None:
    """The partitions' positions, each with some state records in front of it and behind."""

    def write() -> None:
        producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
        for partition, number in enumerate(rebuilt):
            one = msgspec.structs.replace(START, rebuilt=number)
            keys = [b"c1", POSITION_KEY, *(b"c%d" % n for n in range(behind))]
            for key in keys:
                value = encode_position(one) if key == POSITION_KEY else b"a record"
                producer.produce(settings.topic("scorer-state"), value, key, partition)
        assert producer.flush(30) == 0

    await asyncio.to_thread(write)


async def test_before_a_first_start_there_is_nothing_to_rebuild(tierline):
    code, out, err = await tierline("rebuild", "--by", "li")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "start a scorer first" in err


async def test_nothing_is_asked_for_where_all_is_kept_or_asked_for_already(tierline, settings):
    await started(settings)
    code, out, _ = await tierline("rebuild", "--for", "first.yaml", "--by", "li")
    assert (code, "is kept already" in out) == (0, True)
    code, out, _ = await tierline("rebuild", "--for", "first.yaml", "--json")
    assert (code, json.loads(out)) == (0, {"number": None, "fields": [], "partitions": 2, "done": 2})
    for _ in range(2):
        code, out, err = await tierline("rebuild", "--for", "by-channel.yaml", "--by", "li")
        assert (code, out, err) == (0, "rebuild 1 for channel: done in 0 of 2 partitions; --wait waits for it\n", "")
    _, out, _ = await tierline("rebuild", "--by", "wang", "--json")
    assert json.loads(out) == {"number": 2, "fields": [], "partitions": 2, "done": 0}
    asked = (await asyncio.to_thread(Control(settings).records))[1:]
    assert [(one.sequence, one.fields, one.asked_by, one.policy) for one in asked] == [
        (1, ["channel"], "li", "sandbox"),
        (2, [], "wang", None),
    ]


async def test_a_policy_that_needs_what_a_rebuild_finds_is_taken_once_all_partitions_have_done_it(tierline, settings):
    await started(settings)
    activate = ("policy", "activate", "by-channel.yaml", "--by", "li")
    rebuild = ("rebuild", "--for", "by-channel.yaml", "--by", "li")
    code, _, err = await tierline(*activate)
    assert (code, err.count("\n"), "`tierline rebuild --for by-channel.yaml --wait` has them replayed" in err) == (
        2,
        1,
        True,
    )
    await tierline(*rebuild)
    await reached(settings, 1, 0)
    code, _, err = await tierline(*activate)
    assert (code, "which rebuild 1 has found in 1 of 2 partitions" in err) == (2, True)
    waiting = asyncio.create_task(tierline(*rebuild, "--wait", "--json"))
    await reached(settings, 1, 1)
    code, out, _ = await waiting
    assert (code, json.loads(out)["done"]) == (0, 2)
    code, out, err = await tierline(*activate)
    assert (code, err) == (0, "")
    records = await asyncio.to_thread(Control(settings).records)
    assert [(one.record, one.sequence) for one in records] == [("activation", 1), ("rebuild", 1), ("activation", 2)]
    assert all(isinstance(one, Activation) for one in await asyncio.to_thread(Control(settings).read))
    code, out, _ = await tierline("policy", "history", "--json")
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == [1, 2]
    code, _, err = await tierline("policy", "rollback", "--by", "li")
    assert (code, err) == (0, "")


async def test_who_waits_for_a_rebuild_that_nobody_does_is_told_so_once(tierline, settings, monkeypatch):
    monkeypatch.setattr("services.cli.rebuild._SILENT_S", 0.0)
    monkeypatch.setattr("services.cli.rebuild._PAUSE_S", 0.01)
    looked = Mock(side_effect=progress.positions)
    monkeypatch.setattr("services.cli.kept.positions", looked)
    await started(settings)
    waiting = asyncio.create_task(tierline("rebuild", "--by", "li", "--wait"))
    await until(lambda: looked.call_count > 3, within=60)
    await reached(settings, 1, 1)
    code, out, err = await waiting
    assert (code, out, err.count("\n")) == (0, "rebuild 1: done\n", 1)
    assert err.startswith("rebuild 1: done in 0 of 2 partitions; it waits for scorers")


async def test_a_position_is_found_however_much_stands_behind_it(settings):
    await reached(settings, 3)
    await reached(settings, 4, behind=2_500)
    found = await asyncio.to_thread(progress.positions, settings)
    assert {number: position.rebuilt for number, position in found.items()} == {0: 4}


async def test_a_policy_that_cannot_be_read_is_one_line(tierline):
    code, out, err = await tierline("rebuild", "--for", "none.yaml", "--by", "li")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "none.yaml cannot be read" in err
