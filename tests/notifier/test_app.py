"""The notifier as a whole: what it refuses to start on, how it ends."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from structlog import get_logger
from structlog.testing import capture_logs

from schemas import answers
from schemas.topics import DECISIONS, SCORER_STATE
from services.local.ports import free_port
from services.notifier import __main__, app
from services.notifier.app import build
from services.notifier.consumer import Consumer, OffsetsGone
from services.shared.control import Control
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable, create_topics
from services.shared.serving import CannotServe, Running
from services.shared.settings import NotifierSettings
from tests.notifier import serving
from tests.notifier.scribe import NOON, POLICY
from tests.waiting import until


async def refused(settings, policy):
    """The line and the exit code it ends with instead of serving."""
    with pytest.raises(CannotServe) as error:
        async with Running(serving.app(settings, policy, lambda: NOON)):
            pass
    assert "\n" not in str(error.value)
    return str(error.value), error.value.exit_code


async def test_a_database_without_tables_is_refused(database_url, policy):
    line, code = await refused(serving.settings(database_url), policy)
    assert "run `tierline setup`" in line
    assert code == 2


async def test_a_database_that_does_not_let_us_in_is_refused(database_url, policy):
    line, code = await refused(serving.settings(f"{database_url}_not"), policy)
    assert line.startswith("the database cannot be used: database")
    assert code == 2


async def test_data_of_another_policy_is_refused(migrated_url, policy, desk, monkeypatch):
    desk.scribe.position()
    await desk.deliver()
    await desk.rows("UPDATE progress SET policy = 'older', policy_digest = '0123456789abcdef' RETURNING 1")
    monkeypatch.setattr(Control, "__init__", lambda control, settings: None)
    monkeypatch.setattr(Control, "read", lambda control: [])
    line, code = await refused(serving.settings(migrated_url), policy)
    assert "made under policy older (0123456789abcdef)" in line
    assert code == 2


async def test_a_database_that_comes_late_is_waited_for(policy, monkeypatch):
    url = f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/none"
    monkeypatch.setattr("services.notifier.app.DATABASE_WITHIN_S", 0.0)
    line, code = await refused(serving.settings(url), policy)
    assert line.startswith("the database does not answer")
    assert code == 1


async def test_what_the_consumer_cannot_mend_ends_the_service_with_its_reason(migrated_url, policy, monkeypatch):
    async def fail(consumer):
        raise OffsetsGone("the topics are others")

    monkeypatch.setattr(Consumer, "run", fail)
    ended = asyncio.Event()
    app = build(serving.settings(migrated_url), policy, end=ended.set)
    async with Running(app):
        await asyncio.wait_for(ended.wait(), 10)
    assert (str(app.state.failure), app.state.failure.exit_code) == ("the topics are others", 2)


@pytest_asyncio.fixture(loop_scope="session")
async def environment(kafka, topic_prefix, migrated_url, tmp_path):
    (tmp_path / "corner_shop.yaml").write_text(POLICY)
    settings = NotifierSettings.model_construct(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=1
    )
    await asyncio.to_thread(create_topics, settings, (SCORER_STATE, DECISIONS))
    return {
        **os.environ,
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "TIERLINE_TOPIC_PREFIX": topic_prefix,
        "TIERLINE_PARTITIONS": "1",
        "DATABASE_URL": migrated_url,
        "TIERLINE_POLICY": str(tmp_path / "corner_shop.yaml"),
        "TIERLINE_NOTIFIER_PORT": str(free_port()),
        "TIERLINE_LOG_FORMAT": "text",
    }


class Process:
    """`python -m services.notifier`"""

    def __init__(self, environment):
        self.environment = environment
        self.url = f"http://127.0.0.1:{environment['TIERLINE_NOTIFIER_PORT']}"

    async def __aenter__(self):
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.notifier",
            env=self.environment,
            cwd=Path(__file__).parents[2],
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_):
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    async def ended(self):
        """(exit code, lines on standard error)"""
        _, lines = await asyncio.wait_for(self._process.communicate(), 30)
        return self._process.returncode, lines.decode().splitlines()


async def test_it_serves_what_the_scorer_says_and_ends_in_order_on_sigterm(environment, scribe):
    scribe.move("c1", "tier", "gold")
    scribe.position(events_offset=9)
    async with Process(environment) as notifier, httpx.AsyncClient(base_url=notifier.url) as http:

        async def ready():
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, within=40, what="it is ready")
        async with http.stream("GET", "/v1/stream", timeout=30) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            await publish(environment, scribe)
            seen = [line async for line in until_event(lines)]
            assert "id: 1" in seen

            async def told():
                answer = msgspec.json.decode((await http.get("/v1/progress")).content, type=answers.Progress)
                return [(p.events_offset, p.complete) for p in answer.partitions] == [(9, True)]

            await until(told, what="the progress is told")
            notifier.terminate()
            assert [line async for line in lines if line.startswith("id")] == [], "the stream has ended"
        code, lines = await notifier.ended()
    assert code == 0
    assert not any("Traceback" in line for line in lines)


async def test_a_policy_that_is_not_there_is_one_line_and_exit_code_2():
    async with Process({**os.environ, "TIERLINE_POLICY": "/nowhere/policy.yaml", "TIERLINE_NOTIFIER_PORT": "0"}) as it:
        code, lines = await it.ended()
    assert code == 2
    assert len(lines) == 1
    assert "/nowhere/policy.yaml: the policy cannot be read: No such file" in lines[0]


def test_a_policy_of_which_no_service_carries_a_part_out_yet_is_one_line_and_exit_code_2(monkeypatch, tmp_path, capsys):
    (tmp_path / "policy.yaml").write_text(POLICY + "holdout: 10%\n")
    monkeypatch.setenv("TIERLINE_POLICY", str(tmp_path / "policy.yaml"))
    assert __main__.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "checked, but not carried out yet: `holdout: 10%`; leave it out" in line


def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_2(monkeypatch, capsys):
    monkeypatch.setenv("TIERLINE_NOTIFIER_PORT", "many")
    assert __main__.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "TIERLINE_NOTIFIER_PORT='many'" in line


async def publish(environment, scribe):
    producer = AIOKafkaProducer(bootstrap_servers=environment["KAFKA_BOOTSTRAP"])
    await producer.start()
    for (topic, partition), log in scribe.logs.items():
        for record in log:
            name = environment["TIERLINE_TOPIC_PREFIX"] + topic
            await producer.send_and_wait(name, record.value, key=record.key, partition=partition)
    await producer.stop()


async def until_event(lines):
    """Lines up to the end of the first event."""
    async for line in lines:
        yield line
        if line.startswith("data"):
            return


@pytest.mark.parametrize(
    "error", [KafkaUnavailable("Kafka is away"), ForeignRecord("control-0 offset 3 cannot be read")]
)
async def test_a_policy_that_cannot_be_read_as_it_comes_is_a_warning(monkeypatch, error):
    class Refusing:
        async def learn(self):
            raise error

    told = {}
    monkeypatch.setattr(app, "Following", lambda *_, **calls: told.update(calls))
    monkeypatch.setattr(app, "log", get_logger())  # one used before goes by what was configured then
    app._following_control(NotifierSettings(), Refusing())
    with capture_logs() as said:
        told["on_record"](None)
        told["on_end"]()
        await until(lambda: [line["error"] for line in said] == [str(error)])
