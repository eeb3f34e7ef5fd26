"""AsyncAPI 3.0 of the topics: a channel a topic, a message a type, an operation for each who writes or reads."""

import re
from typing import Any, get_args

from schemas import examples, json_schema, topics

_JSON_SCHEMA = "application/schema+json;version=draft-2020-12"
_BINDING = "0.5.0"


def document(version: str) -> dict[str, Any]:
    """The whole document; payloads point to the JSON Schemas beside it."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic in topics.CATALOGUE:
        carried = _messages(topic)
        messages |= carried
        channels[topic.name] = _channel(topic, list(carried))
        operations[f"{_word(topic.writer)}-writes-{topic.name}"] = _operation("send", topic, list(carried))
        for reader in topic.readers:
            operations[f"{_word(reader)}-reads-{topic.name}"] = _operation("receive", topic, list(carried))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tierline's topics",
            "version": version,
            "description": (
                "What stands on the Kafka topics. An installation may put a prefix before every topic's name. "
                "Read with `isolation.level=read_committed`: the scorer writes in transactions."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _channel(topic: topics.Topic, carried: list[str]) -> dict[str, Any]:
    settings = topic.config()
    configuration: dict[str, Any] = {"cleanup.policy": [settings["cleanup.policy"]]}
    configuration |= {name: int(settings[name]) for name in ("retention.ms", "max.message.bytes") if name in settings}
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in carried},
        "bindings": {"kafka": {"topicConfiguration": configuration, "bindingVersion": _BINDING}},
    }


def _operation(action: str, topic: topics.Topic, carried: list[str]) -> dict[str, Any]:
    channel = f"#/channels/{topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in carried],
    }


def _messages(topic: topics.Topic) -> dict[str, Any]:
    key = {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": _BINDING}}
    if topic.carries is None:
        opaque = {
            "name": topic.name,
            "contentType": "application/octet-stream",
            "summary": topic.about,
            "bindings": key,
        }
        return {f"{topic.name}-record": opaque}
    messages = {}
    for record in get_args(topic.carries) or (topic.carries,):
        name = json_schema.slug(record)
        message: dict[str, Any] = {
            "name": name,
            "payload": {"schemaFormat": _JSON_SCHEMA, "schema": {"$ref": f"json-schema/{name}.json"}},
            "bindings": key,
        }
        if shown := examples.of(record):
            message["examples"] = [{"payload": payload} for payload in shown]
        messages[name] = message
    return messages


def _word(name: str) -> str:
    """`sales and service applications` -> `sales-and-service-applications`."""
    return re.sub(r"[^a-z]+", "-", name.lower())
