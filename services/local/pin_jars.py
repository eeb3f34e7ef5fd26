"""Make kafka.sha256 anew: resolve what Apache Kafka needs and note the SHA-256 and size of each jar.

    python -m services.local.pin_jars > pins && mv pins services/local/kafka.sha256

To go to another version: change KAFKA_VERSION in jars.py first, run this, read the difference. jgo resolves the
dependencies from the POM files alone; each jar is fetched once here and compared with the SHA-1 its repository
publishes. Takes about 20 s.
"""

import hashlib
import tempfile
from pathlib import Path

import httpx
from jgo.maven import Artifact, MavenContext

from services.local.jars import KAFKA_VERSION, repository

# slf4j-simple prints the broker's errors, which slf4j-nop would swallow. Its version is the one of Kafka's slf4j-api.
WANTED = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")


def resolve(coordinates: tuple[str, ...], folder: Path) -> list[Artifact]:
    """Everything needed at run time, the coordinates themselves included."""
    maven = MavenContext(repo_cache=folder, remote_repos={"central": repository()})
    asked, drawn_in = maven.resolver.resolve([maven.create_dependency(coordinate) for coordinate in coordinates])
    return [dependency.artifact for dependency in asked + drawn_in]


def pin(artifact: Artifact, client: httpx.Client) -> str:
    """The line of one jar. ValueError if it is not what its repository says it is."""
    path = f"{artifact.groupId.replace('.', '/')}/{artifact.artifactId}/{artifact.version}/{artifact.filename}"
    content = client.get(f"{repository()}/{path}").raise_for_status().content
    published = client.get(f"{repository()}/{path}.sha1").raise_for_status().text.split()[0]
    if hashlib.sha1(content).hexdigest() != published:
        raise ValueError(f"{path} does not match its published SHA-1")
    return f"{hashlib.sha256(content).hexdigest()} {len(content):>9} {path}"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, httpx.Client(follow_redirects=True, timeout=60.0) as client:
        lines = [pin(artifact, client) for artifact in resolve(WANTED, Path(folder))]
    print(f"# {' and '.join(WANTED)}: SHA-256, bytes, path. Made by services/local/pin_jars.py.")
    print("\n".join(sorted(lines, key=lambda line: line.split()[2])))


if __name__ == "__main__":
    main()
