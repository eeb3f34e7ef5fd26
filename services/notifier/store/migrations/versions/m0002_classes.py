"""Where customers stand in each list of classes. Until now no policy could name one, so nobody stands in any."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "customers",
        sa.Column(
            "classes",
            postgresql.JSONB(),
            nullable=False,
            server_default="{}",
            comment="the class in each list of classes, by the list's name",
        ),
    )
    op.alter_column("customers", "classes", server_default=None)


def downgrade() -> None:
    op.drop_column("customers", "classes")
