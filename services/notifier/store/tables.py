"""The tables. Migrations make them (`migrations/`); a test holds the two against each other.

Everything but `tasks` by people is derived from Kafka, and stands beside `consumed`, the offsets it was derived up
to. A customer's rows of every table belong to the customer's partition, and only the transaction that moves the
partition's offsets writes them. Texts compare as bytes, so that a page's order does not depend on the locale.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

METADATA = MetaData()

VERSION = "0003"
"""Of the newest migration, which makes these tables."""

Name = Text(collation="C")
Instant = DateTime(timezone=True)

CUSTOMERS = Table(
    "customers",
    METADATA,
    Column("subject", Name, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False, comment="the newest record of the scorer's changelog"),
    Column("tier", Name, nullable=False),
    Column("tier_since", Instant, comment="null: since ever"),
    Column("classes", JSONB, nullable=False, comment="the class in each list of classes, by the list's name"),
    Column("segments", ARRAY(Name), nullable=False),
    Column("churn", Boolean, comment="null: the policy has no churn rule"),
    Column("changed_at", Instant, comment="when the newest of the positions held was taken; null: none since ever"),
    Index("customers_tier", "tier", "subject"),
    Index("customers_churn", "subject", postgresql_where=text("churn")),
    # Room on each page for the next version of a row: most changes of state touch no index.
    postgresql_with={"fillfactor": "75"},
)

ALIASES = Table(
    "aliases",
    METADATA,
    Column("subject", Name, primary_key=True),
    Column("into", Name, nullable=False),
    comment="Names that were merged into a customer.",
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("subject", Name, primary_key=True),
    Column("dimension", Name, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("position", BigInteger, comment="in the feed, in the order of commits; null: not announced"),
    Column("record", LargeBinary, nullable=False, comment="the record as the scorer wrote it, JSON in UTF-8"),
    Index("decisions_position", "position", unique=True, postgresql_where=text("position IS NOT NULL")),
)

TALLIES = Table(
    "tallies",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("dimension", Name, primary_key=True),
    Column("after", Name, primary_key=True),
    Column("cause", Name, primary_key=True),
    Column("transitions", BigInteger, nullable=False, comment="announced"),
)

TASKS = Table(
    "tasks",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("subject", Name, nullable=False),
    Column("playbook", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("assignee", Name, nullable=False),
    Column("priority", Text, nullable=False),
    Column("dimension", Name, nullable=False),
    Column("value", Text, nullable=False, comment="the position that is the reason, as JSON"),
    Column("revision", Integer, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("state", Text, nullable=False),
    Column("claimed_by", Name),
    Column("claimed_at", Instant),
    Column("flagged", Boolean, nullable=False),
    Column("reason", Text),
    Column("outcome", Text),
    Column("finished_at", Instant),
    CheckConstraint("state IN ('open', 'claimed', 'done', 'closed')", name="tasks_state"),
    Index("tasks_subject", "subject", "id"),
    Index("tasks_unfinished", "state", "id", postgresql_where=text("state IN ('open', 'claimed')")),
    Index(
        "tasks_one_unfinished",
        "subject",
        "playbook",
        "title",
        unique=True,
        postgresql_where=text("state IN ('open', 'claimed')"),
    ),
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("subject", Name, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("ending", Text),
    Column("closed_at", Instant),
    Column("closed_revision", Integer),
    CheckConstraint("ending IN ('recovered', 'retracted', 'reason_gone')", name="alerts_ending"),
    Index("alerts_subject", "subject", "id"),
    Index("alerts_open", "id", postgresql_where=text("ending IS NULL")),
    Index("alerts_one_open", "subject", unique=True, postgresql_where=text("ending IS NULL")),
)

HELD = Table(
    "held",
    METADATA,
    Column("subject", Name, primary_key=True),
    Column("dimension", Name, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("catching_up", Boolean, nullable=False),
    Index("held_partition", "partition", "sequence"),
    comment="Decisions whose playbooks wait: for the end of a catch-up, or for the customer's state.",
)

CONSUMED = Table(
    "consumed",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)

PROGRESS = Table(
    "progress",
    METADATA,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("events_offset", BigInteger, nullable=False, comment="next offset of `events`, by the changelog"),
    Column("state_sequence", BigInteger, nullable=False, comment="how many decisions the changelog stands for"),
    Column("sequence", BigInteger, nullable=False, comment="how many decisions are here, markers included"),
    Column("marker_sequence", BigInteger, nullable=False, comment="of the newest caught_up marker"),
    Column("policy", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("caught_up", Boolean, nullable=False),
)

FEED = Table(
    "feed",
    METADATA,
    Column("singleton", Boolean, primary_key=True),
    Column("position", BigInteger, nullable=False, comment="of the newest announced transition"),
    CheckConstraint("singleton", name="feed_one_row"),
)
