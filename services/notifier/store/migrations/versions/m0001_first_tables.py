"""The projection, the decisions and their feed, tasks, alerts, and how far each partition has come."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ending", sa.Text()),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("closed_revision", sa.Integer()),
        sa.CheckConstraint("ending IN ('recovered', 'retracted', 'reason_gone')", name="alerts_ending"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alerts_one_open", "alerts", ["subject"], unique=True, postgresql_where=sa.text("ending IS NULL"))
    op.create_index("alerts_open", "alerts", ["id"], unique=False, postgresql_where=sa.text("ending IS NULL"))
    op.create_index("alerts_subject", "alerts", ["subject", "id"], unique=False)
    op.create_table(
        "consumed",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "customers",
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False, comment="the newest record of the scorer's changelog"),
        sa.Column("tier", sa.Text(collation="C"), nullable=False),
        sa.Column("tier_since", sa.DateTime(timezone=True), comment="null: since ever"),
        sa.Column("segments", postgresql.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("churn", sa.Boolean(), comment="null: the policy has no churn rule"),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            comment="when the newest of the positions held was taken; null: none since ever",
        ),
        sa.PrimaryKeyConstraint("subject"),
        postgresql_with={"fillfactor": "75"},
    )
    op.create_index("customers_churn", "customers", ["subject"], unique=False, postgresql_where=sa.text("churn"))
    op.create_index("customers_tier", "customers", ["tier", "subject"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("dimension", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), comment="in the feed, in the order of commits; null: not announced"),
        sa.Column(
            "record", sa.LargeBinary(), nullable=False, comment="the record as the scorer wrote it, JSON in UTF-8"
        ),
        sa.PrimaryKeyConstraint("subject", "dimension", "revision"),
    )
    op.create_index(
        "decisions_position", "decisions", ["position"], unique=True, postgresql_where=sa.text("position IS NOT NULL")
    )
    op.create_table(
        "feed",
        sa.Column("singleton", sa.Boolean(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="of the newest announced transition"),
        sa.CheckConstraint("singleton", name="feed_one_row"),
        sa.PrimaryKeyConstraint("singleton"),
    )
    op.execute("INSERT INTO feed VALUES (true, 0)")
    op.create_table(
        "held",
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("dimension", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("catching_up", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "dimension", "revision"),
        comment="Decisions whose playbooks wait: for the end of a catch-up, or for the customer's state.",
    )
    op.create_index("held_partition", "held", ["partition", "sequence"], unique=False)
    op.create_table(
        "progress",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "events_offset", sa.BigInteger(), nullable=False, comment="next offset of `events`, by the changelog"
        ),
        sa.Column(
            "state_sequence", sa.BigInteger(), nullable=False, comment="how many decisions the changelog stands for"
        ),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="how many decisions are here, markers included"),
        sa.Column("marker_sequence", sa.BigInteger(), nullable=False, comment="of the newest caught_up marker"),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.Text(), nullable=False),
        sa.Column("caught_up", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("partition"),
    )
    op.create_table(
        "tallies",
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("dimension", sa.Text(collation="C"), nullable=False),
        sa.Column("after", sa.Text(collation="C"), nullable=False),
        sa.Column("cause", sa.Text(collation="C"), nullable=False),
        sa.Column("transitions", sa.BigInteger(), nullable=False, comment="announced"),
        sa.PrimaryKeyConstraint("partition", "dimension", "after", "cause"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("playbook", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(collation="C"), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Text(collation="C"), nullable=False),
        sa.Column("value", sa.Text(), nullable=False, comment="the position that is the reason, as JSON"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claimed_by", sa.Text(collation="C")),
        sa.Column("claimed_at", sa.DateTime(timezone=True)),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("state IN ('open', 'claimed', 'done', 'closed')", name="tasks_state"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "tasks_one_unfinished",
        "tasks",
        ["subject", "playbook", "title"],
        unique=True,
        postgresql_where=sa.text("state IN ('open', 'claimed')"),
    )
    op.create_index("tasks_subject", "tasks", ["subject", "id"], unique=False)
    op.create_index(
        "tasks_unfinished",
        "tasks",
        ["state", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'claimed')"),
    )


def downgrade() -> None:
    op.drop_table("tasks")
    op.drop_table("tallies")
    op.drop_table("progress")
    op.drop_table("held")
    op.drop_table("feed")
    op.drop_table("decisions")
    op.drop_table("customers")
    op.drop_table("consumed")
    op.drop_table("alerts")
