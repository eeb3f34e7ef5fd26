"""The AsyncAPI document names every topic, who writes and reads it, and points only at what is there.

`.ci/run` also holds it against AsyncAPI's own schema, when npm is at hand.
"""

from typing import Any

from schemas import asyncapi, publish, topics

DOCUMENT = asyncapi.document(publish.VERSION)


def follow(reference: str) -> Any:
    """What a local reference points at; KeyError if nothing."""
    target: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    return target


def test_every_topic_is_a_channel_with_the_settings_it_is_created_with() -> None:
    assert list(DOCUMENT["channels"]) == [topic.name for topic in topics.CATALOGUE]
    for topic in topics.CATALOGUE:
        channel = DOCUMENT["channels"][topic.name]
        assert channel["address"] == topic.name
        shown = channel["bindings"]["kafka"]["topicConfiguration"]
        created = topic.config()
        assert shown["cleanup.policy"] == [created["cleanup.policy"]]
        assert str(shown.get("retention.ms", "")) == created.get("retention.ms", "")


def test_whoever_writes_or_reads_a_topic_has_an_operation() -> None:
    for topic in topics.CATALOGUE:
        own = [o for o in DOCUMENT["operations"].values() if o["channel"]["$ref"] == f"#/channels/{topic.name}"]
        assert sorted(o["action"] for o in own) == ["receive"] * len(topic.readers) + ["send"]


def test_references_inside_lead_somewhere_and_those_outside_to_published_files() -> None:
    for channel in DOCUMENT["channels"].values():
        for message in channel["messages"].values():
            assert follow(message["$ref"])
    for operation in DOCUMENT["operations"].values():
        for message in operation["messages"]:
            assert follow(message["$ref"])
    files = publish.documents()
    payloads = [m["payload"]["schema"]["$ref"] for m in DOCUMENT["components"]["messages"].values() if "payload" in m]
    assert len(payloads) == 19
    assert set(payloads) <= files.keys()
