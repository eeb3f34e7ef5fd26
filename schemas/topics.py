"""The catalogue of topics: what each carries, who writes and reads it, and the settings it is created with.

Every topic about customers has the same number of partitions, fixed for ever at the first start, and a customer's
records stand in the same partition number of all of them.
"""

from typing import Any

import msgspec

from schemas import control, decisions, events, identities, letters

DAY_MS = 86_400_000
FOR_EVER_MS = -1
MIB = 1024 * 1024
_AROUND_BYTES = 65_536


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """name: without the installation's prefix.  carries: the type of its values, None for opaque bytes.

    partitions:   None for as many as the installation has
    longest_bytes: of a record of it, key included
    """

    name: str
    about: str
    key: str
    carries: Any
    writer: str
    readers: tuple[str, ...]
    compacted: bool = False
    log_append_time: bool = False
    retention_ms: int = FOR_EVER_MS
    partitions: int | None = None
    longest_bytes: int = MIB

    @property
    def written_bytes(self) -> int:
        """For a producer's `message.max.bytes`: the longest record and what Kafka puts around it."""
        return self.longest_bytes + 60_000  # the broker takes a little more

    def config(self) -> dict[str, str]:
        """Topic settings for its creation; also what is checked at start."""
        settings = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime" if self.log_append_time else "CreateTime",
            "max.message.bytes": str(self.longest_bytes + _AROUND_BYTES),
        }
        if self.compacted:
            settings |= {"max.compaction.lag.ms": str(DAY_MS), "min.cleanable.dirty.ratio": "0.1"}
        else:
            settings |= {"retention.ms": str(self.retention_ms), "retention.bytes": "-1"}
        return settings


EVENTS = Topic(
    name="events",
    about="Accepted events, in the order the broker took them; kept for ever, since a rebuild replays them.",
    key="subject",
    carries=events.Event,
    writer="ingest",
    readers=("scorer", "tierline policy backtest", "tierline policy activate", "tierline audit"),
    log_append_time=True,
)
SCORER_STATE = Topic(
    name="scorer-state",
    about="The scorer's state: per customer the newest record, per partition its position (key: a zero byte).",
    key="subject, or a zero byte for the partition's position",
    carries=None,
    writer="scorer",
    readers=("scorer", "notifier", "tierline audit"),
    compacted=True,
    log_append_time=True,
    # A customer's own stays below one MiB (rule 4), those merged into one may not; hosted brokers may allow no more.
    longest_bytes=8 * MIB - _AROUND_BYTES,
)
DECISIONS = Topic(
    name="decisions",
    about="Every change of every customer's path, announced or not, with its decision record.",
    key="subject, or empty for a marker",
    carries=decisions.DecisionRecord,
    writer="scorer",
    readers=("notifier",),
)
TIER_CHANGES = Topic(
    name="tier-changes",
    about="Announced moves on the ladder `tier`.",
    key="subject",
    carries=decisions.Announcement,
    writer="scorer",
    readers=("sales and service applications",),
    retention_ms=30 * DAY_MS,
)
SEGMENT_CHANGES = Topic(
    name="segment-changes",
    about="Announced entries to and exits from segments (after: true or false) and moves from class to class.",
    key="subject",
    carries=decisions.Announcement,
    writer="scorer",
    readers=("sales and service applications",),
    retention_ms=30 * DAY_MS,
)
CHURN_ALERTS = Topic(
    name="churn-alerts",
    about="Churn raised (after: true) and gone (after: false).",
    key="subject",
    carries=decisions.Announcement,
    writer="scorer",
    readers=("sales and service applications",),
    retention_ms=30 * DAY_MS,
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    about="Events the scorer could not take, with the reason and the original bytes.",
    key="subject",
    carries=decisions.DeadLetter,
    writer="scorer",
    readers=("tierline dead-letters", "tierline audit"),
)

DEAD_LETTERS_HANDLED = Topic(
    name="dead-letters-handled",
    about="What was done about each dead letter: how it was repaired, and when it was sent again.",
    key="the letter's place on `dead-letters`, as partition:offset",
    carries=letters.Handling,
    writer="tierline dead-letters",
    readers=("tierline dead-letters",),
    compacted=True,
    partitions=1,
)

CONTROL = Topic(
    name="control",
    about="The policies activated, in their one sequence, which the first start begins; and the rebuilds asked for.",
    key="policy",
    carries=control.Record,
    writer="scorer, tierline policy activate, tierline rebuild",
    readers=("scorer", "notifier", "tierline policy history", "tierline audit"),
    log_append_time=True,
    partitions=1,
)

IDENTITIES = Topic(
    name="identities",
    about="Merges, unmerges and erasures, in their one sequence.",
    key="identity",
    carries=identities.Identity,
    writer="ingest",
    readers=("scorer", "ingest", "tierline policy backtest", "tierline policy activate", "tierline audit"),
    log_append_time=True,
    partitions=1,
)
TRANSFERS = Topic(
    name="transfers",
    about="From scorer to scorer: customers on their way to another partition, events that came for another name.",
    key="subject it is for",
    carries=None,
    writer="scorer",
    readers=("scorer", "tierline audit"),
)  # kept for ever, since a partition may stand for as long: what it has not taken is a customer's only record

CATALOGUE: tuple[Topic, ...] = (
    EVENTS,
    SCORER_STATE,
    DECISIONS,
    TIER_CHANGES,
    SEGMENT_CHANGES,
    CHURN_ALERTS,
    DEAD_LETTERS,
    DEAD_LETTERS_HANDLED,
    CONTROL,
    IDENTITIES,
    TRANSFERS,
)
