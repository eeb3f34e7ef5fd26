"""Whom a name stands for that was merged into somebody."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    name = sa.Text(collation="C")
    op.create_table(
        "aliases",
        sa.Column("subject", name, primary_key=True),
        sa.Column("into", name, nullable=False),
        comment="Names that were merged into a customer.",
    )


def downgrade() -> None:
    op.drop_table("aliases")
