"""Where topics end, for readers of committed records who must not miss what was committed a moment ago.

The broker tells of a commit before it has marked its records; until it has, a reader of committed records is told that
the topic ends before them. One who reads on up to the end given here has what was committed before it asked.
"""

from collections.abc import Iterable

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.shared.connection import SILENT

_WITHIN_S = 20.0


def ends_with_what_is_open(bootstrap: str, places: Iterable[TopicPartition]) -> dict[int | None, int]:
    """By partition of a topic the offset the next record gets, whether those before it are committed yet or not."""
    # A new client each time: one that knew the broker before a restart is refused for the epoch it remembers.
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=SILENT)
    asked = admin.list_offsets({place: OffsetSpec.latest() for place in places}, request_timeout=_WITHIN_S)
    return {place.partition: answer.result().offset for place, answer in asked.items()}
