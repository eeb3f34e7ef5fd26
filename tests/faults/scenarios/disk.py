"""The broker's disk full. Kafka cannot write on, and ends itself; with room again, it is started, and all go on."""

import asyncio
import contextlib
import os
import resource
import subprocess
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.local.kafka import EmbeddedKafka
from tests.faults.scenarios.broker import BrokerDown
from tests.faults.stage import Stage
from tests.fixtures.places import open_folder

_RATE = 1_000
_SIZE = 192 * 1024 * 1024


class FullDisk(BrokerDown):
    """The time to recover is counted from the instant there is room again."""

    times = 2

    @abstractmethod
    def full(self, broker: EmbeddedKafka) -> AbstractAsyncContextManager[None]:
        """Inside it the broker can write nothing more."""

    async def play(self, stage: Stage) -> None:
        workers = [await stage.start(), await stage.start()]
        async with stage.upstream.flowing(_RATE):
            for _ in range(self.times):
                await stage.further()
                async with self.going_down(stage), self.full(stage.broker), asyncio.timeout(60):
                    code = await stage.broker.wait()
                assert len(stage.running) == len(workers), "a worker has given up"
                stage.facts["broker's exit code"] = code
                stage.strike()
                await stage.broker.start()
                await stage.further()
        stage.facts["failed transactions"] = await stage.failed()


class DiskFull(FullDisk):
    """A small file system of its own (tmpfs, which only root can mount), filled to the last byte by another file."""

    name = "disk-full"
    about = "no byte left on the broker's file system (ENOSPC); room again, and the broker started"

    def unplayable(self) -> str | None:
        if os.geteuid() != 0:
            return "only root can mount a small file system"
        with open_folder() as folder, contextlib.suppress(OSError, subprocess.CalledProcessError), _mounted(folder):
            return None
        return "a small file system cannot be mounted here"

    def broker(self) -> AbstractAsyncContextManager[EmbeddedKafka]:
        return _broker_on_its_own_disk()

    @contextlib.asynccontextmanager
    async def full(self, broker: EmbeddedKafka) -> AsyncIterator[None]:
        filler = broker.data_dir.parent / "filler"
        filling = asyncio.create_task(asyncio.to_thread(_fill, filler, broker))
        try:
            yield
        finally:
            await filling
            filler.unlink()


class FilesLimited(FullDisk):
    """Needs no root: no file of the broker may grow any more (RLIMIT_FSIZE, EFBIG), set on the running process."""

    name = "disk-limit"
    about = "no file of the broker may grow any more (EFBIG); the limit lifted, and the broker started"

    @contextlib.asynccontextmanager
    async def full(self, broker: EmbeddedKafka) -> AsyncIterator[None]:
        _, most = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (1, most))
        yield


def _fill(filler: Path, broker: EmbeddedKafka) -> None:
    """Write until nothing goes in any more, and go on until the broker has ended: it may still delete something."""
    block = bytes(1024 * 1024)
    with filler.open("ab", buffering=0) as file:
        while _runs(broker.pid):
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2] or b"\0"
                time.sleep(0.01 if len(block) == 1 else 0)


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@contextlib.asynccontextmanager
async def _broker_on_its_own_disk() -> AsyncIterator[EmbeddedKafka]:
    with open_folder() as folder, _mounted(folder / "disk") as disk:
        kafka = EmbeddedKafka(disk / "kafka")
        try:
            await kafka.start()
            yield kafka
        finally:
            await kafka.stop()


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[Path]:
    """A tmpfs of _SIZE bytes. OSError or CalledProcessError if it cannot be had."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)
