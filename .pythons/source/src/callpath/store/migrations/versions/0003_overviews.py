"""Calls carry what a list shows of them. Filled by opening the log: see `store.sql._fold_missing`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("number", sa.BigInteger))
    op.add_column("calls", sa.Column("direction", sa.String(40)))
    op.add_column("calls", sa.Column("outcome", sa.String(20)))
    op.add_column("calls", sa.Column("search", sa.Text))
    op.add_column("calls", sa.Column("overview", sa.LargeBinary))
    op.create_index("calls_by_outcome", "calls", ["outcome", "first_unix_ms"])
    op.create_index("calls_by_change", "calls", ["number"])
