"""Two tables that only the version of this migration uses (see `UNUSED` in `callpath.store.schema`)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("node", sa.String(200).with_variant(sa.Text(), "postgresql"), primary_key=True),
        sa.Column("knows", sa.String(40), nullable=False),
        sa.Column("until_unix_ms", sa.BigInteger, nullable=False),
    )
    op.create_table("finished", sa.Column("revision", sa.String(40), primary_key=True))
