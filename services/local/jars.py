"""The jars of Apache Kafka: fetched once, each checked against the SHA-256 kept in this repository (kafka.sha256).

Only what is pinned is fetched and run. A jar is loaded to a temporary name beside its place, checked, and renamed: the
cache never holds an unchecked or half a jar, and two processes at once merely fetch the same thing twice.
`python -m services.local.pin_jars` makes kafka.sha256 anew.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import msgspec
import platformdirs

from services.local.errors import CannotStart

KAFKA_VERSION = "4.1.0"
REPOSITORY_VARIABLE = "TIERLINE_MAVEN_REPOSITORY"
PINS = Path(__file__).with_name("kafka.sha256")

Report = Callable[[str], None]

_AT_ONCE = 8
_ATTEMPTS = 4
FIRST_PAUSE = 0.5  # seconds before trying again, doubled each time
_REPORT_EVERY = 6  # jars
_MB = 1_000_000


class Jar(msgspec.Struct, frozen=True):
    """One pinned jar. path: below the repository's address. size: bytes. sha256: hexadecimal."""

    sha256: str
    size: int
    path: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def pinned(pins: Path = PINS) -> list[Jar]:
    """The jars Apache Kafka needs, in the order of the file (lines of: SHA-256, bytes, path)."""
    lines = (line.split() for line in pins.read_text().splitlines() if line and not line.startswith("#"))
    return [Jar(sha256, int(size), path) for sha256, size, path in lines]


def cache_folder() -> Path:
    """Where the jars of this version live for this user."""
    return Path(platformdirs.user_cache_dir("tierline")) / f"kafka-{KAFKA_VERSION}"


def repository() -> str:
    """The address of the Maven repository: the variable TIERLINE_MAVEN_REPOSITORY, else Maven Central."""
    if named := os.environ.get(REPOSITORY_VARIABLE):
        return named.rstrip("/")
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - half a second, and needed once in a machine's life

    return MAVEN_CENTRAL_URL.rstrip("/")


async def kafka_jars(
    *, folder: Path | None = None, jars: Sequence[Jar] | None = None, report: Report | None = None
) -> list[Path]:
    """The checked jars on disk, for a class path; what is missing is fetched first.

    report gets a line now and then while fetching, nothing if all is there. Proxies and certificates are taken
    from the usual variables. CannotStart if the repository can't be reached, a checksum is wrong or the disk full.
    """
    folder = folder or cache_folder()
    jars = pinned() if jars is None else jars
    # The size is enough here: a jar got its name only after its checksum held; a crash may have cut it short.
    missing = [jar for jar in jars if not _is_whole(folder / jar.name, jar)]
    if missing:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            await _fetch_all(missing, folder, report or (lambda line: None))
        except OSError as error:
            raise CannotStart(f"cannot keep Apache Kafka's jars in {folder}: {error.strerror or error}") from error
    return [folder / jar.name for jar in jars]


def _is_whole(path: Path, jar: Jar) -> bool:
    return path.is_file() and path.stat().st_size == jar.size


async def _fetch_all(jars: Sequence[Jar], folder: Path, report: Report) -> None:
    total = sum(jar.size for jar in jars) / _MB
    done: list[Jar] = []
    slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch_one(jar: Jar) -> None:
        async with slots:
            await _fetch(client, jar, folder)
        done.append(jar)
        if len(done) % _REPORT_EVERY == 0 or len(done) == len(jars):
            so_far = sum(jar.size for jar in done) / _MB
            report(f"fetching Apache Kafka: {len(done)} of {len(jars)} jars, {so_far:.1f} of {total:.1f} MB")

    report(f"fetching Apache Kafka {KAFKA_VERSION}: {len(jars)} jars, {total:.0f} MB")
    async with httpx.AsyncClient(follow_redirects=True, timeout=30.0) as client:
        try:
            async with asyncio.TaskGroup() as group:
                # The large ones first: the last to come in is then a small one.
                for jar in sorted(jars, key=lambda jar: -jar.size):
                    group.create_task(fetch_one(jar))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors


async def _fetch(client: httpx.AsyncClient, jar: Jar, folder: Path) -> None:
    """Bring one jar in; tried again on errors of the network, not on a wrong checksum."""
    address = f"{repository()}/{jar.path}"
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            response = await client.get(address)
            response.raise_for_status()
            break
        except httpx.HTTPError as error:
            final = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (401, 403, 404, 407)
            if final or attempt == _ATTEMPTS:
                what = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise CannotStart(
                    f"cannot fetch Apache Kafka: {address}: {what} "
                    f"(a mirror can be named in {REPOSITORY_VARIABLE}, a proxy in HTTPS_PROXY)"
                ) from error
            await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
    found = hashlib.sha256(response.content).hexdigest()
    if found != jar.sha256:
        raise CannotStart(
            f"wrong checksum: {address} has SHA-256 {found}, expected {jar.sha256}; nothing of it was kept"
        )
    await asyncio.to_thread(_keep, response.content, folder / jar.name)


def _keep(content: bytes, path: Path) -> None:
    """Write to a name of our own first, then take the place in one step."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
