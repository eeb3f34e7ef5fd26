"""The jars of Apache Kafka: only what is pinned is kept."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.local import jars
from services.local.errors import CannotStart
from services.local.jars import Jar, kafka_jars, pinned


class Repository(ThreadingHTTPServer):
    """A folder served by HTTP; the first `failures` requests are answered 503. asked: paths in order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.folder = folder
        self.failures = 0
        self.asked: list[str] = []

    def jar(self, name: str, content: bytes) -> Jar:
        (self.folder / name).write_bytes(content)
        return Jar(hashlib.sha256(content).hexdigest(), len(content), f"{name}")


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Repository)
        self.server.asked.append(self.path)
        if self.server.failures > 0:
            self.server.failures -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    (tmp_path / "repository").mkdir()
    with Repository(tmp_path / "repository") as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        monkeypatch.setenv(jars.REPOSITORY_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.shutdown()
        thread.join()


async def test_what_is_missing_is_fetched_once_and_reported(repository: Repository, tmp_path: Path) -> None:
    wanted = [repository.jar(f"{number}.jar", bytes(1000 * number)) for number in range(1, 14)]
    said: list[str] = []
    paths = await kafka_jars(folder=tmp_path / "cache", jars=wanted, report=said.append)
    assert [path.stat().st_size for path in paths] == [jar.size for jar in wanted]
    assert said[-1] == "fetching Apache Kafka: 13 of 13 jars, 0.1 of 0.1 MB"
    assert len(said) == 4  # the beginning, every six jars, the end

    said.clear()
    await kafka_jars(folder=tmp_path / "cache", jars=wanted, report=said.append)
    assert len(repository.asked) == 13
    assert said == []


async def test_a_wrong_checksum_is_an_error_and_keeps_nothing(repository: Repository, tmp_path: Path) -> None:
    good = repository.jar("good.jar", b"good")
    (repository.folder / "good.jar").write_bytes(b"evil")
    with pytest.raises(CannotStart, match=r"wrong checksum: http.*/good\.jar") as refused:
        await kafka_jars(folder=tmp_path / "cache", jars=[good])
    assert "\n" not in str(refused.value)
    assert len(repository.asked) == 1  # trying again would not help
    assert list((tmp_path / "cache").iterdir()) == []


async def test_a_jar_cut_short_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    jar = repository.jar("a.jar", b"whole")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a.jar").write_bytes(b"who")
    [path] = await kafka_jars(folder=tmp_path / "cache", jars=[jar])
    assert path.read_bytes() == b"whole"


async def test_a_passing_error_is_tried_again(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "FIRST_PAUSE", 0.01)
    repository.failures = 3
    jar = repository.jar("a.jar", b"a")
    assert len(await kafka_jars(folder=tmp_path / "cache", jars=[jar])) == 1
    assert len(repository.asked) == 4


async def test_a_repository_that_is_away_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv(jars.REPOSITORY_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(CannotStart, match=r"cannot fetch Apache Kafka: .*TIERLINE_MAVEN_REPOSITORY") as refused:
        await kafka_jars(folder=tmp_path / "cache", jars=[Jar("0" * 64, 1, "a.jar")])
    assert "\n" not in str(refused.value)


async def test_two_at_once_do_not_disturb_each_other(repository: Repository, tmp_path: Path) -> None:
    wanted = [repository.jar(f"{number}.jar", bytes(50_000)) for number in range(12)]
    fetches = (kafka_jars(folder=tmp_path / "cache", jars=wanted) for _ in range(2))
    for paths in await asyncio.gather(*fetches):
        assert all(path.read_bytes() == bytes(50_000) for path in paths)
    assert len(list((tmp_path / "cache").iterdir())) == 12  # nothing temporary is left


def test_the_pins_are_those_of_the_version_named() -> None:
    jars_pinned = pinned()
    assert len(jars_pinned) == 46
    assert any(jar.path.endswith(f"/kafka_2.13-{jars.KAFKA_VERSION}.jar") for jar in jars_pinned)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars_pinned)
    assert len({jar.name for jar in jars_pinned}) == 46  # they share one folder
