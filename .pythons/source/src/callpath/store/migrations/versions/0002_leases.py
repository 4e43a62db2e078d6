"""Which node acts for a call, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("session", sa.String(200).with_variant(sa.Text(), "postgresql"), primary_key=True),
        sa.Column("node", sa.String(200).with_variant(sa.Text(), "postgresql"), nullable=False),
        sa.Column("until_unix_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("leases_by_end", "leases", ["until_unix_ms"])
