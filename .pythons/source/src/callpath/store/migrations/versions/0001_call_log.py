"""Calls, their entries, and refusals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(length: int | None = None) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.Text(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("session", _text(200), primary_key=True),
        sa.Column("first_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("last_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
    )
    op.create_index("calls_by_start", "calls", ["first_unix_ms"])
    op.create_table(
        "entries",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("session", _text(200), nullable=False),
        sa.Column("at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", _text(60), nullable=False),
        sa.Column("key", _text(200)),
        sa.Column("leg", _text(200)),
        sa.Column("call_control_id", _text(400)),
        sa.Column("what", sa.LargeBinary, nullable=False),
    )
    op.create_index("entries_by_session", "entries", ["session", "number"])
    op.create_index("entries_once", "entries", ["session", "key"], unique=True)
    op.create_index("entries_by_leg", "entries", ["leg"])
    op.create_index("entries_by_call_control_id", "entries", ["call_control_id"])
    op.create_table(
        "refusals",
        sa.Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at_unix_ms", sa.BigInteger, nullable=False),
        sa.Column("what", _text(20), nullable=False),
        sa.Column("reason", _text(60), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("client", _text(200)),
        sa.Column("path", _text(400)),
    )
